"""Judges slots: which expected completions came late, were missed, or are unknown. Pure.

Slots agree with the pager: something between two completions is late or missed if and only if the export was past
its deadline in between. Slot k is due k intervals after the last completion. With an interval of 4 h, a grace of
48 min and a completion at 0:00::

    slot   0           1    D      2           3
           |-----.-----|----|-.----|-----.-----|
         0:00  2:00  4:00   | 6:00 8:00 10:00 12:00
                            4:48, the deadline

    ==============  =======================  =============================================
    time            missed if none came      a completion then fills
    ==============  =======================  =============================================
    before 2:00     none                     no new slot: it is an extra run in slot 0
    2:00 to 4:48    none                     slot 1, on time
    4:48 to 6:00    none                     slot 1, late
    6:00 to 8:00    none                     slot 2, on time: slot 1 is missed
    8:00 to 8:48    slot 1                   slot 2, on time: slot 1 is missed
    8:48 to 10:00   slot 1                   slot 2, late: slot 1 is missed
    10:00 to 12:00  slot 1                   slot 3, on time: slots 1 and 2 are missed
    from 12:00      slots 1 and 2            slot 3, from 14:00 slot 4
    ==============  =======================  =============================================

A completion that an outage may hide makes its slot unknown instead of missed; see `deadlines.first_visible_slot`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain import deadlines
from exporter.domain.daylight_saving import latest_slot_after, latest_slots_after
from exporter.domain.frequency import DAY
from exporter.domain.slot_outcomes import LATE, MAX_SLOTS, MISSED, ON_TIME, UNKNOWN, SlotOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Expectation

WEEK = 7 * DAY
"""For how long the times of late, missed and unknown slots are needed, in seconds."""


def first_after(instant: float, instants: Sequence[float]) -> float:
    """Return the first of the ordered ``instants`` that is later than ``instant``; 0 if there is none."""
    index = bisect_right(instants, instant)
    return instants[index] if index < len(instants) else 0.0


class Verdict(NamedTuple):
    """What became of the slots of a schedule up to an instant.

    Attributes:
        missed, unknown: how many slots.
        missed_at, unknown_at: when those of the week before the instant came to be so: when the next slot was due,
            or the completion after it came.
        last_slots: the last `MAX_SLOTS` of the missed and unknown ones, as the fields of `SlotOutcome`. They are plain
            tuples, because only pages show them.
        late: whether the completion at the instant is late.
        outages_matter_until: an outage that begins before this instant may change the verdict.
    """

    missed: int = 0
    unknown: int = 0
    missed_at: tuple[float, ...] = ()
    unknown_at: tuple[float, ...] = ()
    last_slots: tuple[tuple[str, float, float], ...] = ()
    late: bool = False
    outages_matter_until: float = 0


NOTHING_DUE = Verdict()


class Standing(NamedTuple):
    """How an export stands with nothing completed since the last completion: a slot is missed once the next is past.

    Attributes:
        deadline: of the next completion; 0 for none.
        changes_at: when the verdict changes next.
    """

    deadline: float = 0.0
    verdict: Verdict = NOTHING_DUE
    changes_at: float = float("inf")


class Schedule(NamedTuple):
    """The slots after one completion, as long as no other completion follows.

    Attributes:
        since: the completion, or whatever else the schedule begins with; slot k is due k intervals later.
        expectation: interval, grace and zone at that time; the interval is not 0.
        lead: seconds by which a completion may precede its slot, since a run may be shorter than the last one.
        outages: in chronological order.
    """

    since: float
    expectation: Expectation
    lead: float
    outages: Sequence[Outage]

    def slot(self, number: int) -> float:
        """Return when a slot is due."""
        return latest_slot_after(self.since, number, self.expectation)

    def deadline(self) -> float:
        """Return the deadline of the next completion."""
        return self._first_visible()[1]

    def past_slots(self, now: float) -> int:
        """Return how many slots are past at ``now``."""
        # One more than the number of intervals, because a day may have 23 hours; fewer after a day of 25.
        number = max(0, math.floor((now - self.since) / self.expectation.interval)) + 1
        while number and self.slot(number) > now:
            number -= 1
        return number

    def ended(self, now: float) -> Verdict:
        """Return the verdict if the schedule ends at ``now`` without a completion; if overdue, a slot is missed."""
        first, deadline = self._first_visible()
        is_overdue = now > deadline
        verdict = self._verdict(self.past_slots(now), now, is_overdue=is_overdue)
        if is_overdue and not verdict.missed:
            missed = SlotOutcome(MISSED, min(now, self.slot(first)))
            verdict = verdict._replace(missed=1, missed_at=(now,), last_slots=(*verdict.last_slots, missed))
        return verdict._replace(outages_matter_until=now + self.expectation.grace)

    def completed(self, completion: float) -> tuple[Verdict, SlotOutcome]:
        """Return the verdict on the slots before the next completion, and the slot that it fills."""
        interval, grace = self.expectation.interval, self.expectation.grace
        if completion <= (due_at := self.slot(1)) + grace:
            begins_schedule = completion - self.since < interval / 2
            return NOTHING_DUE, SlotOutcome(ON_TIME, completion if begins_schedule else due_at, completion)
        nearest = math.floor((completion - self.since) / interval + 0.5)
        first, deadline = self._first_visible()
        if completion <= deadline:
            filled, late = max(1, min(first, nearest)), False
        else:
            filled = max(first, nearest)
            late = filled == first or completion > self.slot(filled) + grace
        due_at = self.slot(filled)
        verdict = self._verdict(filled, completion, is_overdue=completion > deadline)._replace(
            late=late, outages_matter_until=max(completion, due_at + grace)
        )
        return verdict, SlotOutcome(LATE if late else ON_TIME, due_at, completion)

    def at(self, now: float) -> Standing:
        """Return the deadline, and the verdict at ``now`` if nothing has completed."""
        first, deadline = self._first_visible()
        past = self.past_slots(now)
        verdict = self._verdict(past, now, is_overdue=now >= deadline) if past > 1 else NOTHING_DUE
        number = max(2, past + 1)
        changes_at = self.slot(number)
        if number > first + 1 and now < deadline:  # the grace is longer than the interval
            changes_at = min(deadline, changes_at)
        return Standing(deadline, verdict, changes_at)

    def _first_visible(self) -> tuple[int, float]:
        """Return the number of the first slot that no outage hides, and the deadline, which is its own."""
        first = deadlines.first_visible_slot(self.since, self.expectation, self.outages, self.lead)
        return first, self.slot(first) + self.expectation.grace

    def _verdict(self, filled: int, until: float, *, is_overdue: bool) -> Verdict:
        """Return the verdict on the slots before ``filled`` at ``until``: missed only if the export is overdue."""
        first, deadline = self._first_visible()
        hidden = self._hidden_slots(filled - 1)
        recent = range(max(1, filled - 1 - math.ceil(WEEK / self.expectation.interval)), filled)
        last = range(max(1, filled - MAX_SLOTS), filled)
        begin = min(recent.start, last.start)
        due_at = latest_slots_after(self.since, range(begin, filled + 1), self.expectation)
        next_slots = list(zip(recent, due_at[recent.start + 1 - begin :], strict=True))
        missed_at: tuple[float, ...] = ()
        if is_overdue:
            judged = [slot for number, slot in next_slots if number >= first and number not in hidden]
            missed_at = _judged_at(judged, deadline, until)
        return Verdict(
            missed=max(0, filled - first) - sum(first <= number for number in hidden) if is_overdue else 0,
            unknown=len(hidden),
            missed_at=missed_at,
            unknown_at=_judged_at([slot for number, slot in next_slots if number in hidden], 0, until),
            last_slots=tuple(
                [
                    (UNKNOWN if number in hidden else MISSED, slot, 0)
                    for number, slot in zip(last, due_at[last.start - begin :], strict=False)
                    if number in hidden or (is_overdue and number >= first)
                ]
            ),
        )

    def _hidden_slots(self, count: int) -> set[int]:
        """Return the numbers of the slots up to ``count`` that an outage hides."""
        since, (interval, grace) = self.since, (self.expectation.interval, self.expectation.grace)
        hidden: set[int] = set()
        for outage in reversed(self.outages):
            if outage.ended_at <= since:
                break
            # One slot wider than on average at both ends, because a day may have 23 or 25 hours.
            begin = max(1, math.floor((outage.began_at - grace - since) / interval) - 1)
            end = min(count, math.ceil((outage.ended_at + self.lead - since) / interval) + 1)
            hidden.update(
                number
                for number in range(begin, end + 1)
                if deadlines.is_hidden_by(outage, self.slot(number), grace, self.lead)
            )
        return hidden


def _judged_at(next_slots: Iterable[float], not_before: float, until: float) -> tuple[float, ...]:
    """Return when slots came to be missed or unknown: when the next one of each was due."""
    week_began_at = until - WEEK
    # Without min() and max(), which take four times as long as a comparison.
    instants = [until if slot > until else not_before if slot < not_before else slot for slot in next_slots]  # noqa: FURB136
    return tuple([instant for instant in instants if instant > week_began_at])
