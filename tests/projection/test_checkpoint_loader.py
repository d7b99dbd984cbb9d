"""Whatever is wrong with a checkpoint, the worst that comes of it is that all events are folded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

import checkpoints
from builders import DAY, HOUR, SHOP, accepted_event, at, event
from checkpoints import NOW, caught_up, head, overwrite, runs, states, writer_of
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.terms import Terms
from exporter.projection import serialization
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.ledger.contract import Ledger

ledger, short_memory = checkpoints.ledger, checkpoints.short_memory


def test_a_start_goes_on_from_the_checkpoint_and_writes_only_what_is_new(ledger: Ledger) -> None:
    first = caught_up(ledger)
    assert writer_of(ledger, first).write(NOW)
    second = caught_up(ledger)
    assert (second.checkpoint_revision, second.exports.not_checkpointed) == (first.checkpoint_revision, set())
    assert states(second) == states(first)
    ledger.append([accepted_event(each) for each in runs(1, first=12)[:2]])
    second.catch_up()
    (changed,) = second.exports.not_checkpointed
    assert changed.name == "one"
    assert writer_of(ledger, second).write(NOW)
    assert head(ledger).last_sequence == second.sequence
    assert states(caught_up(ledger)) == states(second)


def test_restored_numbers_have_the_types_that_they_had(ledger: Ledger) -> None:
    ledger.record_heartbeat("one", at("0:00"))
    ledger.record_heartbeat("two", at("3:00"))
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    again = caught_up(ledger)
    assert again.checkpoint_revision is not None
    for found in (
        states,
        Projector.list_sources,
        lambda projector: projector.outages,
        lambda projector: projector.sequence,
    ):
        assert repr(found(again)) == repr(found(projector))  # in which 1 and 1.0 differ


def test_an_export_that_is_gone_is_gone_from_the_checkpoint(ledger: Ledger) -> None:
    ledger.append([accepted_event(event("initiated", at("0:00"), request_id="four", partner="Azure"))])
    projector = caught_up(ledger)
    writer = writer_of(ledger, projector)
    assert writer.write(NOW)
    ledger.append([accepted_event(event("initiated", at("9:00"), request_id="four", partner="Azure"))])
    projector.catch_up()  # the id is detected: its group is empty
    assert writer.write(NOW)
    again = caught_up(ledger)
    assert again.checkpoint_revision == projector.checkpoint_revision
    assert states(again) == states(projector)


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: text[:8], lambda text: "x" + text[1:]])
@pytest.mark.parametrize("kind", ["export:", "source:", "outages"])
def test_a_damaged_row_is_survived(ledger: Ledger, kind: str, damage: Callable[[str], str]) -> None:
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    (row, text) = next(each for each in ledger.checkpoints.read_rows("", 100) if each[0].startswith(kind))
    overwrite(ledger, {row: damage(text)})
    again = caught_up(ledger)
    assert again.checkpoint_revision is None
    assert states(again) == states(projector)
    assert writer_of(ledger, again).write(NOW)
    assert caught_up(ledger).checkpoint_revision == head(ledger).revision


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.update(recent_sort_keys=document["recent_sort_keys"][:-4]),
        lambda document: document["recent"].pop(),
        lambda document: document["recent"].__setitem__(0, 99),
        lambda document: document["compacted"]["runs"].__setitem__("no such field", 1),
        lambda document: document.pop("ignore_before"),
    ],
)
def test_a_row_whose_checksum_matches_and_whose_content_is_wrong_is_survived(
    ledger: Ledger, damage: Callable[[dict[str, Any]], object]
) -> None:
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    (row, text) = next(each for each in ledger.checkpoints.read_rows("", 100) if '"one"' in each[0])
    document = json.loads(serialization.verify_checksum(text))
    damage(document)
    overwrite(ledger, {row: serialization.with_checksum(json.dumps(document))})
    again = caught_up(ledger)
    assert again.checkpoint_revision is None
    assert states(again) == states(projector)
    assert writer_of(ledger, again).write(NOW)
    assert caught_up(ledger).checkpoint_revision == head(ledger).revision


def test_what_was_read_is_written_as_it_was(ledger: Ledger) -> None:
    assert writer_of(ledger, caught_up(ledger)).write(NOW, stopping=True)
    rows = ledger.checkpoints.read_rows("", 100)
    again = caught_up(ledger)
    assert again.checkpoint_revision is not None
    again.checkpoint_revision = None  # so that all of it is written
    assert writer_of(ledger, again, "another").write(NOW)
    assert ledger.checkpoints.read_rows("", 100) == rows


def test_a_row_with_what_no_json_has_is_survived(ledger: Ledger) -> None:
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    (row, text) = ledger.checkpoints.read_rows("", 1)[0]
    overwrite(ledger, {row: f"{text[:50]}\x1e{text[50:]}"})
    again = caught_up(ledger)
    assert again.checkpoint_revision is None
    assert states(again) == states(projector)


@pytest.mark.parametrize("kind", ["source:", "outages"])
def test_a_missing_row_is_survived(ledger: Ledger, kind: str) -> None:
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    (row, _) = next(each for each in ledger.checkpoints.read_rows("", 100) if each[0].startswith(kind))
    overwrite(ledger, {row: None})
    assert caught_up(ledger).checkpoint_revision is None


@pytest.mark.parametrize(
    ("sources", "declarations"),
    [
        ({"shop": SHOP, "more": Source("more")}, ()),
        ({"shop": Source("shop", "Asia/Kolkata", ZoneInfo("Asia/Kolkata"))}, ()),
        ({"shop": SHOP}, (Declaration("daily", Selection("shop", request_id="one"), interval=DAY),)),
    ],
)
def test_under_another_configuration_all_is_folded_again(
    ledger: Ledger, sources: Mapping[str, Source], declarations: Sequence[Declaration]
) -> None:
    assert writer_of(ledger, caught_up(ledger)).write(NOW)
    again = caught_up(ledger, sources, declarations)
    assert again.checkpoint_revision is None
    unwritten = MemoryLedger()
    unwritten.append([accepted_event(each) for each in ledger.read(0)])
    assert [each._replace(changes_at=0) for each in states(again)] == [
        each._replace(changes_at=0) for each in states(caught_up(unwritten, sources, declarations))
    ]


def test_a_checkpoint_keeps_a_change_of_the_terms_that_events_followed(ledger: Ledger) -> None:
    key, first, last = ("shop", "daily"), runs(12)[0].occurred_at, runs(12)[-1].occurred_at
    declared = Declaration("daily", Selection("shop", request_id="one"), interval=DAY)
    ledger.record_declarations([key], first)
    for terms, loaded_at in (
        (declared.terms, first),
        (Terms(4 * HOUR), last - 9 * HOUR),
        (declared.terms, last + HOUR),
    ):
        ledger.record_terms({key: terms}, loaded_at)
    before = caught_up(ledger, declarations=[declared])
    assert writer_of(ledger, before).write(NOW)
    after = caught_up(ledger, declarations=[declared])
    assert after.checkpoint_revision == head(ledger).revision
    assert states(after) == states(before)
    ledger.record_terms({key: Terms(8 * HOUR)}, last + 2 * HOUR)
    assert caught_up(ledger, declarations=[declared]).checkpoint_revision is None


def test_what_does_not_change_the_fold_changes_no_checkpoint(ledger: Ledger) -> None:
    declared = Declaration("daily", Selection("shop", request_id="one"), interval=DAY)
    assert writer_of(ledger, caught_up(ledger, declarations=[declared])).write(NOW)
    owned = replace(declared, owner="data", muted_until=at("0:00", day=9))
    assert caught_up(ledger, declarations=[owned]).checkpoint_revision == head(ledger).revision


def test_a_checkpoint_past_the_end_of_the_ledger_is_passed_over(ledger: Ledger) -> None:
    assert writer_of(ledger, caught_up(ledger)).write(NOW)
    overwrite(ledger, {}, last_sequence=ledger.last_sequence() + 1)
    assert caught_up(ledger).checkpoint_revision is None


def test_a_gap_since_the_checkpoint_is_taken_in(ledger: Ledger) -> None:
    ledger.record_heartbeat("one", at("0:00"))
    projector = caught_up(ledger)
    writer = writer_of(ledger, projector)
    ledger.record_heartbeat("one", at("7:00"))
    projector.catch_up()
    assert writer.write(NOW)
    ledger.record_heartbeat("one", at("7:00", day=4))
    again = caught_up(ledger)
    assert again.checkpoint_revision == projector.checkpoint_revision
    projector.catch_up()
    later = at("0:00", day=6)
    assert again.outages == [Outage(at("0:00"), at("7:00")), Outage(at("7:00"), at("7:00", day=4))]
    assert again.list_states(later) == projector.list_states(later)
    assert any(state.slots_unknown for state in again.list_states(later))


@pytest.mark.parametrize("restored", [False, True])
def test_an_outage_that_reaches_into_what_is_compacted_changes_what_was_missed(ledger: Ledger, restored: bool) -> None:  # noqa: FBT001
    missing = [each for each in runs(24, "late") if not at("8:00") <= each.occurred_at < at("16:00")]
    ledger.append([accepted_event(each) for each in missing])
    sources = {"shop": SHOP, "late": replace(SHOP, slug="late")}
    projector = caught_up(ledger, sources)
    later = at("0:00", day=4)
    assert {each.slots_unknown for each in projector.list_states(later)} == {0}
    assert {each.slots_missed for each in projector.list_states(later) if each.source == "late"} == {2}
    if restored:
        assert writer_of(ledger, projector).write(NOW)
        projector = caught_up(ledger, sources)
        assert projector.checkpoint_revision is not None
    ledger.record_heartbeat("one", at("7:00"))
    ledger.record_heartbeat("two", at("13:00"))  # both slots lie far behind the newest events of each export
    projector.catch_up()
    assert {each.slots_unknown for each in projector.list_states(later) if each.source == "late"} == {2}
    assert {each.slots_missed for each in projector.list_states(later) if each.source == "late"} == {0}
    assert projector.list_states(later) == caught_up(ledger, sources).list_states(later)


def test_what_was_written_while_it_was_read_is_not_trusted(ledger: Ledger) -> None:
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    found = ledger.checkpoints.read_rows

    def meanwhile(after: str, limit: int) -> Sequence[tuple[str, str]]:
        if not after:
            overwrite(ledger, {})
        return found(after, limit)

    ledger.checkpoints.read_rows = meanwhile  # type: ignore[method-assign]
    assert caught_up(ledger).checkpoint_revision is None


def test_a_fingerprint_tells_another_configuration_from_another_edition_of_the_ledger() -> None:
    utc, auto = {"shop": SHOP}, {"shop": replace(SHOP, timezone="auto")}
    first = serialization.fingerprint("ledger 1", utc, (), {}, {})
    assert not serialization.is_other_configuration(first, serialization.fingerprint("ledger 2", utc, (), {}, {}))
    assert serialization.is_other_configuration(first, serialization.fingerprint("ledger 1", auto, (), {}, {}))
    assert not serialization.is_other_configuration("", first)  # as long as its rows are being written


def test_another_ledger_in_its_place_is_folded_from_its_beginning() -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in runs(3)])
    projector = caught_up(ledger)
    other = MemoryLedger()
    other.append([accepted_event(each) for each in runs(1)])
    ledger.__dict__.update(other.__dict__)
    assert projector.catch_up() is True
    assert states(projector) == states(caught_up(other))


def test_a_source_that_a_ledger_put_in_its_place_has_no_events_of_counts_from_zero() -> None:
    sources = {"shop": SHOP, "other": replace(SHOP, slug="other")}
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in (*runs(3), *runs(2, "other"))])
    projector = caught_up(ledger, sources)
    assert [each.events["initiated"] for each in projector.list_sources()] == [6, 9]
    other = MemoryLedger()
    other.append([accepted_event(each) for each in runs(1)])
    ledger.__dict__.update(other.__dict__)
    projector.catch_up()
    assert [each.events["initiated"] for each in projector.list_sources()] == [0, 3]
    assert projector.list_sources() == caught_up(other, sources).list_sources()


def test_a_ledger_that_went_back_is_folded_from_its_beginning() -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in runs(3)])
    projector = caught_up(ledger)
    other = MemoryLedger()
    other.append([accepted_event(each) for each in runs(1)])
    ledger_id = ledger.ledger_id()
    ledger.__dict__.update(other.__dict__)
    ledger._ledger_id = ledger_id  # noqa: SLF001 - an older backup of the same
    assert projector.catch_up() is True
    assert states(projector) == states(caught_up(other))
