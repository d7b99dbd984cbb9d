"""Whatever is wrong with a checkpoint, the worst that comes of it is that all events are folded."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, SHOP, at, event, received
from checkpoints import NOW, keeper_of, known_of, runs, states
from exporter.domain.errors import StoreError
from exporter.domain.events import Gap
from exporter.domain.exports import Declaration, Selection, Source
from exporter.projection import serialization
from exporter.projection.checkpoint_writer import Keeper
from exporter.projection.projector import Reader
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.ledger.checkpoint_store import Checkpoint
    from exporter.ledger.contract import Ledger


# What is wrong with a checkpoint


def head(ledger: Ledger) -> Checkpoint:
    found = ledger.folds.checkpoint()
    assert found is not None
    return found


def overwrite(ledger: Ledger, rows: Mapping[str, str | None], **changes: object) -> None:
    old = head(ledger)
    new = replace(old, revision=old.revision + 1, **changes)  # type: ignore[arg-type]
    assert ledger.folds.write(old.revision, new, rows)


def test_a_start_goes_on_from_the_checkpoint_and_writes_only_what_is_new(ledger: Ledger) -> None:
    first = known_of(ledger)
    assert keeper_of(ledger, first).write(NOW)
    second = known_of(ledger)
    assert (second.saved, second.exports.unsaved) == (first.saved, set())
    assert states(second) == states(first)
    ledger.append([received(each) for each in runs(1, first=12)[:2]])
    second.refresh()
    (changed,) = second.exports.unsaved
    assert changed.name == "one"
    assert keeper_of(ledger, second).write(NOW)
    assert head(ledger).sequence == second.sequence
    assert states(known_of(ledger)) == states(second)


def test_restored_numbers_have_the_types_that_they_had(ledger: Ledger) -> None:
    ledger.beat("one", at("0:00"))
    ledger.beat("two", at("3:00"))
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    again = known_of(ledger)
    assert again.saved is not None
    for found in (states, Reader.sources, lambda reader: reader.gaps, lambda reader: reader.sequence):
        assert repr(found(again)) == repr(found(known))  # in which 1 and 1.0 differ


def test_an_export_that_is_gone_is_gone_from_the_checkpoint(ledger: Ledger) -> None:
    ledger.append([received(event("initiated", at("0:00"), request_id="four", partner="Azure"))])
    known = known_of(ledger)
    keeper = keeper_of(ledger, known)
    assert keeper.write(NOW)
    ledger.append([received(event("initiated", at("9:00"), request_id="four", partner="Azure"))])
    known.refresh()  # recognised: its group is empty
    assert keeper.write(NOW)
    again = known_of(ledger)
    assert again.saved == known.saved
    assert states(again) == states(known)


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: text[:8], lambda text: "x" + text[1:]])
@pytest.mark.parametrize("kind", ["export ", "source ", "gaps"])
def test_a_damaged_row_is_survived(ledger: Ledger, kind: str, damage: Callable[[str], str]) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    (row, text) = next(each for each in ledger.folds.rows("", 100) if each[0].startswith(kind))
    overwrite(ledger, {row: damage(text)})
    again = known_of(ledger)
    assert again.saved is None
    assert states(again) == states(known)
    assert keeper_of(ledger, again).write(NOW)
    assert known_of(ledger).saved == head(ledger).revision


@pytest.mark.parametrize(
    "damage",
    [
        lambda told: told.update(marks=told["marks"][:-4]),
        lambda told: told["said"].pop(),
        lambda told: told["said"].__setitem__(0, 99),
        lambda told: told["settled"]["runs"].__setitem__("no such field", 1),
        lambda told: told.pop("floor"),
    ],
)
def test_a_row_whose_checksum_matches_and_whose_content_is_wrong_is_survived(
    ledger: Ledger, damage: Callable[[dict[str, Any]], object]
) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    (row, text) = next(each for each in ledger.folds.rows("", 100) if '"one"' in each[0])
    told = json.loads(serialization.opened(text))
    damage(told)
    overwrite(ledger, {row: serialization.sealed(json.dumps(told))})
    again = known_of(ledger)
    assert again.saved is None
    assert states(again) == states(known)
    assert keeper_of(ledger, again).write(NOW)
    assert known_of(ledger).saved == head(ledger).revision


def test_what_was_read_is_written_as_it_was(ledger: Ledger) -> None:
    assert keeper_of(ledger, known_of(ledger)).write(NOW, leaving=True)
    rows = ledger.folds.rows("", 100)
    again = known_of(ledger)
    assert again.saved is not None
    again.saved = None  # so that all of it is written
    assert keeper_of(ledger, again, "another").write(NOW)
    assert ledger.folds.rows("", 100) == rows


def test_a_row_with_what_no_json_has_is_survived(ledger: Ledger) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    (row, text) = ledger.folds.rows("", 1)[0]
    overwrite(ledger, {row: f"{text[:50]}\x1e{text[50:]}"})
    again = known_of(ledger)
    assert again.saved is None
    assert states(again) == states(known)


@pytest.mark.parametrize("kind", ["source ", "gaps"])
def test_a_missing_row_is_survived(ledger: Ledger, kind: str) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    (row, _) = next(each for each in ledger.folds.rows("", 100) if each[0].startswith(kind))
    overwrite(ledger, {row: None})
    assert known_of(ledger).saved is None


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
    assert keeper_of(ledger, known_of(ledger)).write(NOW)
    again = known_of(ledger, sources, declarations)
    assert again.saved is None
    unwritten = MemoryLedger()
    unwritten.append([received(each) for each in ledger.read(0)])
    assert [replace(each, changes_at=0) for each in states(again)] == [
        replace(each, changes_at=0) for each in states(known_of(unwritten, sources, declarations))
    ]


def test_what_does_not_change_the_fold_changes_no_checkpoint(ledger: Ledger) -> None:
    declared = Declaration("daily", Selection("shop", request_id="one"), interval=DAY)
    assert keeper_of(ledger, known_of(ledger, declarations=[declared])).write(NOW)
    owned = replace(declared, owner="data", muted_until=at("0:00", day=9))
    assert known_of(ledger, declarations=[owned]).saved == head(ledger).revision


def test_a_checkpoint_past_the_end_of_the_ledger_is_passed_over(ledger: Ledger) -> None:
    assert keeper_of(ledger, known_of(ledger)).write(NOW)
    overwrite(ledger, {}, sequence=ledger.last_sequence() + 1)
    assert known_of(ledger).saved is None


def test_a_gap_since_the_checkpoint_is_taken_in(ledger: Ledger) -> None:
    ledger.beat("one", at("0:00"))
    known = known_of(ledger)
    keeper = keeper_of(ledger, known)
    ledger.beat("one", at("7:00"))
    known.refresh()
    assert keeper.write(NOW)
    ledger.beat("one", at("7:00", day=4))
    again = known_of(ledger)
    assert again.saved == known.saved
    known.refresh()
    later = at("0:00", day=6)
    assert again.gaps == [Gap(at("0:00"), at("7:00")), Gap(at("7:00"), at("7:00", day=4))]
    assert again.states(later) == known.states(later)
    assert any(state.slots_unknown for state in again.states(later))


@pytest.mark.parametrize("restored", [False, True])
def test_an_outage_that_reaches_into_what_is_compacted_changes_what_was_missed(ledger: Ledger, restored: bool) -> None:  # noqa: FBT001
    missing = [each for each in runs(24, "late") if not at("8:00") <= each.occurred_at < at("16:00")]
    ledger.append([received(each) for each in missing])
    sources = {"shop": SHOP, "late": replace(SHOP, slug="late")}
    known = known_of(ledger, sources)
    later = at("0:00", day=4)
    assert {each.slots_unknown for each in known.states(later)} == {0}
    assert {each.slots_missed for each in known.states(later) if each.source == "late"} == {2}
    if restored:
        assert keeper_of(ledger, known).write(NOW)
        known = known_of(ledger, sources)
        assert known.saved is not None
    ledger.beat("one", at("7:00"))
    ledger.beat("two", at("13:00"))  # both slots lie far behind the newest events of each export
    known.refresh()
    assert {each.slots_unknown for each in known.states(later) if each.source == "late"} == {2}
    assert {each.slots_missed for each in known.states(later) if each.source == "late"} == {0}
    assert known.states(later) == known_of(ledger, sources).states(later)


# Who writes it


def test_while_another_process_keeps_it_nobody_else_does(ledger: Ledger) -> None:
    ledger.beat("other", NOW)
    other, mine = known_of(ledger), known_of(ledger)
    assert keeper_of(ledger, other, "other").write(NOW)
    assert not keeper_of(ledger, mine).write(NOW + 50)
    assert head(ledger).owner == "other"
    assert keeper_of(ledger, other, "other").write(NOW + 50)
    assert keeper_of(ledger, mine).write(NOW + 70)  # which was not heard of for over a minute
    assert head(ledger).owner == "me"
    assert states(known_of(ledger)) == states(mine)


def test_who_leaves_lets_anybody_write_it_next(ledger: Ledger) -> None:
    ledger.beat("other", NOW)
    other, mine = known_of(ledger), known_of(ledger)
    assert keeper_of(ledger, other, "other").write(NOW, leaving=True)
    assert keeper_of(ledger, mine).write(NOW)
    assert states(known_of(ledger)) == states(mine)


def test_rows_of_two_writers_never_mix(ledger: Ledger) -> None:
    first, second = known_of(ledger), known_of(ledger)
    assert keeper_of(ledger, first, "first").write(NOW)
    assert keeper_of(ledger, second, "second").write(NOW)  # the first was never heard of
    ledger.append([received(each) for each in runs(1, first=12)])
    first.refresh()
    assert keeper_of(ledger, first, "first").write(NOW)
    again = known_of(ledger)
    assert again.saved == head(ledger).revision
    assert states(again) == states(first)


class Failing(MemoryLedger):
    """A ledger whose checkpoint cannot be written after so many pages."""

    def __init__(self, pages: int) -> None:
        super().__init__()
        self.pages = pages
        write = self.folds.write

        def failing(known: int, new: Checkpoint, rows: Mapping[str, str | None], *, anew: bool = False) -> bool:
            if not self.pages:
                message = "made to fail"
                raise StoreError(message)
            self.pages -= 1
            return write(known, new, rows, anew=anew)

        self.folds.write = failing  # type: ignore[method-assign]


@pytest.mark.parametrize("pages", [0, 1])
def test_a_checkpoint_that_was_not_finished_is_passed_over_and_written_again(pages: int) -> None:
    ledger = Failing(pages)
    ledger.append([received(each) for each in runs(3)])
    known = known_of(ledger)
    keeper = keeper_of(ledger, known)
    with pytest.raises(StoreError):
        keeper.write(NOW)
    assert known_of(ledger).saved is None
    ledger.pages = 100
    assert keeper.write(NOW)
    again = known_of(ledger)
    assert again.saved == known.saved
    assert states(again) == states(known)


def test_somebody_who_was_faster_is_left_alone(ledger: Ledger) -> None:
    known = known_of(ledger)
    keeper = keeper_of(ledger, known)
    assert keeper.write(NOW)
    found = ledger.folds.checkpoint
    ledger.append([received(each) for each in runs(1, first=12)])
    known.refresh()
    stale = head(ledger)
    overwrite(ledger, {})
    ledger.folds.checkpoint = lambda: stale  # type: ignore[method-assign]
    assert not keeper.write(NOW)
    assert known.exports.unsaved
    ledger.folds.checkpoint = found  # type: ignore[method-assign]


def test_what_was_written_while_it_was_read_is_not_trusted(ledger: Ledger) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    found = ledger.folds.rows

    def meanwhile(after: str, limit: int) -> Sequence[tuple[str, str]]:
        if not after:
            overwrite(ledger, {})
        return found(after, limit)

    ledger.folds.rows = meanwhile  # type: ignore[method-assign]
    assert known_of(ledger).saved is None


def test_with_more_to_write_than_allowed_nothing_is_written(ledger: Ledger) -> None:
    known = known_of(ledger)
    assert not keeper_of(ledger, known).write(NOW, most=2)
    assert ledger.folds.checkpoint() is None
    assert keeper_of(ledger, known).write(NOW, most=3)


def test_a_fingerprint_tells_another_configuration_from_another_edition_of_the_ledger() -> None:
    utc, auto = {"shop": SHOP}, {"shop": replace(SHOP, timezone="auto")}
    first = serialization.fingerprint("ledger 1", utc, ())
    assert not serialization.differ(first, serialization.fingerprint("ledger 2", utc, ()))
    assert serialization.differ(first, serialization.fingerprint("ledger 1", auto, ()))
    assert not serialization.differ("", first)  # as long as its rows are being written


def test_a_reader_that_was_replaced_or_is_not_done_is_not_written() -> None:
    ledger = MemoryLedger()
    ledger.append([received(each) for each in runs(3)])
    readers = [known_of(ledger), known_of(ledger)]
    replaced = Keeper(ledger, "me", threading.Lock(), readers.pop)
    assert not replaced.write(NOW)
    behind = known_of(ledger)
    behind.exports.stale.add(behind.exports.all()[0])
    assert not keeper_of(ledger, behind).write(NOW)
    assert ledger.folds.checkpoint() is None


def test_another_ledger_in_its_place_is_folded_from_its_beginning() -> None:
    ledger = MemoryLedger()
    ledger.append([received(each) for each in runs(3)])
    known = known_of(ledger)
    other = MemoryLedger()
    other.append([received(each) for each in runs(1)])
    ledger.__dict__.update(other.__dict__)
    assert known.refresh() is True
    assert states(known) == states(known_of(other))


def test_a_source_that_a_ledger_put_in_its_place_has_no_events_of_counts_from_zero() -> None:
    sources = {"shop": SHOP, "other": replace(SHOP, slug="other")}
    ledger = MemoryLedger()
    ledger.append([received(each) for each in (*runs(3), *runs(2, "other"))])
    known = known_of(ledger, sources)
    assert [each.events["initiated"] for each in known.sources()] == [6, 9]
    other = MemoryLedger()
    other.append([received(each) for each in runs(1)])
    ledger.__dict__.update(other.__dict__)
    known.refresh()
    assert [each.events["initiated"] for each in known.sources()] == [0, 3]
    assert known.sources() == known_of(other, sources).sources()


def test_a_ledger_that_went_back_is_folded_from_its_beginning() -> None:
    ledger = MemoryLedger()
    ledger.append([received(each) for each in runs(3)])
    known = known_of(ledger)
    other = MemoryLedger()
    other.append([received(each) for each in runs(1)])
    identity = ledger.identity()
    ledger.__dict__.update(other.__dict__)
    ledger._identity = identity  # noqa: SLF001 - an older backup of the same
    assert known.refresh() is True
    assert states(known) == states(known_of(other))
