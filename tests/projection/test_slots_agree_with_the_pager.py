"""Between two completions, something was late or missed if and only if the export was overdue in between.

The histories are generated: late and early runs, runs that never complete, extra and missing ones, failures, intervals
changed by the sender or the configuration, ids that get an export of their own, declarations with and without a first
expected time, outages, summer time, retirements and pruned events. The pager's side is sampled minute by minute from
the deadline that a scrape shows; it uses nothing that counts slots.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE, accepted_event, catch_up, event, instant
from exporter.domain.events import COMPLETED, Event, Outage
from exporter.domain.exports import DECLARED, Declaration, Selection, Source
from exporter.domain.slot_outcomes import LATE, MAX_SLOTS, MISSED, ON_TIME, OUTCOMES, UNKNOWN
from exporter.domain.terms import Terms, TermsChange
from exporter.projection.fold.evaluation import evaluate
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.history import History
from exporter.projection.fold.sort_keys import pack_sort_key
from memory_ledger import MemoryLedger
from tools import PROOF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState
    from exporter.projection.fold.rules import Rules
    from exporter.projection.fold.runs import Runs

BEGINNINGS = [instant("2026-06-01T00:00"), instant("2026-03-07T07:30"), instant("2026-10-31T05:30")]
FREQUENCIES = {"1h": HOUR, "4h": 4 * HOUR, "12h": 12 * HOUR, "24h": DAY}
SOURCES = [Source("shop", "UTC", UTC), Source("shop", "America/New_York", ZoneInfo("America/New_York")), Source("shop")]
INTERVALS = [None, HOUR, 4 * HOUR, DAY]
GRACES = [None, 0, 30 * MINUTE, 5 * HOUR]
SHAPES = ["on time"] * 5 + ["late", "very late", "never completes", "missing", "extra", "changed", "startless", "fails"]


@dataclass(frozen=True)
class Story:
    """What happened: the input of a fold."""

    source: Source
    events: tuple[Event, ...]
    declaration: Declaration | None
    declared_at: float
    terms: tuple[TermsChange, ...]
    outages: tuple[Outage, ...]
    retirements: tuple[float, ...]

    def exports(self) -> ExportProjection:
        declarations = [self.declaration] if self.declaration else []
        nightly = ("shop", "nightly")
        return ExportProjection(
            {"shop": self.source},
            declarations,
            self.outages,
            declared_at={nightly: self.declared_at},
            terms={nightly: self.terms},
        )

    def folded(self, events: Sequence[Event]) -> ExportProjection:
        exports, ledger = self.exports(), MemoryLedger()
        ledger.append([accepted_event(each) for each in events])
        catch_up(exports, ledger)
        exports.set_retirements(dict.fromkeys(exports.all_keys(), self.retirements))
        while exports.needs_rebuild:
            key = min(exports.needs_rebuild)
            exports.rebuild(key, ledger.select(exports.selection(key), ledger.last_sequence()))
        return exports


@st.composite
def jobs(draw: st.DrawFn, begin: float, request_id: str) -> list[Event]:
    frequency = draw(st.sampled_from(list(FREQUENCIES)))
    events: list[Event] = []
    start = begin + draw(st.integers(0, 90)) * MINUTE
    for _ in range(draw(st.integers(1, 7))):
        interval = FREQUENCIES[frequency]
        shape = draw(st.sampled_from(SHAPES))
        started = start + draw(st.sampled_from([0, 1, 7, 29])) * MINUTE
        delay = {"late": interval // 240, "very late": interval // 60}.get(shape, 0) * draw(st.integers(1, 90))
        completed = started + draw(st.sampled_from([0, 1, 10, 50])) * MINUTE + delay * MINUTE
        if shape == "changed":
            frequency = draw(st.sampled_from(list(FREQUENCIES)))
        if shape not in {"missing", "startless"}:
            events.append(event("initiated", started, request_id=request_id, frequency=frequency))
        if shape not in {"missing", "never completes"}:
            status = "failed" if shape == "fails" else "completed"
            events.append(event(status, completed, request_id=request_id, frequency=frequency))
        if shape == "extra":
            extra = completed + draw(st.integers(1, interval // MINUTE)) * MINUTE
            events.append(event("completed", extra, request_id=request_id, frequency=frequency))
        start += interval
    return events


@st.composite
def happenings(draw: st.DrawFn) -> Story:
    begin = draw(st.sampled_from(BEGINNINGS))
    events = [each for number in "12"[: draw(st.integers(1, 2))] for each in draw(jobs(begin, number))]
    declaration = draw(
        st.none()
        | st.builds(
            Declaration,
            st.just("nightly"),
            st.just(Selection("shop")),
            interval=st.sampled_from(INTERVALS),
            grace=st.sampled_from(GRACES),
            first_expected=st.sampled_from([0, begin, begin + 5 * HOUR, begin + 30 * HOUR]),
        )
    )
    terms = st.builds(Terms, st.sampled_from(INTERVALS), st.sampled_from(GRACES))
    changes = draw(st.dictionaries(st.integers(-60, 5 * 24 * 60), terms, max_size=draw(st.sampled_from([0, 2, 5]))))
    edges = sorted(draw(st.sets(st.integers(-60, 6 * 24 * 60), max_size=4)))
    outages = [
        Outage(begin + began * MINUTE, begin + ended * MINUTE)
        for began, ended in zip(edges[::2], edges[1::2], strict=False)
    ]
    retirements = sorted(draw(st.sets(st.integers(0, 4 * 24 * 60), max_size=draw(st.sampled_from([0, 0, 2])))))
    return Story(
        draw(st.sampled_from(SOURCES)),
        tuple({each.digest: each for each in events}.values()),
        declaration,
        begin + draw(st.sampled_from([-HOUR, 0, 20 * HOUR])),
        tuple(TermsChange(begin + minute * MINUTE, changes[minute]) for minute in sorted(changes)),
        tuple(outages),
        tuple(begin + minute * MINUTE for minute in retirements),
    )


@settings(max_examples=3)  # `make prove` has hundreds
@given(history=happenings(), chance=st.integers(0, 2**32))
def test_something_is_late_or_missed_if_and_only_if_the_export_was_overdue(history: Story, chance: int) -> None:
    check(history, chance)


@pytest.mark.proof
@pytest.mark.parametrize("part", range(3))  # which run at the same time
@settings(max_examples=50 * PROOF)
@given(history=happenings(), chance=st.integers(0, 2**32))
def test_over_many_histories_something_is_late_or_missed_if_and_only_if_the_export_was_overdue(
    history: Story, chance: int, part: int
) -> None:
    check(history, chance + part)


def check(history: Story, chance: int) -> None:
    dice = Random(chance)
    deliveries = [*history.events, *dice.sample(history.events, len(history.events) // 3)]
    dice.shuffle(deliveries)
    exports = history.folded(deliveries)
    for key in exports.all_keys():
        events = sorted((each for each in history.events if exports.key_of(each) == key), key=pack_sort_key)
        check_export(history, exports, key, events)
        rules = rules_of(exports, key)
        assert folded(rules, events, dice.randint(0, len(events))) == folded(rules, events)
        begin = min((each.occurred_at for each in events), default=history.declared_at)
        for hours in (1, 30, 200, 2000):
            check_last_slots(exports.state(key, begin + hours * HOUR))


def check_last_slots(state: ExportState) -> None:
    """Compare the last slots with the counters."""
    last = state.recent_slots
    counts = Counter(slot.outcome for slot in last)
    on_time = state.slots - state.slots_late - state.slots_missed - state.slots_unknown
    counters = {ON_TIME: on_time, LATE: state.slots_late, MISSED: state.slots_missed, UNKNOWN: state.slots_unknown}
    assert len(last) == min(state.slots, MAX_SLOTS)
    if state.slots <= MAX_SLOTS:
        assert {outcome: counts[outcome] for outcome in OUTCOMES} == counters
    else:
        assert all(counts[outcome] <= counters[outcome] for outcome in OUTCOMES)
    assert all((slot.completed_at > 0) == (slot.outcome in {ON_TIME, LATE}) for slot in last)
    # A completion that comes before its slot is due may shorten the interval, so that earlier ones follow.
    assert all(after.due_at >= min(slot.due_at, slot.completed_at or slot.due_at) for slot, after in pairwise(last))


def check_export(history: Story, exports: ExportProjection, key: ExportKey, events: Sequence[Event]) -> None:
    """Compare every time between two completions, and the time after the last one."""
    happened_at = [each.occurred_at for each in events]
    rules = rules_of(exports, key)
    declared = history.declaration if key.kind == DECLARED else None
    expected_at = [history.declared_at, declared.first_expected or history.declared_at] if declared else []
    begin = min(expected_at + happened_at[:1])
    end = max([begin, *happened_at]) + 30 * HOUR
    folds = [folded(rules, events[:count]) for count in range(len(events) + 1)]

    def state(now: float, known: int) -> ExportState:
        return evaluate(key, folds[known], rules, history.source, now=now, declared=declared)

    def was_overdue(since: float, until: float) -> bool:
        """Sample the deadline in the middle of every minute, by what had happened until then."""
        instants = (since + (minute + 0.5) * MINUTE for minute in range(int(until - since) // MINUTE))
        return any(0 < state(now, bisect_left(happened_at, now)).deadline < now for now in instants)

    bad_before, since = 0, begin
    for until in [*dict.fromkeys(each.occurred_at for each in events if each.status == COMPLETED), end]:
        after = state(until, bisect_right(happened_at, until))
        bad = after.slots_late + after.slots_missed
        overdue = was_overdue(since, until)
        # After the last completion, a slot is missed a whole interval after the export became overdue, or later.
        assert (bad > bad_before) == overdue or (until == end and overdue)
        bad_before, since = bad, until
    assert exports.state(key, end) == state(end, len(events))


def rules_of(exports: ExportProjection, key: ExportKey) -> Rules:
    history = exports.history(key)
    assert history is not None
    return history.rules


def folded(rules: Rules, events: Sequence[Event], pruned: int = 0) -> Runs:
    """Fold events in chronological order, of which some of the first ones may be pruned."""
    baseline = History(rules).fold_onto(events[:pruned]) if pruned else None
    history = History(rules, baseline)
    history.rebuild(events[pruned:], baseline)
    return history.runs()
