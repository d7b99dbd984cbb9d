"""After a purge, everything is as if the events and bodies had never been received, on both kinds of database."""

from __future__ import annotations

import threading
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import DAY, HOUR, SHOP, accepted_event, at, event
from databases import new_ledger
from exporter.domain.decisions import PURGE
from exporter.domain.epochs import GIVEN
from exporter.domain.events import QuarantinedBody, RefusedBody
from exporter.domain.purges import Window
from exporter.ledger import contract as ledgers
from exporter.ledger.sql import purge_store
from exporter.ledger.sql.checkpoint_store import SqlCheckpointStore
from exporter.ledger.sql.purge_store import PurgeCounts
from exporter.projection import projector as projector_module
from exporter.projection.checkpoint_writer import CheckpointWriter
from exporter.projection.fold import exports
from exporter.projection.projector import Projector
from exporter.projection.purge_preview import compare, project_without
from memory_ledger import MemoryLedger
from pruned import LATE, RETENTION, pruned_by, pruner_of, runs, states
from tools import PROVING
from worlds import SOURCES, World, histories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.ledger.contract import Entry
    from exporter.ledger.sql.ledger import SqlLedger

NIGHT = Window("shop", at("20:00"), at("22:00"))


@pytest.fixture(params=["sqlite", "postgresql"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqlLedger]]:
    """Return a function that opens an empty ledger in place of the last one."""
    opened: list[SqlLedger] = []

    def empty() -> SqlLedger:
        if opened:
            opened[-1].close()
            if request.param == "postgresql":
                request.getfixturevalue("postgres").restore_rows("migrated")
        opened.append(new_ledger(request, tmp_path))
        return opened[-1]

    yield empty
    opened[-1].close()


@pytest.fixture
def ledger(new: Callable[[], SqlLedger]) -> SqlLedger:
    return new()


def purged(ledger: SqlLedger, window: Window) -> PurgeCounts:
    counts = ledger.purge_store.remove(window, "Ann", "leaked", at("23:00"), GIVEN)
    ledger.replay_store.amend([], last=True)
    return counts


def known(projector: Projector, world: World) -> tuple[object, ...]:
    return [projector.list_states(now) for now in world.nows()], projector.list_sources()


@given(world=histories.filter(attrgetter("events")), begin=st.floats(0, 1), share=st.floats(0.1, 1))
@settings(max_examples=100 if PROVING else 6)
def test_a_purge_leaves_the_state_of_an_exporter_that_never_received_the_events(
    new: Callable[[], SqlLedger], world: World, begin: float, share: float
) -> None:
    world = replace(world, outages=())
    ledger, never = new(), MemoryLedger()
    slug = min(each.source for each in world.events)
    arrivals = sorted(each.arrived_at for each in world.events if each.source == slug)
    length = arrivals[-1] - arrivals[0] + 1
    since = arrivals[0] + begin * length
    window = Window(slug, since, since + share * length)
    first_half = len(world.events) // 2
    running, reference = (Projector(each, SOURCES, world.declarations) for each in (ledger, never))
    for part in (world.events[:first_half], world.events[first_half:]):
        ledger.append(list(map(accepted_event, part)))
        running.catch_up()
    never.append([accepted_event(each) for each in world.events if not window.contains(each)])
    reference.catch_up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector_module, "PAGE_SIZE", 3)
        previewed = project_without(ledger, window, SOURCES, world.declarations)
    expected = known(reference, world)
    assert known(previewed, world) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(purge_store, "ROWS_PER_TRANSACTION", 2)
        assert purged(ledger, window).events == sum(map(window.contains, world.events))
    restarted = Projector(ledger, SOURCES, world.declarations)
    for projector in (running, restarted):
        projector.catch_up()
        assert known(projector, world) == expected


def kept_aside(number: int, reason: str, arrived_at: float, source: str = "shop") -> QuarantinedBody:
    return QuarantinedBody(source, arrived_at, reason, "made up", b"{}", bytes([number]) * 16)


def test_a_purge_removes_and_uncounts_bodies_and_no_counter_was_last_raised_in_its_window(ledger: SqlLedger) -> None:
    before, after = at("19:59"), at("22:00")
    kept: list[Entry] = [
        kept_aside(1, "bad_date", before),
        kept_aside(2, "bad_date", at("21:00"), "other"),
        kept_aside(3, "too_long", after),
    ]
    ledger.append(kept)
    expected = ledger.delivery_counters()
    night: list[Entry] = [kept_aside(number, "bad_date", at("21:00") + number) for number in range(10, 15)]
    ledger.append([*night, kept_aside(4, "too_long", at("20:00")), kept_aside(5, "only_then", at("20:00"))])
    refused = [RefusedBody("shop", arrived_at, 400, "no", 1, b"{") for arrived_at in (before, at("20:00"), after)]
    ledger.bodies.add_refused(refused)
    assert ledger.purge_store.count(NIGHT) == PurgeCounts(0, 7, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(purge_store, "ROWS_PER_TRANSACTION", 2)
        assert purged(ledger, NIGHT) == PurgeCounts(0, 7, 1)
    assert ledger.purge_store.count(NIGHT) == PurgeCounts(0, 0, 0)
    assert ledger.delivery_counters() == expected
    assert [body.arrived_at for body in ledger.bodies.refused()] == [after, before]
    assert ledger.quarantine_counts() == {"shop": 2, "other": 1}

    # Nobody knows which test calls and duplicates were received in the window: they stay counted.
    ledger.append([ledgers.TestCallReceived("shop", each) for each in (before, at("21:00"))])
    purged(ledger, NIGHT)
    (test_calls,) = (each for each in ledger.delivery_counters() if each.kind == "test_call")
    assert (test_calls.count, test_calls.last_arrived_at) == (2, NIGHT.since)
    assert [each.kind for each in ledger.decisions()] == [PURGE, PURGE]


def test_bodies_are_removed_by_when_they_were_received_by_a_corrected_clock(ledger: SqlLedger) -> None:
    ledger.begin_epoch("another boot", 0, 0)
    epoch = ledger.begin_epoch("boot", 0, 0)
    ledger.append([replace(kept_aside(1, "bad_date", at("15:00")), epoch=epoch)])
    ledger.append([ledgers.TestCallReceived("shop", at("15:00"), epoch)])
    ledger.correct_epochs({epoch.id: int(6 * HOUR * 1e6)})
    assert purged(ledger, NIGHT) == PurgeCounts(0, 1, 0)
    (test_calls,) = ledger.delivery_counters()
    assert (test_calls.kind, test_calls.last_arrived_at) == ("test_call", NIGHT.since)


def test_the_decision_is_kept_with_who_why_when_and_which_window(ledger: SqlLedger) -> None:
    purged(ledger, NIGHT)
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    (decision,) = projector.decisions_in_effect.purges
    assert (decision.by, decision.why, decision.decided_at) == ("Ann", "leaked", at("23:00"))
    assert (decision.key.source, decision.match, decision.until) == ("shop", NIGHT.text, 0)
    assert projector.decisions_in_effect.sequence == decision.sequence
    assert projector.decisions_in_effect.retirement_times() == {}


def test_a_purged_event_that_is_delivered_again_is_a_new_one(ledger: SqlLedger) -> None:
    entry = accepted_event(event("completed", at("21:00")))
    assert ledger.append([entry]) == [True]
    purged(ledger, NIGHT)
    assert ledger.append([entry]) == [True]


def test_what_a_purge_leaves_of_an_export_whose_older_events_were_pruned(new: Callable[[], SqlLedger]) -> None:
    known_after: list[object] = []
    stranger = [event("completed", at("21:00", day) + 1, request_id="one", frequency="24h") for day in range(450, 490)]
    stranger += [event("initiated", at("21:00", 480), request_id=f"made up {number}") for number in range(5)]
    window = Window("shop", at("0:00", 440) + 15 * HOUR, at("0:00", 491))
    for received in ([], stranger):
        ledger = new()
        ledger.append([accepted_event(each) for each in runs(range(440))])
        first = Projector(ledger, {"shop": SHOP})
        first.catch_up()
        assert pruned_by(ledger, first) == 196
        ledger.append([accepted_event(each) for each in received])
        if received:
            assert purged(ledger, window).events == len(stranger)
        restarted = Projector(ledger, {"shop": SHOP})
        for projector in (first, restarted):
            projector.catch_up()
            known_after.append((states(projector), projector.list_sources()))
        assert ledger.checkpoints.pruning_state().pruned_events == 196
    assert all(each == known_after[0] for each in known_after)


def test_what_is_purged_while_it_is_being_pruned_enters_no_baseline(ledger: SqlLedger) -> None:
    ledger.append([accepted_event(each) for each in runs(range(500))])
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    pruning = pruner_of(ledger, projector).prune(LATE, RETENTION)
    window = Window("shop", at("0:00", 5), at("0:00", 6))
    prune = SqlCheckpointStore.prune

    def purge_first(store: SqlCheckpointStore, *arguments: Any) -> bool:  # noqa: ANN401 - those of the method
        purged(ledger, window)
        return prune(store, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlCheckpointStore, "prune", purge_first)
        assert list(pruning) == []
    assert ledger.checkpoints.pruning_state().revision == 0
    projector.catch_up()
    assert states(projector)[0].completed == 499
    assert pruned_by(ledger, projector) == 194
    projector.catch_up()
    assert states(projector)[0].completed == 499


def test_a_preview_names_what_disappears_appears_and_changes() -> None:
    ledger = MemoryLedger()
    at_noon = [event("initiated", at("12:00", day), request_id="1", frequency="24h") for day in range(2)]
    of_id = [event("initiated", at("13:00", day), request_id="2", frequency="24h") for day in range(3)]
    made_up = event("initiated", at("21:00"), partner="made up")
    ledger.append([accepted_event(each) for each in (*at_noon, *of_id, made_up)])
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    window = Window("shop", at("12:30"), at("12:30", 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector_module, "PAGE_SIZE", 1)
        patch.setattr(exports, "MAX_CACHED_IDS", 0)  # so that earlier events of an id are looked up
        changes = compare(projector, project_without(ledger, window, {"shop": SHOP}, ()), at("0:00") + 3 * DAY)
    names = [[(state.export, state.partner) for state in part] for part in (changes.removed, changes.added)]
    assert names == [[("1", "Amazon S3"), ("2", "Amazon S3"), ("any", "made up")], [("any", "Amazon S3")]]
    assert changes.changed == []
    assert window.text == "2026-06-01T12:30:00Z..2026-06-03T12:30:00Z"


@pytest.mark.parametrize("replays", [0, 1])
def test_a_preview_uses_no_checkpoint_of_what_is_to_be_removed(replays: int) -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(event("completed", at("21:00", day), frequency="24h")) for day in range(3)])
    for _ in range(replays):
        ledger.correct_epochs({})
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    assert CheckpointWriter(ledger, "me", threading.Lock(), lambda: projector).write(at("0:00", 4), stopping=True)
    window = Window("shop", at("20:00", 1), at("22:00", 1))
    (state,) = project_without(ledger, window, {"shop": SHOP}, ()).list_states(at("0:00", 3))
    assert state.completed == 2


def test_a_preview_folds_an_export_again_without_the_window_after_a_late_event() -> None:
    ledger = MemoryLedger()
    in_order = [event("completed", at("12:00", day), frequency="24h") for day in range(1, 60)]
    late = event("completed", at("12:00"), frequency="24h", delay=60 * DAY)
    ledger.append([accepted_event(each) for each in (*in_order, late)])
    window = Window("shop", at("11:00", 1), at("13:00", 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector_module, "PAGE_SIZE", 1)
        (state,) = project_without(ledger, window, {"shop": SHOP}, ()).list_states(at("0:00", 61))
    assert (state.completed, state.slots_missed) == (59, 1)
