"""What the events of one export amount to, as they are stepped through in the order of history. Pure."""

from __future__ import annotations

import copy
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from exporter.domain import daylight_saving, deadlines, slots
from exporter.domain.events import COMPLETED, FAILURES, INITIATED
from exporter.domain.frequency import parse
from exporter.projection.fold.sort_keys import BEFORE_1970, MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Gap
    from exporter.domain.exports import Terms
    from exporter.projection.fold.sort_keys import Said

DURATION_BOUNDS = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0)
"""Upper bounds of the duration histogram, in seconds; one bucket without a bound follows."""


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
    returned: float = 0
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
        other = copy.copy(self)
        other.open = dict(self.open)
        return other

    @property
    def came_back(self) -> bool:
        """Whether another run followed at least half an interval after the first one.

        A further event never takes this back, wherever in history its place is: what is told here
        counts every announcement, since which of them is a run of its own may change.
        """
        return came_back(
            self.shortest_interval, self.first_start, self.last_announced, self.first_completed, self.last_completed
        )

    def waited_beyond(self, instant: float) -> bool:
        """Whether a slot that was waited for at or after ``instant`` may be among those that were counted.

        If none is, a gap that began then changes nothing of what is known here.
        """
        if self.anchor_promise is None:
            return False
        return self.last_announced + max(self.anchor_promise.grace, deadlines.LEAST_GRACE) > instant

    def step(self, mark: bytes, said: Said, promise: Terms, gaps: Sequence[Gap], retired: Sequence[float]) -> None:
        """Take the next event in the order of history."""
        occurred, _, arrived, _, sequence = MARK.unpack(mark)
        occurred_at = (occurred - BEFORE_1970) / 1e6
        self._describe(said)
        if sequence < self.first_sequence or not self.first_sequence:
            self.first_sequence = sequence
        arrived_at = (arrived - BEFORE_1970) / 1e6
        self.last_received = max(self.last_received, arrived_at)
        if said.status == INITIATED:
            self._start(said.request_id, occurred_at, promise, gaps, retired)
        elif said.status == COMPLETED:
            self._complete(said.request_id, occurred_at)
        elif said.status in FAILURES:
            self._end(said.request_id)
            self.failed += 1
            self.last_failed = occurred_at

    def _describe(self, said: Said) -> None:
        # Two spellings that differ in case only must not make the labels go to and fro.
        if said.partner != self.partner:
            self.partner = _respelled(self.partner, said.partner)
        if said.data_type != self.data_type:
            self.data_type = _respelled(self.data_type, said.data_type)
        if said.frequency != self.frequency:
            self.frequency = _respelled(self.frequency, said.frequency)
        if interval := parse(said.frequency).interval:
            # A one-time run among those of a declared export must not take its deadline away.
            self.interval = interval
            if interval < self.shortest_interval or not self.shortest_interval:
                self.shortest_interval = interval

    def _start(
        self, request_id: str, occurred_at: float, promise: Terms, gaps: Sequence[Gap], retired: Sequence[float]
    ) -> None:
        self.last_announced = occurred_at
        began = self.open.get(request_id)
        if began is not None:
            # Where no interval is known, the longest a run may take tells two runs apart.
            apart = promise.interval / 2 if promise.interval else promise.max_runtime
            if occurred_at - began < apart:
                return  # the same run, announced again
            self.abandoned += 1
        if self.open:
            self._give_up(occurred_at - promise.max_runtime - promise.interval if promise.interval else 0.0)
            self.open.pop(request_id, None)  # so that they stay in the order in which they began
        self.open[request_id] = occurred_at
        self.initiated += 1
        self.first_start = self.first_start or occurred_at
        if retired and any(self.last_initiated < each <= occurred_at for each in retired):
            self.returned = occurred_at
        self.last_initiated = occurred_at
        if promise.interval:
            self._take_slot(occurred_at, promise, gaps, retired)

    def _give_up(self, before: float) -> None:
        """Abandon runs that began before an instant, though no run of their own id followed.

        Where ids are made anew for each run, none ever will; by then it was told for a whole interval.
        """
        for request_id, _ in list(takewhile(lambda run: run[1] < before, self.open.items())):
            del self.open[request_id]
            self.abandoned += 1

    def _take_slot(self, start: float, promise: Terms, gaps: Sequence[Gap], retired: Sequence[float]) -> None:
        """Count the slots up to a start, by the schedule that held until then."""
        before, self.anchor_promise = self.anchor_promise, promise
        old = before or promise
        rescheduled = before is None or old.interval != promise.interval
        count = slots.slots_until(self.anchor, start, old) if before else 0
        retired_at = slots.first_after(self.anchor, retired) if retired else 0.0
        if before and 0 < retired_at <= start:
            # What it missed before is told already; in retirement nothing was due.
            rescheduled, count = True, slots.missed_by(self.anchor, retired_at, old) + 1
        if rescheduled or count:
            self.slots += max(1, count)
            if count > 1:
                unknown = slots.unknown_among(self.anchor, count - 1, old, gaps)
                self.unknown += unknown
                self.missed += count - 1 - unknown
            due = start if rescheduled else daylight_saving.latest_after(self.anchor, count, promise)
            self.late += start > due + promise.grace
            self.anchor = start

    def _end(self, request_id: str) -> float | None:
        """Take a run out of those that are open; when it began."""
        began = self.open.pop(request_id, None)
        if not self.open:
            self.open = {}  # one that had something in it takes 170 bytes more
        return began

    def _complete(self, request_id: str, occurred_at: float) -> None:
        self.completed += 1
        self.first_completed = self.first_completed or occurred_at
        self.last_completed = occurred_at
        began = self._end(request_id)
        if began is None:
            return
        self.last_duration = occurred_at - began
        self.duration_sum += self.last_duration
        bucket = bisect_left(DURATION_BOUNDS, self.last_duration)
        self.durations = (*self.durations[:bucket], self.durations[bucket] + 1, *self.durations[bucket + 1 :])


def came_back(
    shortest_interval: int, first_start: float, last_start: float, first_completed: float, last_completed: float
) -> bool:
    """Whether an id ran again: two announcements lie at least half of its shortest interval apart."""
    if not shortest_interval:
        return False
    started_again = last_start - min(first_start, first_completed or first_start) if last_start else 0
    # Where only completions arrive, two of them tell the same.
    completed_again = last_completed - first_completed
    return max(started_again, completed_again) >= shortest_interval / 2


def _respelled(old: str, new: str) -> str:
    return old if old == new or old.casefold() == new.casefold() else new
