"""Which decisions are possible, which repeat the one in effect, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.domain import decision_rules
from exporter.domain.decision_rules import Author, MuteEnd, Subject, mute_end, parse_text
from exporter.domain.decisions import MUTE, RETIRE, UNMUTE, UNRETIRE, Decision
from exporter.domain.errors import DecisionRefusedError, NothingToUndoError
from exporter.domain.exports import ExportKey
from exporter.domain.states import ExportState

NOW = 1_800_000_000.0
HOUR = 3600.0
ANN = Author("Ann", "bucket is moved")
STATE = ExportState("shop", "any", "Amazon S3", "events", "4h", "UTC", declared=False)
SUBJECT = Subject(ExportKey("shop", "group", "any", "amazon s3", "events", "4h"), STATE)
DECLARED = replace(SUBJECT, key=ExportKey("shop", "declared", "nightly"), match="[]")


def in_effect(kind: str, until: float = 0.0, lasts: float = 0.0, author: Author = ANN) -> Decision:
    return Decision(kind, SUBJECT.key, NOW - 10, until, *author, sequence=7, lasts=lasts)


def test_a_mute_is_recorded_with_its_end_and_who_decided() -> None:
    assert decision_rules.mute(SUBJECT, MuteEnd(NOW + HOUR), ANN, NOW) == Decision(
        MUTE, SUBJECT.key, NOW, NOW + HOUR, "Ann", "bucket is moved"
    )
    by_duration = decision_rules.mute(DECLARED, MuteEnd(NOW + HOUR - 3, HOUR), ANN, NOW)
    assert (by_duration.until, by_duration.lasts, by_duration.match) == (NOW + HOUR, HOUR, "[]")


@pytest.mark.parametrize(
    ("end", "author", "is_the_same"),
    [
        (MuteEnd(NOW + HOUR), ANN, True),
        (MuteEnd(NOW + HOUR + 59), ANN, True),
        (MuteEnd(NOW + HOUR + 60), ANN, False),
        (MuteEnd(NOW + HOUR - 60), ANN, False),
        (MuteEnd(NOW + HOUR, HOUR), ANN, False),
        (MuteEnd(NOW + HOUR), Author("Bob", ANN.why), False),
        (MuteEnd(NOW + HOUR), Author("Ann", "another reason"), False),
    ],
)
def test_the_same_mute_again_is_the_one_in_effect(end: MuteEnd, author: Author, *, is_the_same: bool) -> None:
    current = in_effect(MUTE, NOW + HOUR)
    decision = decision_rules.mute(replace(SUBJECT, mute=current), end, author, NOW)
    assert (decision is current) == is_the_same


def test_a_mute_for_the_same_duration_is_another_one_a_minute_later() -> None:
    subject = replace(SUBJECT, mute=in_effect(MUTE, NOW - 10 + HOUR, HOUR))
    assert decision_rules.mute(subject, MuteEnd(NOW + HOUR, HOUR), ANN, NOW) is subject.mute
    assert decision_rules.mute(subject, MuteEnd(NOW + 50 + HOUR, HOUR), ANN, NOW + 50) is not subject.mute


def test_a_mute_can_be_ended_and_one_of_the_configuration_cannot() -> None:
    muted = replace(SUBJECT, mute=in_effect(MUTE, NOW + HOUR))
    assert decision_rules.unmute(muted, ANN, NOW) == Decision(UNMUTE, SUBJECT.key, NOW, 0.0, *ANN)
    with pytest.raises(NothingToUndoError, match=r"^not muted$"):
        decision_rules.unmute(SUBJECT, ANN, NOW)
    configured = replace(DECLARED, state=STATE._replace(muted=True, muted_until=NOW))
    with pytest.raises(DecisionRefusedError, match=r"^muted until 2027-01-15 08:00 UTC by muted_until in the config"):
        decision_rules.unmute(configured, ANN, NOW)


def test_an_export_is_retired_once_and_can_be_restored() -> None:
    assert decision_rules.retire(SUBJECT, ANN, NOW) == Decision(RETIRE, SUBJECT.key, NOW, 0.0, *ANN)
    retired = replace(SUBJECT, is_retired=True, retirement=in_effect(RETIRE))
    assert decision_rules.retire(retired, ANN, NOW) is retired.retirement
    assert decision_rules.unretire(retired, ANN, NOW) == Decision(UNRETIRE, SUBJECT.key, NOW, 0.0, *ANN)
    with pytest.raises(DecisionRefusedError, match="undo the retirement"):
        decision_rules.mute(retired, MuteEnd(NOW + HOUR), ANN, NOW)
    # An event has ended this retirement.
    returned = replace(retired, is_retired=False)
    assert decision_rules.retire(returned, ANN, NOW) is not retired.retirement
    with pytest.raises(NothingToUndoError, match=r"^not retired$"):
        decision_rules.unretire(returned, ANN, NOW)


def test_a_declared_export_is_not_retired() -> None:
    with pytest.raises(DecisionRefusedError, match=r"^'nightly' is declared in the configuration"):
        decision_rules.retire(DECLARED, ANN, NOW)


def test_the_end_of_a_mute_is_a_time_or_a_duration() -> None:
    assert mute_end(HOUR, None, NOW) == MuteEnd(NOW + HOUR, HOUR)
    assert mute_end(None, NOW + 1, NOW) == MuteEnd(NOW + 1)


@pytest.mark.parametrize(
    ("lasts", "until", "message"),
    [
        (None, None, "give either for how long, such as 8h, or until when"),
        (HOUR, NOW + HOUR, "give either for how long, such as 8h, or until when"),
        (0, None, "the mute would end at 2027-01-15 08:00 UTC, which is in the past; give a later time"),
        (None, NOW, "which is in the past"),
        (None, 0.0, "would end at 1970-01-01 00:00 UTC"),
        (10**400, None, "the mute would end after the year 9999"),
        (999_999_999 * 604_800.0, None, "the mute would end after the year 9999"),
    ],
)
def test_what_is_wrong_with_an_end_is_named(lasts: float | None, until: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mute_end(lasts, until, NOW)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "\x1b", "x" * 513])
def test_a_name_or_reason_is_one_line_of_printable_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"^give 1 to 512 printable characters$"):
        parse_text(text)
    assert parse_text(" Ann <b> ") == "Ann <b>"
