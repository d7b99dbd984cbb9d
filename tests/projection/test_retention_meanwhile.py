"""Who prunes, reads, starts and reloads at the same time: whatever comes between, all know the same afterwards."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from builders import SHOP, accepted_event, at, event
from exporter.domain.exports import Declaration, Selection, Source
from exporter.projection import retention
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.projection.projector import Projector
from exporter.projection.retention import Pruner
from memory_ledger import MemoryLedger
from pruned import LATE, RETENTION, pruned_by, runs, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.domain.events import Event

NIGHTLY = Declaration("nightly", Selection("shop"))
"""Everything, by declaration."""
SAME_AGAIN = event("initiated", at("2:00", day=2), request_id="same", frequency="24h")
"""What tells of the id of `announcements` that it came back."""


def ledger_of(*events: Event) -> MemoryLedger:
    made = MemoryLedger()
    made.append([accepted_event(each) for each in events])
    return made


def caught_up(ledger: MemoryLedger, *declarations: Declaration, more: Sequence[Source] = ()) -> Projector:
    made = Projector(ledger, {each.slug: each for each in (SHOP, *more)}, declarations)
    made.catch_up()
    return made


def ids(count: int) -> list[Event]:
    """As many ids with one event each, up to the day of `announcements`."""
    return [event("completed", at("1:00", day - count), request_id=str(day), frequency="24h") for day in range(count)]


def announcements(count: int) -> list[Event]:
    """Of one id, in less time than tells that it came back."""
    return [event("initiated", at("2:00") + n, request_id="same", frequency="24h") for n in range(count)]


def before_it_is_selected(ledger: MemoryLedger, happens: Callable[[], object]) -> None:
    select = ledger.select

    def selected(*arguments: object) -> Iterator[Event]:
        ledger.select = select  # type: ignore[method-assign]
        happens()
        return select(*arguments)  # type: ignore[arg-type]

    ledger.select = selected  # type: ignore[assignment,method-assign]


def before_it_is_pruned(ledger: MemoryLedger, happens: Callable[[], object]) -> None:
    prune = ledger.checkpoints.prune

    def pruned(*arguments: object) -> bool:
        ledger.checkpoints.prune = prune  # type: ignore[method-assign]
        happens()
        return prune(*arguments)  # type: ignore[arg-type]

    ledger.checkpoints.prune = pruned  # type: ignore[assignment,method-assign]


# While one prunes


def test_an_export_that_a_reload_took_away_before_its_turn_is_left_to_the_next_time() -> None:
    ledger = ledger_of(*runs(range(90)))
    with_it, without = caught_up(ledger, NIGHTLY), caught_up(ledger)
    projectors = iter([with_it])  # the first look is for a list of what is old
    pruner = Pruner(ledger, threading.Lock(), lambda: next(projectors, without))
    assert list(pruner.prune(LATE, RETENTION)) == []
    assert sum(pruner.prune(LATE, RETENTION)) == 164
    without.catch_up()
    assert [(state.export, state.completed) for state in states(without)] == [("one", 90)]


def test_what_was_read_before_a_reload_is_not_pruned_after_it() -> None:
    ledger = ledger_of(*runs(range(90)))
    old, new = caught_up(ledger), caught_up(ledger)
    shown = old

    def reload() -> None:
        nonlocal shown
        shown = new

    before_it_is_selected(ledger, reload)
    pruner = Pruner(ledger, threading.Lock(), lambda: shown)
    assert list(pruner.prune(LATE, RETENTION)) == []
    assert len(ledger.read(0)) == 180
    assert sum(pruner.prune(LATE, RETENTION)) == 164


def test_a_group_that_is_left_while_its_other_events_are_pruned_is_gone_for_everybody() -> None:
    ledger = ledger_of(*ids(40), *announcements(UNCOMPACTED_EVENTS))
    pruning_one, other = caught_up(ledger), caught_up(ledger)

    def comes_back() -> None:
        ledger.append([accepted_event(SAME_AGAIN)])
        other.catch_up()

    before_it_is_pruned(ledger, comes_back)
    assert pruned_by(ledger, pruning_one) == 40
    for reading in (pruning_one, other):
        reading.catch_up()
        assert [state.export for state in states(reading)] == ["same"]
        assert states(reading) == states(caught_up(ledger))
    ledger.append([accepted_event(event("completed", at("3:00", day=3), request_id="new", frequency="24h"))])
    for reading in (pruning_one, other):
        reading.catch_up()
        assert {state.export: state.completed for state in states(reading)} == {"same": 0, "any": 41}
        assert states(reading) == states(caught_up(ledger))


# While others prune


def test_what_is_pruned_while_an_export_is_read_again_is_counted_once() -> None:
    ledger = ledger_of(*runs(range(300)))
    projector, pruning_one = caught_up(ledger), caught_up(ledger)
    late = event("failed", at("5:00", day=250), request_id="one", frequency="24h")
    ledger.append([accepted_event(late)])
    before_it_is_selected(ledger, lambda: pruned_by(ledger, pruning_one))
    projector.catch_up()
    assert ledger.checkpoints.pruning_state().pruned_events > 0
    projector.catch_up()
    assert states(projector) == states(caught_up(ledger))
    assert (states(projector)[0].failed, states(projector)[0].completed) == (1, 300)


def test_who_has_not_read_yet_that_a_pruned_id_came_back_begins_again() -> None:
    ledger = ledger_of(*announcements(3 * UNCOMPACTED_EVENTS))
    behind = caught_up(ledger)
    ledger.append([accepted_event(SAME_AGAIN)])
    quick = caught_up(ledger)
    assert pruned_by(ledger, quick) == 2 * UNCOMPACTED_EVENTS + 1
    assert ledger.checkpoints.pruning_state().last_sequence <= behind.sequence
    assert behind.catch_up() is True
    assert states(behind) == states(quick)
    assert [state.export for state in states(behind)] == ["same"]


def test_who_has_the_pruned_events_in_another_export_by_its_configuration_goes_on_with_them() -> None:
    ledger = ledger_of(*ids(90))
    declared = caught_up(ledger, NIGHTLY)
    before = states(declared)
    assert [(state.export, state.completed) for state in before] == [("nightly", 90)]
    assert pruned_by(ledger, caught_up(ledger)) == 90 - UNCOMPACTED_EVENTS
    assert declared.catch_up() is False
    assert states(declared) == before


# Who starts afterwards


def test_an_event_brings_a_group_back_with_what_was_pruned_of_it() -> None:
    ledger = ledger_of(*ids(40), *announcements(UNCOMPACTED_EVENTS))
    projector = caught_up(ledger)
    assert pruned_by(ledger, projector) == 40
    ledger.append([accepted_event(SAME_AGAIN)])
    projector.catch_up()
    assert [state.export for state in states(projector)] == ["same"]
    ledger.append([accepted_event(event("completed", at("3:00", day=3), request_id="new", frequency="24h"))])
    projector.catch_up()
    assert {state.export: state.completed for state in states(projector)} == {"same": 0, "any": 41}
    assert states(projector) == states(caught_up(ledger))
    ledger.append([accepted_event(event("completed", at("3:00", day=4), request_id="new", frequency="24h"))])
    projector.catch_up()
    assert {state.export: state.completed for state in states(projector)} == {"same": 0, "new": 2}
    assert states(projector) == states(caught_up(ledger))


def test_what_was_pruned_of_a_source_that_is_not_configured_here_is_passed_over() -> None:
    other = [event("completed", at("1:00", day), source="other", frequency="24h") for day in range(90)]
    ledger = ledger_of(*runs(range(90)), *other)
    both, one = caught_up(ledger, more=[Source("other")]), caught_up(ledger)
    shop = [state for state in states(both) if state.source == "shop"]
    assert pruned_by(ledger, both) == 164 + 74
    assert one.catch_up() is False
    assert states(one) == states(caught_up(ledger)) == shop


# What is not worth it


@pytest.mark.parametrize(
    ("old", "removed"), [(retention.MIN_EVENTS - 1, 0), (retention.MIN_EVENTS, retention.MIN_EVENTS)]
)
def test_a_few_old_events_of_an_export_wait_for_more(old: int, removed: int) -> None:
    ledger = ledger_of(*runs(range(old))[:old], *runs(range(490, 500)))
    projector = caught_up(ledger)
    before = states(projector)
    assert pruned_by(ledger, projector) == removed
    assert len(ledger.read(0)) == old + 20 - removed
    assert states(projector) == states(caught_up(ledger)) == before
