"""How each mute and retirement ended, out of the log of decisions."""

from __future__ import annotations

from exporter.domain.decision_history import list_records
from exporter.domain.decisions import MUTE, PURGE, RETIRE, UNMUTE, UNRETIRE, Decision
from exporter.domain.exports import ExportKey

KEY = ExportKey("shop", "group", "any", "amazon s3", "events", "4h")
OTHER = ExportKey("shop", "declared", "nightly")


def decided(kind: str, at: float, until: float = 0, key: ExportKey = KEY) -> Decision:
    return Decision(kind, key, at, until, "Ann", "because")


def ends(*decisions: Decision) -> list[tuple[str, float, float]]:
    """The kind, the beginning and the end of each record."""
    return [(each.decision.kind, each.decision.decided_at, each.ended_at) for each in list_records(decisions)]


def test_a_mute_ends_at_its_time_or_by_the_next_decision_before_that() -> None:
    assert ends(decided(MUTE, 1, 100)) == [(MUTE, 1, 100)]
    assert ends(decided(MUTE, 1, 100), decided(UNMUTE, 50)) == [(MUTE, 1, 50)]
    assert ends(decided(MUTE, 1, 100), decided(MUTE, 50, 70)) == [(MUTE, 50, 70), (MUTE, 1, 50)]
    assert ends(decided(MUTE, 1, 100), decided(UNMUTE, 100)) == [(MUTE, 1, 100)]
    assert ends(decided(MUTE, 1, 100), decided(MUTE, 200, 300)) == [(MUTE, 200, 300), (MUTE, 1, 100)]
    assert ends(decided(MUTE, 1, 100), decided(UNMUTE, 50, key=OTHER)) == [(MUTE, 1, 100)]
    (record,) = list_records([decided(MUTE, 1, 100), unmute := decided(UNMUTE, 50), decided(UNMUTE, 60)])
    assert record.ended_by is unmute


def test_each_undoing_ends_the_retirement_before_it() -> None:
    assert ends(decided(RETIRE, 1), decided(RETIRE, 2)) == [(RETIRE, 2, 0), (RETIRE, 1, 0)]
    assert ends(decided(RETIRE, 1), decided(RETIRE, 2), decided(UNRETIRE, 3)) == [(RETIRE, 2, 3), (RETIRE, 1, 0)]
    assert ends(decided(UNRETIRE, 1), decided(RETIRE, 2)) == [(RETIRE, 2, 0)]


def test_a_purge_is_no_decision_about_an_export() -> None:
    assert ends(decided(PURGE, 1), decided(MUTE, 2, 9)) == [(MUTE, 2, 9)]
