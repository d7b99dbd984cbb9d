"""Steps through the events of one export in chronological order, and counts its runs and slots. Pure."""

from __future__ import annotations

import copy
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from exporter.domain import daylight_saving, deadlines, slots
from exporter.domain.events import COMPLETED, FAILED, INITIATED, RUNNING
from exporter.domain.frequency import parse
from exporter.projection.fold.sort_keys import EPOCH_OFFSET, SORT_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Expectation
    from exporter.projection.fold.sort_keys import EventText

DURATION_BOUNDS = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0)
"""Upper bounds of the duration histogram, in seconds; one bucket without a bound follows."""


@dataclass(slots=True)
class Runs:
    """What the events of one export amount to, up to the last one applied.

    Instants are Unix seconds, 0 for never; durations and intervals are seconds.

    Attributes:
        partner, data_type, frequency: the labels of the newest event.
        first_sequence: the smallest sequence of an event.
        interval, shortest_interval: of the events that have an interval, the newest and the shortest one.
        last_initiated: the start of the newest run; repeated announcements of a run do not move it.
        last_start_seen: the newest Initiated event, repeated or not.
        reactivated_at: the start that ended the last retirement.
        duration_buckets: runs per bucket of `DURATION_BOUNDS`, not cumulative.
        superseded: runs that were open when the next one started.
        open_runs: request id to start, in the order in which the runs began.
        overlapping: request id to the start of another run of it that may still be open: one that was open when
            the next began, or the other one of two of which one has completed. Which is which is unknown.
        last_slot_start: the start that filled the last slot.
        slot_expectation: the expectation at that start; None before the first slot.
    """

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
    last_start_seen: float = 0
    last_failed: float = 0
    reactivated_at: float = 0
    last_received: float = 0
    last_duration: float = 0
    duration_buckets: tuple[int, ...] = (0,) * (len(DURATION_BOUNDS) + 1)
    duration_sum: float = 0
    initiated: int = 0
    completed: int = 0
    failed: int = 0
    superseded: int = 0
    open_runs: dict[str, float] = field(default_factory=dict)
    overlapping: dict[str, float] = field(default_factory=dict)
    last_slot_start: float = 0
    slot_expectation: Expectation | None = None
    slots: int = 0
    late_slots: int = 0
    missed_slots: int = 0
    unknown_slots: int = 0

    def copy(self) -> Runs:
        """Return an independent copy."""
        other = copy.copy(self)
        other.open_runs = dict(self.open_runs)
        other.overlapping = dict(self.overlapping)
        return other

    @property
    def has_recurred(self) -> bool:
        """Whether a second run followed at least half an interval after the first.

        A later event, wherever it belongs, never reverts this: every Initiated counts, repeated or
        not, because a late event may change which of them start a run.
        """
        return has_recurred(
            self.shortest_interval, self.first_start, self.last_start_seen, self.first_completed, self.last_completed
        )

    def counted_slot_after(self, instant: float) -> bool:
        """Return whether an outage that begins at ``instant`` may affect a slot that is already counted.

        It may if the grace period of the last counted slot ends later.
        """
        if self.slot_expectation is None:
            return False
        newest_start = max(self.last_start_seen, self.last_slot_start)
        return newest_start + max(self.slot_expectation.grace, deadlines.MIN_GRACE) > instant

    def apply(
        self,
        sort_key: bytes,
        event_text: EventText,
        expectation: Expectation,
        outages: Sequence[Outage],
        retired: Sequence[float],
    ) -> None:
        """Apply the next event in chronological order."""
        occurred, _, arrived, _, sequence = SORT_KEY.unpack(sort_key)
        occurred_at = (occurred - EPOCH_OFFSET) / 1e6
        self._update_labels(event_text)
        if sequence < self.first_sequence or not self.first_sequence:
            self.first_sequence = sequence
        arrived_at = (arrived - EPOCH_OFFSET) / 1e6
        self.last_received = max(self.last_received, arrived_at)
        if event_text.status == INITIATED:
            self.last_start_seen = occurred_at
            self._start(event_text.request_id, occurred_at, expectation, outages, retired)
        elif event_text.status == RUNNING:
            if event_text.request_id not in self.open_runs:
                self._start(event_text.request_id, occurred_at, expectation, outages, retired)
        elif event_text.status == COMPLETED:
            self._complete(event_text.request_id, occurred_at)
        elif event_text.status == FAILED:
            self._close_run(event_text.request_id)
            self.failed += 1
            self.last_failed = occurred_at

    def _update_labels(self, event_text: EventText) -> None:
        # Keep a spelling that differs in case only, so that the labels do not flip between two of them.
        if event_text.partner != self.partner:
            self.partner = _preferred_spelling(self.partner, event_text.partner)
        if event_text.data_type != self.data_type:
            self.data_type = _preferred_spelling(self.data_type, event_text.data_type)
        if event_text.frequency != self.frequency:
            self.frequency = _preferred_spelling(self.frequency, event_text.frequency)
        if interval := parse(event_text.frequency).interval:
            # Events without an interval do not reset it: a one-time run of a declared export keeps its deadline.
            self.interval = interval
            if interval < self.shortest_interval or not self.shortest_interval:
                self.shortest_interval = interval

    def _start(
        self,
        request_id: str,
        occurred_at: float,
        expectation: Expectation,
        outages: Sequence[Outage],
        retired: Sequence[float],
    ) -> None:
        started_at = self.open_runs.get(request_id)
        if started_at is not None:
            # Without an interval, starts that are further apart than a run may last are two runs.
            min_distance = expectation.interval / 2 if expectation.interval else expectation.max_runtime
            if occurred_at - started_at < min_distance:
                return  # a repeated announcement of the same run
            self.superseded += 1
            del self.open_runs[request_id]  # the new run is the last in the order of start
            if occurred_at - started_at < expectation.max_runtime:  # else it was stuck, and counts as abandoned
                self.overlapping[request_id] = started_at
        elif request_id in self.overlapping:
            self._forget_overlap(request_id, occurred_at, expectation)
        if self.open_runs:
            self._supersede_before(
                occurred_at - expectation.max_runtime - expectation.interval if expectation.interval else 0.0
            )
        self.open_runs[request_id] = occurred_at
        self.initiated += 1
        self.first_start = self.first_start or occurred_at
        if retired and any(self.last_initiated < instant <= occurred_at for instant in retired):
            self.reactivated_at = occurred_at
        self.last_initiated = occurred_at
        if expectation.interval:
            self._take_slot(occurred_at, expectation, outages, retired)

    def _forget_overlap(self, request_id: str, start: float, expectation: Expectation) -> None:
        """At a start with no open run of the id, forget the other run that may be open unless it can be.

        Only a run that may take longer than the interval can be, for as long as it may take.
        """
        may_overlap = expectation.max_runtime > expectation.interval
        if not may_overlap or start - self.overlapping[request_id] >= expectation.max_runtime:
            del self.overlapping[request_id]

    def _supersede_before(self, before: float) -> None:
        """Supersede open runs that began before an instant, although no run with the same request id followed.

        If the sender makes a new id for each run, none ever follows. By then the run was shown as stuck
        for a whole interval.
        """
        for request_id, _ in list(takewhile(lambda run: run[1] < before, self.open_runs.items())):
            del self.open_runs[request_id]
            self.superseded += 1

    def _take_slot(
        self, start: float, expectation: Expectation, outages: Sequence[Outage], retired: Sequence[float]
    ) -> None:
        """Count the slots from the last one up to a start, by the expectation at the last one.

        ===================================  ==================  ========================================
        the start is                         slots added         late if after
        ===================================  ==================  ========================================
        the first one                        1                   never
        in the same slot (see `slots`)       none                -
        k slots later                        k: k - 1 of them    slot k + grace
                                             missed or unknown
        the first with another interval      k, at least 1       never: it starts a new schedule
        the first after a retirement         those missed until  never: it starts a new schedule
                                             then, plus 1
        ===================================  ==================  ========================================
        """
        previous, self.slot_expectation = self.slot_expectation, expectation
        previous_expectation = previous or expectation
        rescheduled = previous is None or previous_expectation.interval != expectation.interval
        count = slots.slots_between(self.last_slot_start, start, previous_expectation) if previous else 0
        retired_at = slots.first_after(self.last_slot_start, retired) if retired else 0.0
        if previous and 0 < retired_at <= start:
            # Only slots before the retirement can be missed.
            rescheduled = True
            count = 1 + slots.missed_slots(self.last_slot_start, retired_at, previous_expectation)
        if rescheduled or count:
            self.slots += max(1, count)
            if count > 1:
                unknown = slots.unknown_slots(self.last_slot_start, count - 1, previous_expectation, outages)
                self.unknown_slots += unknown
                self.missed_slots += count - 1 - unknown
            if not rescheduled:
                due = daylight_saving.latest_slot_after(self.last_slot_start, count, expectation)
                self.late_slots += start > due + expectation.grace
            self.last_slot_start = start

    def _close_run(self, request_id: str) -> float | None:
        """Remove an open run, and return when it started; None if it was not open."""
        started_at = self.open_runs.pop(request_id, None)
        if not self.open_runs:
            self.open_runs = {}  # a dict that had an entry takes 170 bytes more
        return started_at

    def _complete(self, request_id: str, occurred_at: float) -> None:
        self.completed += 1
        self.first_completed = self.first_completed or occurred_at
        self.last_completed = occurred_at
        started_at = self._close_run(request_id)
        if started_at is None:
            return
        if request_id in self.overlapping:
            self.overlapping[request_id] = started_at
            return  # it may have been the other run that completed
        self.last_duration = occurred_at - started_at
        self.duration_sum += self.last_duration
        bucket = bisect_left(DURATION_BOUNDS, self.last_duration)
        self.duration_buckets = (
            *self.duration_buckets[:bucket],
            self.duration_buckets[bucket] + 1,
            *self.duration_buckets[bucket + 1 :],
        )


def has_recurred(
    shortest_interval: int, first_start: float, last_start: float, first_completed: float, last_completed: float
) -> bool:
    """Return whether a request id had two runs: two of its events are at least half its shortest interval apart."""
    if not shortest_interval:
        return False
    started_again = last_start - min(first_start, first_completed or first_start) if last_start else 0
    # A sender may announce completions only.
    completed_again = last_completed - first_completed
    return max(started_again, completed_again) >= shortest_interval / 2


def _preferred_spelling(old: str, new: str) -> str:
    """Return the new text, unless it differs from the old one in case only."""
    return old if old == new or old.casefold() == new.casefold() else new
