"""The state depends on the set of events alone: not on order, batches, duplicates or restarts.

Histories are generated: several jobs on several sources, some of them in summer time, declared
exports, ids that recur and ids that are made anew, one-time runs, failures, second announcements,
runs that never end, a schedule that changes, and whatever else a chaotic sender might send.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE, catch_up, event, instant, received, states
from exporter.attribution import Exports
from exporter.model import Declaration, Event, ExportKey, ExportState, Gap, Selection, Source
from memory_ledger import MemoryLedger
from tools import thorough

SOURCES = {
    "shop": Source("shop", "UTC", UTC),
    "york": Source("york", "America/New_York", ZoneInfo("America/New_York")),
    "wild": Source("wild"),
}
# A usual day, and the evenings before both summer-time changes of New York.
BEGINNINGS = [instant("2026-06-01T00:00"), instant("2026-03-07T07:30"), instant("2026-10-31T05:30")]
FREQUENCIES = {"4h": 4 * HOUR, "8h": 8 * HOUR, "24h": DAY}
PARTNERS = ["Amazon S3", "amazon s3", "Azure"]
DECLARATIONS = [
    Declaration("nightly", Selection("york", partner="azure"), interval=DAY, grace=2 * HOUR),
    Declaration("own-words", Selection("shop", data_type="profiles")),
    Declaration("by-id", Selection("shop", request_id="11"), interval=8 * HOUR),
    Declaration("silent", Selection("shop", request_id="nobody"), interval=4 * HOUR),
    Declaration("22", Selection("wild", partner="azure", frequency="8h")),
]
ENDINGS = ["completed", "completed", "completed", "failed", "queued", ""]
WHOLE_SOURCES = [
    Declaration("all-of-shop", Selection("shop")),
    Declaration("events-of-york", Selection("york", data_type="events"), interval=DAY),
    Declaration("events-of-wild", Selection("wild", data_type="events"), grace=2 * MINUTE),
]


@dataclass(frozen=True)
class World:
    """What happened, and to whom it is told."""

    events: tuple[Event, ...]
    declarations: tuple[Declaration, ...]
    gaps: tuple[Gap, ...]

    def exports(self) -> Exports:
        return Exports(SOURCES, self.declarations, self.gaps)

    def nows(self) -> list[float]:
        last = max((each.occurred_at for each in self.events), default=BEGINNINGS[0])
        return [last + 3 * MINUTE, last + 5 * HOUR, last + 3 * DAY]

    def folded_in_order(self) -> Exports:
        """All of it at once in the order of history, as a restart would."""
        exports = self.exports()
        ledger = MemoryLedger()
        ledger.append([received(each) for each in sorted(self.events, key=lambda each: each.order)])
        catch_up(exports, ledger)
        return exports


@st.composite
def jobs(draw: st.DrawFn) -> list[Event]:
    """The events of one recurring or one-time job, which may change its schedule."""
    frequency = draw(st.sampled_from([*FREQUENCIES, "4h", "4h", "one-time", "now and then"]))
    interval = FREQUENCIES.get(frequency, 6 * HOUR)
    begins = draw(st.sampled_from(BEGINNINGS)) + draw(st.integers(0, 8)) * 30 * MINUTE
    anew = draw(st.booleans())
    first_id = draw(st.sampled_from([11, 22, 33, 44]))
    partner = draw(st.sampled_from(PARTNERS))
    data_type = draw(st.sampled_from(["events", "profiles"]))
    source = draw(st.sampled_from(list(SOURCES)))
    found: list[Event] = []
    for slot in range(draw(st.integers(1, 9))):
        start = begins + slot * interval + draw(st.integers(0, 5)) * 13 * MINUTE
        shape = draw(st.sampled_from(["run", "run", "run", "run", "twice", "startless", "missed", "changed"]))
        if shape == "missed":
            continue
        if shape == "changed":
            frequency = draw(st.sampled_from(list(FREQUENCIES)))
        told = [("initiated", start)] if shape != "startless" else []
        if shape == "twice":
            told.append(("initiated", start + 7 * MINUTE))
        if ending := draw(st.sampled_from(ENDINGS)):
            told.append((ending, start + draw(st.sampled_from([0, 40, 600, 2 * HOUR, 9 * HOUR]))))
        delay = draw(st.integers(-120, 700))
        found += [
            event(
                status,
                occurred_at,
                request_id=f"{first_id}{slot}" if anew else str(first_id),
                partner=partner,
                data_type=data_type,
                frequency=frequency,
                source=source,
                delay=delay,
            )
            for status, occurred_at in told
        ]
    return found


@st.composite
def strays(draw: st.DrawFn) -> Event:
    """Any event at any time, of ids that the jobs may have too."""
    return event(
        draw(st.sampled_from(["initiated", "completed", "failed", "paused"])),
        draw(st.sampled_from(BEGINNINGS)) + draw(st.integers(0, 200)) * 15 * MINUTE,
        request_id=draw(st.sampled_from(["11", "22", "33"])),
        partner=draw(st.sampled_from(PARTNERS)),
        frequency=draw(st.sampled_from(["4h", "4h", "8h", "24h", "one-time"])),
        source=draw(st.sampled_from(["shop", "shop", "york", "wild"])),
        delay=draw(st.integers(-120, 90_000)),
    )


@st.composite
def blind_times(draw: st.DrawFn) -> tuple[Gap, ...]:
    begins = draw(st.sampled_from(BEGINNINGS))
    edges = sorted(draw(st.sets(st.integers(0, 72), max_size=4)))
    return tuple(Gap(begins + a * HOUR, begins + b * HOUR) for a, b in zip(edges[::2], edges[1::2], strict=False))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    told = [each for job in draw(st.lists(jobs(), min_size=1, max_size=4)) for each in job]
    told += draw(st.lists(strays(), max_size=6))
    once = {(each.source, each.digest): each for each in told}
    declared = draw(st.lists(st.sampled_from(DECLARATIONS), unique=True))
    return World(tuple(once.values()), tuple(declared), draw(blind_times()))


@st.composite
def crowds(draw: st.DrawFn) -> World:
    """Few ids, few times, nothing else: what is rare in the life of a job is usual here."""
    moments = st.tuples(
        st.sampled_from(["initiated", "completed", "failed"]),
        st.integers(0, 12),
        st.sampled_from(["33", "44"]),
        st.sampled_from(["4h", "4h", "4h", "8h", "one-time"]),
    )
    told = [
        event(status, BEGINNINGS[0] + hour * HOUR, request_id=request_id, frequency=frequency)
        for status, hour, request_id, frequency in draw(st.sets(moments, min_size=2, max_size=24))
    ]
    return World(tuple(told), (), draw(blind_times()))


@st.composite
def throngs(draw: st.DrawFn) -> World:
    """More events of few ids than are kept loose, in less time than tells that an id came back.

    Now and then one from days before or after does tell it, when most is folded for good already.
    """
    minutes = [*range(0, 11 * 60, 20), -3 * 24 * 60, 2 * 24 * 60]
    moments = st.tuples(st.sampled_from(minutes), st.sampled_from(["33", "33", "44", "55"]))
    told = [
        event(
            "initiated" if minute % 60 else "completed",
            BEGINNINGS[0] + minute * MINUTE,
            request_id=id_,
            frequency="24h",
        )
        for minute, id_ in sorted(draw(st.sets(moments, min_size=20, max_size=60)))
    ]
    return World(tuple(told), (), ())


histories = st.one_of(worlds(), crowds(), throngs())


def seen(exports: Exports, nows: list[float]) -> list[dict[ExportKey, ExportState]]:
    return [states(exports, now, declared_at=BEGINNINGS[1]) for now in nows]


@thorough
@given(world=histories, chance=st.integers(0, 2**32), batch=st.integers(1, 20))
def test_any_order_batching_and_duplication_gives_the_same_states(world: World, chance: int, batch: int) -> None:
    dice = Random(chance)
    deliveries = [*world.events, *dice.choices(world.events, k=len(world.events) // 2)] if world.events else []
    dice.shuffle(deliveries)
    exports, ledger, after = world.exports(), MemoryLedger(), 0
    while deliveries:
        size = dice.randint(1, batch)
        ledger.append([received(each) for each in deliveries[:size]])
        del deliveries[:size]
        after = catch_up(exports, ledger, after, dice.randint(1, 9), dice.choice([min, max]))
    assert ledger.last_sequence() == len(world.events)
    assert seen(exports, world.nows()) == seen(world.folded_in_order(), world.nows())


@thorough
@given(world=histories, chance=st.integers(0, 2**32))
def test_a_restart_in_the_middle_changes_nothing(world: World, chance: int) -> None:
    dice = Random(chance)
    deliveries = list(world.events)
    dice.shuffle(deliveries)
    ledger = MemoryLedger()
    running, after = world.exports(), 0
    for each in deliveries:
        ledger.append([received(each)])
        after = catch_up(running, ledger, after)
    restarted = world.exports()
    catch_up(restarted, ledger)
    assert seen(running, world.nows()) == seen(restarted, world.nows())
    assert {key: running.birth(key) for key in running.all()} == {key: restarted.birth(key) for key in restarted.all()}
    assert running.recognised() == restarted.recognised()


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
    told=st.lists(jobs(), min_size=1, max_size=3),
    declared=st.lists(st.sampled_from(WHOLE_SOURCES), unique=True),
    gaps=blind_times(),
)
def test_counters_never_go_down_while_events_come_as_they_happen(
    told: list[list[Event]], declared: list[Declaration], gaps: tuple[Gap, ...]
) -> None:
    # Each job has ids and a partner of its own, so that none leaves the group of another.
    events = [
        replace(
            each,
            request_id=f"{job}-{each.request_id}",
            partner=f"{each.partner} {job}",
            arrived_at=each.occurred_at + 60,
        )
        for job, made in enumerate(told)
        for each in made
    ]
    events.sort(key=lambda each: each.order)
    exports = Exports(SOURCES, declared, gaps)
    before: dict[ExportKey, tuple[int, ...]] = {}
    for sequence, each in enumerate(events, 1):
        for now in (each.arrived_at, each.arrived_at + 61):
            before = counters_not_below(before, exports, now)
            if now == each.arrived_at:
                exports.apply([replace(each, sequence=sequence)])
                assert not exports.stale
                before = counters_not_below(before, exports, now)


def counters_not_below(
    before: dict[ExportKey, tuple[int, ...]], exports: Exports, now: float
) -> dict[ExportKey, tuple[int, ...]]:
    """The counters of every export at ``now``, none of them below what it was."""
    after = {key: counters(state) for key, state in states(exports, now).items()}
    for key, old in before.items():
        if key in after:  # a group whose only id was recognised is gone
            assert all(new >= past for new, past in zip(after[key], old, strict=True)), (key, old, after[key])
    return after


def counters(state: ExportState) -> tuple[int, ...]:
    return (
        state.slots,
        state.slots_late,
        state.slots_missed,
        state.slots_unknown,
        state.initiated,
        state.completed,
        state.failed,
        state.abandoned,
    )
