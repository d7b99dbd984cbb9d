"""Which slots lie between two starts, and which were missed or are unknown. Pure."""

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
    """The first of some ordered instants past another one; 0 for none."""
    at = bisect_right(instants, instant)
    return instants[at] if at < len(instants) else 0.0


def slots_between(last_slot_start: float, start: float, expectation: Expectation) -> int:
    """How many slots a start lies after the one before; 0 for another start in the same slot."""
    return math.floor((start - last_slot_start) / expectation.interval + 0.5)


def missed_slots(last_slot_start: float, now: float, expectation: Expectation) -> int:
    """How many slots are missed already while nothing starts."""
    return max(0, math.floor((now - last_slot_start) / expectation.interval) - 1)


def next_miss_at(last_slot_start: float, missed: int, expectation: Expectation) -> float:
    """When `missed_slots`, which is ``missed`` now, will next grow."""
    return last_slot_start + (missed + 2) * expectation.interval


def unknown_slots(last_slot_start: float, count: int, expectation: Expectation, outages: Sequence[Outage]) -> int:
    """How many of the ``count`` eventless slots after ``anchor`` fell into blind time.

    A slot is unknown if the exporter was away at any time between the slot and the end of its
    grace, since its announcement could have come then.
    """
    if count <= 0 or not outages or outages[-1].ended_at <= last_slot_start:
        return 0
    unheard = 0
    outage_counted_up_to = last_slot_start
    for outage in outages:
        if outage.ended_at > last_slot_start:
            first = max(
                1, math.floor((outage.began_at - expectation.grace - last_slot_start) / expectation.interval) - 1
            )
            last = min(count, math.ceil((outage.ended_at - last_slot_start) / expectation.interval) + 1)
            for index in range(first, last + 1):
                slot = slot_after(last_slot_start, index, expectation)
                # Past the gap before, so that a slot whose time meets both counts once.
                unheard += outage_counted_up_to < slot <= outage.ended_at and outage.began_at < slot + expectation.grace
            outage_counted_up_to = outage.ended_at
    return unheard
