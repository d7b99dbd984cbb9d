"""Steps through the events of one export in chronological order, and counts its runs and slots. Pure."""

from __future__ import annotations

import copy
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from exporter.domain import slot_outcomes, slots
from exporter.domain.events import COMPLETED, FAILED, INITIATED, RUNNING
from exporter.domain.frequency import parse
from exporter.domain.slots import Schedule
from exporter.projection.fold import usual_duration
from exporter.projection.fold.sort_keys import EPOCH_OFFSET, SORT_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Expectation
    from exporter.domain.slots import Verdict
    from exporter.projection.fold.rules import Rules
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
        duration_buckets: runs per bucket of `DURATION_BOUNDS`, not cumulative.
        superseded: runs that were open when the next one started.
        open_runs: request id to start, in the order in which the runs began.
        overlapping: request id to the start of another run of it that may still be open: one that was open when
            the next began, or the other one of two of which one has completed. Which is which is unknown.
        scheduled_since: what slots are counted from: the last completion, or whatever `_follow_schedule` says;
            0 before the first schedule, and the retirement after one.
        slot_expectation: the expectation at that time; None without a schedule.
        last_slot_filled: the completion that filled the last slot of a schedule.
        slots: late, missed and unknown ones, and those on time.
        recent_late_at, recent_missed_at, recent_unknown_at: when the slots of the last week came to be so.
        last_slots: the last slots counted, by `slot_outcomes.with_slots`.
        outages_matter_until: an outage that begins before this instant may change a slot that is already counted.
        recent_durations: see `usual_duration`.
        changes_applied_until: up to which instant `Rules.changes` have been applied; 0 if there were none.
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
    scheduled_since: float = 0
    slot_expectation: Expectation | None = None
    last_slot_filled: float = 0
    slots: int = 0
    late_slots: int = 0
    missed_slots: int = 0
    unknown_slots: int = 0
    recent_late_at: tuple[float, ...] = ()
    recent_missed_at: tuple[float, ...] = ()
    recent_unknown_at: tuple[float, ...] = ()
    last_slots: bytes = b""
    outages_matter_until: float = 0
    recent_durations: bytes = b""
    changes_applied_until: float = 0

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

    def apply(self, sort_key: bytes, event_text: EventText, rules: Rules) -> None:
        """Apply the next event in chronological order."""
        occurred, _, arrived, _, sequence = SORT_KEY.unpack(sort_key)
        occurred_at = (occurred - EPOCH_OFFSET) / 1e6
        interval_before = self.interval
        self._update_labels(event_text)
        if sequence < self.first_sequence or not self.first_sequence:
            self.first_sequence = sequence
        arrived_at = (arrived - EPOCH_OFFSET) / 1e6
        self.last_received = max(self.last_received, arrived_at)
        status = event_text.status
        starts = status == INITIATED or (status == RUNNING and event_text.request_id not in self.open_runs)
        if rules.changes:
            self.apply_changes(occurred_at, interval_before, rules)
        self._follow_schedule(
            occurred_at, interval_before, rules, begins=starts or status == COMPLETED, completes=status == COMPLETED
        )
        if status == INITIATED:
            self.last_start_seen = occurred_at
        if starts:
            expectation = rules.expectation_for_at(occurred_at)(parse(event_text.frequency).interval)
            self._start(event_text.request_id, occurred_at, expectation)
        elif status == COMPLETED:
            self._complete(event_text.request_id, occurred_at)
        elif status == FAILED:
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

    def _start(self, request_id: str, occurred_at: float, expectation: Expectation) -> None:
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
        self.last_initiated = occurred_at

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

    def _follow_schedule(
        self, occurred_at: float, interval_before: int, rules: Rules, *, begins: bool, completes: bool
    ) -> None:
        """Bring the schedule and the slots up to an event.

        ======================================  =============================================================
        the event                               then
        ======================================  =============================================================
        is the first one with a schedule        the schedule begins as `Beginning.of_schedule` says
        follows a retirement                    the schedule ended then; a start or a completion begins another
        has another interval than the last one  the schedule with the later deadline is in effect, the old one
                                                or one that begins with this event; if the export is overdue,
                                                a slot of the old one is missed
        is a completion                         the slots up to it are judged, and the next schedule begins
        ======================================  =============================================================
        """
        expectation_for = rules.expectation_for_at(occurred_at)
        expectation = expectation_for(self.interval)
        if not expectation.interval:
            return
        schedule = self.schedule(rules.outages)
        is_changed = self.interval != interval_before and expectation_for(interval_before) != expectation
        if not self.scheduled_since and (begins or rules.beginning.is_declared):
            begins_at = rules.beginning.of_schedule(
                occurred_at, expectation, already_scheduled=expectation_for(interval_before).interval > 0
            )
            schedule, is_changed = self._set_schedule(begins_at, expectation, rules.outages), False
        if schedule and rules.retirements:
            schedule = self._retire(schedule, occurred_at, rules)
        if schedule and is_changed and not completes:
            schedule = self._change_schedule(schedule, occurred_at, expectation)
        if begins and schedule is None:
            schedule = self._set_schedule(occurred_at, expectation, rules.outages)
        if schedule and completes:
            self._fill_slot(schedule, occurred_at)
            self._set_schedule(occurred_at, expectation, rules.outages)

    def schedule(self, outages: Sequence[Outage]) -> Schedule | None:
        """Return the schedule in effect, if there is one."""
        if self.slot_expectation is None:
            return None
        return Schedule(self.scheduled_since, self.slot_expectation, self.last_duration, outages)

    def _set_schedule(
        self, since: float, expectation: Expectation | None, outages: Sequence[Outage]
    ) -> Schedule | None:
        self.scheduled_since, self.slot_expectation = since, expectation
        return self.schedule(outages)

    def _retire(self, schedule: Schedule, now: float, rules: Rules) -> Schedule | None:
        """Return the schedule, or end it if the export was retired since it began."""
        retired_at = slots.first_after(schedule.since, rules.retirements)
        if not 0 < retired_at <= now:
            return schedule
        self._count(schedule.ended(retired_at))
        return self._set_schedule(retired_at, None, rules.outages)

    def _change_schedule(self, old: Schedule, changed_at: float, expectation: Expectation) -> Schedule | None:
        """Change the interval or the grace, which never makes an export overdue: the later deadline is in effect.

        Another interval is counted from the change, since the old slots say nothing about the new ones. With another
        grace, the slots stay as they are; if the export is overdue already, it remains so.
        """
        same_slots = old.expectation.interval == expectation.interval
        new = old._replace(since=old.since if same_slots else changed_at, expectation=expectation)
        deadline, new_deadline = old.deadline(), new.deadline()
        self.outages_matter_until = max(self.outages_matter_until, deadline, new_deadline)
        is_overdue = changed_at > deadline
        if new_deadline <= deadline or (same_slots and is_overdue):
            return old
        if is_overdue:
            self._count(old.ended(changed_at))
        if not same_slots:
            self.last_slot_filled = 0.0  # the next completion fills a slot of the new schedule
        return self._set_schedule(new.since, expectation, old.outages)

    def after_changes(self, now: float, rules: Rules) -> Runs:
        """Return these runs with the changes of the configuration applied up to an instant; often they themselves."""
        if not rules.changes or not rules.changes_between(self.changes_applied_until, now):
            return self
        runs = self.copy()
        runs.apply_changes(now, runs.interval, rules)
        return runs

    def apply_changes(self, until: float, interval: int, rules: Rules) -> None:
        """Apply the changes of the configuration up to an instant.

        Args:
            until: the instant.
            interval: of the events before it; 0 if they have none.
            rules: have the changes.
        """
        before = rules.expectation_for_at(self.changes_applied_until)(interval)
        for change in rules.changes_between(self.changes_applied_until, until):
            expectation = change.expectation_for(interval)
            self._apply_change(change.at, before, expectation, rules)
            before = expectation
        self.changes_applied_until = until

    def _apply_change(self, at: float, before: Expectation, expectation: Expectation, rules: Rules) -> None:
        """Change the schedule because the configuration changed.

        ======================================  =============================================================
        the change                              then
        ======================================  =============================================================
        comes before the first slot's interval  the schedule begins later, by the new configuration
        is the first to give an interval        the schedule begins as `Beginning.of_schedule` says
        takes the interval away                 the schedule ends as at a retirement, and another one may begin
        follows a retirement                    nothing
        is another one                          `_change_schedule`
        ======================================  =============================================================
        """
        schedule = self.schedule(rules.outages)
        if schedule is None and not self.scheduled_since and (before.interval or expectation.interval):
            was_scheduled = before.interval > 0
            first = before if was_scheduled else expectation
            begins_at = rules.beginning.of_schedule(at, first, already_scheduled=was_scheduled)
            if begins_at <= at or not was_scheduled:
                schedule = self._set_schedule(begins_at, first, rules.outages)
        if schedule:
            schedule = self._retire(schedule, at, rules)
        if schedule is None:
            return
        if expectation.interval:
            self._change_schedule(schedule, at, expectation)
        else:
            if at > schedule.deadline():
                self._count(schedule.ended(at))
            self._set_schedule(0.0, None, rules.outages)

    def _fill_slot(self, schedule: Schedule, completion: float) -> None:
        """Judge the slots up to a completion."""
        verdict, slot = schedule.completed(completion)
        if verdict is not slots.NOTHING_DUE:
            self._count(verdict)
            self.late_slots += verdict.late
            if verdict.late:
                self.recent_late_at = _recent(self.recent_late_at, (completion,))
        if completion - self.last_slot_filled >= schedule.expectation.interval / 2:
            self.slots += 1
            self.last_slot_filled = completion
            self.last_slots = slot_outcomes.with_slots(self.last_slots, (slot,))

    def _count(self, verdict: Verdict) -> None:
        self.slots += verdict.missed + verdict.unknown
        self.missed_slots += verdict.missed
        self.unknown_slots += verdict.unknown
        self.recent_missed_at = _recent(self.recent_missed_at, verdict.missed_at)
        self.recent_unknown_at = _recent(self.recent_unknown_at, verdict.unknown_at)
        self.last_slots = slot_outcomes.with_slots(self.last_slots, verdict.last_slots)
        self.outages_matter_until = max(self.outages_matter_until, verdict.outages_matter_until)

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
        self.recent_durations = usual_duration.with_duration(self.recent_durations, occurred_at, self.last_duration)
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


def _recent(instants: tuple[float, ...], more: tuple[float, ...]) -> tuple[float, ...]:
    """Return the instants with further, later ones, without those over a week before the last one."""
    return tuple(instant for instant in (*instants, *more) if instant > more[-1] - slots.WEEK) if more else instants


def _preferred_spelling(old: str, new: str) -> str:
    """Return the new text, unless it differs from the old one in case only."""
    return old if old == new or old.casefold() == new.casefold() else new
