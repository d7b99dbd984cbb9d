"""Counts slots: which lie between two starts, and which of them were missed or are unknown. Pure.

Slot 0 is the last start that filled a slot, slot k is due k intervals later. With an interval of 4 h
and slot 0 at 0:00, while nothing starts and when the next run starts::

    slot   0           1           2           3
           |-----.-----|-----.-----|-----.-----|
         0:00  2:00  4:00  6:00  8:00 10:00 12:00

    ==============  ====================  ===============================================
    time            missed if no start    a start then fills
    ==============  ====================  ===============================================
    before 2:00     none                  no new slot: it is an extra run in slot 0
    2:00 to 6:00    none                  slot 1: nothing is missed
    6:00 to 8:00    none                  slot 2: slot 1 is missed
    8:00 to 10:00   slot 1                slot 2: slot 1 is missed
    10:00 to 12:00  slot 1                slot 3: slots 1 and 2 are missed
    from 12:00      slots 1 and 2         slot 3, from 14:00 slot 4
    ==============  ====================  ===============================================
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

from exporter.domain.daylight_saving import slot_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Expectation


def first_after(instant: float, instants: Sequence[float]) -> float:
    """Return the first of the ordered ``instants`` that is later than ``instant``; 0 if there is none."""
    index = bisect_right(instants, instant)
    return instants[index] if index < len(instants) else 0.0


def slots_between(last_slot_start: float, start: float, expectation: Expectation) -> int:
    """Return the number of the slot that a start fills; 0 for an extra run in the last slot."""
    return math.floor((start - last_slot_start) / expectation.interval + 0.5)


def missed_slots(last_slot_start: float, now: float, expectation: Expectation) -> int:
    """Return how many slots are already missed if nothing has started: those whose next slot is due as well."""
    return max(0, math.floor((now - last_slot_start) / expectation.interval) - 1)


def next_miss_at(last_slot_start: float, missed: int, expectation: Expectation) -> float:
    """Return when `missed_slots` grows beyond ``missed``, its value now."""
    return last_slot_start + (missed + 2) * expectation.interval


def unknown_slots(last_slot_start: float, count: int, expectation: Expectation, outages: Sequence[Outage]) -> int:
    """Return how many of the ``count`` slots after ``last_slot_start``, none of them filled, are unknown.

    A slot is unknown if an outage overlaps the time from the slot to the end of its grace period,
    because its event could have been sent then.
    """
    if count <= 0 or not outages or outages[-1].ended_at <= last_slot_start:
        return 0
    unknown = 0
    previous_end = last_slot_start
    for outage in outages:
        if outage.ended_at <= last_slot_start:
            continue
        # One slot wider than on average at both ends, because a day may have 23 or 25 hours.
        first = max(1, math.floor((outage.began_at - expectation.grace - last_slot_start) / expectation.interval) - 1)
        last = min(count, math.ceil((outage.ended_at - last_slot_start) / expectation.interval) + 1)
        for number in range(first, last + 1):
            slot = slot_after(last_slot_start, number, expectation)
            # A slot before the previous outage ended was examined with that one.
            if previous_end < slot <= outage.ended_at and outage.began_at < slot + expectation.grace:
                unknown += 1
        previous_end = outage.ended_at
    return unknown
