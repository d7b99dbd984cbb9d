"""The state depends on the set of events alone: not on order, batches, duplicates or restarts.

Histories are generated: several jobs on several sources, some of them in summer time, declared
exports, ids that recur and ids that are made anew, one-time runs, failures, second announcements,
runs that never end, a schedule that changes, and whatever else a chaotic sender might send.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, MINUTE, accepted_event, catch_up, states
from exporter.domain.exports import Declaration, ExportKey, Selection
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.sort_keys import pack_sort_key
from memory_ledger import MemoryLedger
from tools import thorough
from worlds import SOURCES, World, histories, jobs, outage_lists

if TYPE_CHECKING:
    from exporter.domain.events import Event, Outage
    from exporter.domain.states import ExportState

WHOLE_SOURCES = [
    Declaration("all-of-shop", Selection("shop")),
    Declaration("events-of-york", Selection("york", data_type="events"), interval=DAY),
    Declaration("events-of-wild", Selection("wild", data_type="events"), grace=2 * MINUTE),
]


def shown_states(exports: ExportProjection, nows: list[float]) -> list[dict[ExportKey, ExportState]]:
    return [states(exports, now) for now in nows]


@thorough
@given(world=histories, chance=st.integers(0, 2**32), batch=st.integers(1, 20))
def test_any_order_batching_and_duplication_gives_the_same_states(world: World, chance: int, batch: int) -> None:
    dice = Random(chance)
    deliveries = [*world.events, *dice.choices(world.events, k=len(world.events) // 2)] if world.events else []
    dice.shuffle(deliveries)
    exports, ledger, after = world.exports(), MemoryLedger(), 0
    while deliveries:
        size = dice.randint(1, batch)
        ledger.append([accepted_event(each) for each in deliveries[:size]])
        del deliveries[:size]
        after = catch_up(exports, ledger, after, dice.randint(1, 9), dice.choice([min, max]))
    assert ledger.last_sequence() == len(world.events)
    assert shown_states(exports, world.nows()) == shown_states(world.folded_in_order(), world.nows())


@thorough
@given(world=histories, chance=st.integers(0, 2**32))
def test_a_restart_in_the_middle_changes_nothing(world: World, chance: int) -> None:
    dice = Random(chance)
    deliveries = list(world.events)
    dice.shuffle(deliveries)
    ledger = MemoryLedger()
    running, after = world.exports(), 0
    for each in deliveries:
        ledger.append([accepted_event(each)])
        after = catch_up(running, ledger, after)
    restarted = world.exports()
    catch_up(restarted, ledger)
    assert shown_states(running, world.nows()) == shown_states(restarted, world.nows())
    assert {key: running.first_sequence(key) for key in running.all_keys()} == {
        key: restarted.first_sequence(key) for key in restarted.all_keys()
    }
    assert running.detected_exports() == restarted.detected_exports()


@thorough
@given(world=histories)
def test_every_run_that_began_is_accounted_for(world: World) -> None:
    for state in states(world.folded_in_order(), world.nows()[0]).values():
        assert state.completed + state.failed + state.abandoned + state.in_progress >= state.initiated
        assert state.slots >= state.slots_missed + state.slots_late + state.slots_unknown
        assert min(state.slots_missed, state.slots_late, state.slots_unknown) >= 0
        assert sum(state.duration_buckets) <= state.completed


@thorough
@given(world=histories, wait=st.integers(0, 5 * DAY))
def test_a_state_holds_until_it_says_that_it_changes(world: World, wait: int) -> None:
    exports = world.folded_in_order()
    begins = world.nows()[0]
    for key, state in states(exports, begins).items():
        now = min(begins + wait, state.changes_at - 1)
        assert exports.state(key, max(now, begins)) == state


@thorough
@given(
    events_of_jobs=st.lists(jobs(), min_size=1, max_size=3),
    declared=st.lists(st.sampled_from(WHOLE_SOURCES), unique=True),
    outages=outage_lists(),
)
def test_counters_never_go_down_while_events_come_as_they_happen(
    events_of_jobs: list[list[Event]], declared: list[Declaration], outages: tuple[Outage, ...]
) -> None:
    # Each job has ids and a partner of its own, so that none leaves the group of another.
    events = [
        each._replace(
            request_id=f"{job}-{each.request_id}",
            partner=f"{each.partner} {job}",
            arrived_at=each.occurred_at + 60,
        )
        for job, job_events in enumerate(events_of_jobs)
        for each in job_events
    ]
    events.sort(key=pack_sort_key)
    exports = ExportProjection(SOURCES, declared, outages)
    before: dict[ExportKey, tuple[int, ...]] = {}
    for sequence, each in enumerate(events, 1):
        for now in (each.arrived_at, each.arrived_at + 61):
            before = counters_not_below(before, exports, now)
            if now == each.arrived_at:
                exports.apply([each._replace(sequence=sequence)])
                assert not exports.needs_rebuild
                before = counters_not_below(before, exports, now)


def counters_not_below(
    before: dict[ExportKey, tuple[int, ...]], exports: ExportProjection, now: float
) -> dict[ExportKey, tuple[int, ...]]:
    """The counters of every export at ``now``, none of them below what it was."""
    after = {key: counters(state) for key, state in states(exports, now).items()}
    for key, old in before.items():
        if key in after:  # a group whose only id was detected as an export is gone
            assert all(new >= past for new, past in zip(after[key], old, strict=True)), (key, old, after[key])
    return after


def counters(state: ExportState) -> tuple[int, ...]:
    """The counters of an export. Its slots are gauges: another interval may withdraw one."""
    return (state.initiated, state.completed, state.failed, state.abandoned)
