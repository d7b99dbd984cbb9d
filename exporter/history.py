"""The fold: the events of one export, in the order of history, become its state.

Pure: no I/O, and no clock; now is a parameter. The result depends on the set of events and not
on the order in which they were delivered. What is folded for good is compact; the newest few
events are kept beside it, so that one that comes a little late is put in its place at once.
One that is older than that asks for the export's events again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter import schedule
from exporter.model import COMPLETED, FAILURES, INITIATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.model import Event, Gap, Terms

DURATION_BOUNDS = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0)
"""Upper bounds of the duration histogram, in seconds; one bucket without a bound follows."""

RECENT = 16
"""How many of the newest events stay loose before the older half is folded for good."""


@dataclass(slots=True)
class Runs:
    """What the events of one export amount to, as far as they were stepped through."""

    partner: str = ""
    data_type: str = ""
    frequency: str = ""
    first_sequence: int = 0
    interval: int = 0
    shortest_interval: int = 0
    first_start: float = 0
    first_completed: float = 0
    last_initiated: float = 0
    last_completed: float = 0
    last_announced: float = 0
    last_failed: float = 0
    last_received: float = 0
    last_duration: float = 0
    durations: tuple[int, ...] = (0,) * (len(DURATION_BOUNDS) + 1)
    duration_sum: float = 0
    initiated: int = 0
    completed: int = 0
    failed: int = 0
    abandoned: int = 0
    open: dict[str, float] = field(default_factory=dict)
    anchor: float = 0
    anchor_promise: Terms | None = None
    slots: int = 0
    late: int = 0
    missed: int = 0
    unknown: int = 0

    def copy(self) -> Runs:
        """An independent copy."""
        return replace(self, open=dict(self.open))

    @property
    def came_back(self) -> bool:
        """Whether another run followed at least half an interval after the first one.

        A further event never takes this back, wherever in history its place is: what is told here
        counts every announcement, since which of them is a run of its own may change.
        """
        if not self.shortest_interval:
            return False
        firsts = [first for first in (self.first_start, self.first_completed) if first]
        started_again = self.last_announced - min(firsts, default=0) if self.last_announced else 0
        # Where only completions arrive, two of them tell the same.
        completed_again = self.last_completed - self.first_completed
        return max(started_again, completed_again) >= self.shortest_interval / 2

    def step(self, event: Event, promise: Terms, gaps: Sequence[Gap]) -> None:
        """Take the next event in the order of history."""
        self._describe(event)
        if event.status == INITIATED:
            self._start(event, promise, gaps)
        elif event.status == COMPLETED:
            self._complete(event)
        elif event.status in FAILURES:
            self.open.pop(event.request_id, None)
            self.failed += 1
            self.last_failed = event.occurred_at

    def _describe(self, event: Event) -> None:
        # Two spellings that differ in case only must not make the labels go to and fro.
        self.partner = _respelled(self.partner, event.partner)
        self.data_type = _respelled(self.data_type, event.data_type)
        self.frequency = _respelled(self.frequency, event.frequency)
        self.first_sequence = min(event.sequence, self.first_sequence or event.sequence)
        if interval := event.schedule.interval:
            # A one-time run among those of a declared export must not take its deadline away.
            self.interval = interval
            self.shortest_interval = min(interval, self.shortest_interval or interval)
        self.last_received = max(self.last_received, event.arrived_at)

    def _start(self, event: Event, promise: Terms, gaps: Sequence[Gap]) -> None:
        self.last_announced = event.occurred_at
        began = self.open.get(event.request_id)
        if began is not None:
            # Where no interval is known, the longest a run may take tells two runs apart.
            apart = promise.interval / 2 if promise.interval else promise.max_runtime
            if event.occurred_at - began < apart:
                return  # the same run, announced again
            self.abandoned += 1
        self._give_up(event.occurred_at - promise.max_runtime - promise.interval if promise.interval else 0.0)
        self.open[event.request_id] = event.occurred_at
        self.initiated += 1
        self.first_start = self.first_start or event.occurred_at
        self.last_initiated = event.occurred_at
        if promise.interval:
            self._take_slot(event.occurred_at, promise, gaps)

    def _give_up(self, before: float) -> None:
        """Abandon runs that began before an instant, though no run of their own id followed.

        Where ids are made anew for each run, none ever will; by then it was told for a whole interval.
        """
        for request_id, began in list(self.open.items()):
            if began < before:
                del self.open[request_id]
                self.abandoned += 1

    def _take_slot(self, start: float, promise: Terms, gaps: Sequence[Gap]) -> None:
        """Count the slots up to a start, by the schedule that held until then."""
        before, self.anchor_promise = self.anchor_promise, promise
        old = before or promise
        rescheduled = before is None or old.interval != promise.interval
        count = schedule.slots_until(self.anchor, start, old) if before else 0
        if rescheduled or count:
            missed = max(0, count - 1)
            unknown = schedule.unknown_among(self.anchor, missed, old, gaps)
            self.slots += missed + 1
            self.unknown += unknown
            self.missed += missed - unknown
            due = start if rescheduled else schedule.latest_after(self.anchor, count, promise)
            self.late += start > due + promise.grace
            self.anchor = start

    def _complete(self, event: Event) -> None:
        self.completed += 1
        self.first_completed = self.first_completed or event.occurred_at
        self.last_completed = event.occurred_at
        began = self.open.pop(event.request_id, None)
        if began is None:
            return
        self.last_duration = event.occurred_at - began
        self.duration_sum += self.last_duration
        bucket = bisect_left(DURATION_BOUNDS, self.last_duration)
        self.durations = (*self.durations[:bucket], self.durations[bucket] + 1, *self.durations[bucket + 1 :])


class History:
    """The events of one export, as far as they are known.

    Args:
        promises: what the export promises when its events have this interval.
        gaps: when nobody listened, in order.
    """

    __slots__ = ("_current", "_gaps", "_promises", "_recent", "_settled", "_settled_count", "_watermark")

    def __init__(self, promises: Callable[[int], Terms], gaps: Sequence[Gap] = ()) -> None:
        self._promises = promises
        self._gaps = gaps
        self._settled = Runs()
        self._settled_count = 0
        self._watermark: tuple[float, int, float, bytes] | None = None
        self._recent: list[Event] = []
        self._current: Runs | None = None

    def __len__(self) -> int:
        """How many events it holds."""
        return self._settled_count + len(self._recent)

    def add(self, event: Event) -> bool:
        """Put ``event`` in its place.

        Returns:
            False, and nothing was done, where it is too old for that: give all to `rebuild`.
        """
        if self._watermark is not None and event.order < self._watermark:
            return False
        self._current = None
        recent = self._recent
        if recent and event.order < recent[-1].order:
            insort(recent, event, key=lambda each: each.order)
        else:
            recent.append(event)
        if len(recent) > RECENT:
            self._settle(RECENT // 2)
        return True

    def remove(self, request_id: str, count: int) -> bool:
        """Take the ``count`` events of a request id out, where they are all recent; else False."""
        kept = [event for event in self._recent if event.request_id != request_id]
        if len(self._recent) - len(kept) != count:
            return False
        self._recent, self._current = kept, None
        return True

    def rebuild(self, events: Iterable[Event]) -> None:
        """Start again from these events, in any order."""
        self._settled, self._settled_count, self._watermark = Runs(), 0, None
        self._recent = sorted(events, key=lambda each: each.order)
        self._current = None
        if len(self._recent) > RECENT:
            self._settle(len(self._recent) - RECENT // 2)

    def runs(self) -> Runs:
        """What all of its events amount to; not to be changed by the caller."""
        if self._current is None:
            self._current = self._settled.copy()
            for event in self._recent:
                self._step(self._current, event)
        return self._current

    def _settle(self, count: int) -> None:
        for event in self._recent[:count]:
            self._step(self._settled, event)
        self._watermark = self._recent[count - 1].order
        self._settled_count += count
        del self._recent[:count]

    def _step(self, runs: Runs, event: Event) -> None:
        runs.step(event, self._promises(event.schedule.interval), self._gaps)


def _respelled(old: str, new: str) -> str:
    return old if old == new or old.casefold() == new.casefold() else new
