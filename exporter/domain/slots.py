"""Which slots lie between two starts, and which were missed or are unknown. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

from exporter.domain.daylight_saving import slot_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Gap
    from exporter.domain.exports import Terms


def first_after(instant: float, instants: Sequence[float]) -> float:
    """The first of some ordered instants past another one; 0 for none."""
    at = bisect_right(instants, instant)
    return instants[at] if at < len(instants) else 0.0


def slots_until(anchor: float, start: float, promise: Terms) -> int:
    """How many slots a start lies after the one before; 0 for another start in the same slot."""
    return math.floor((start - anchor) / promise.interval + 0.5)


def missed_by(anchor: float, now: float, promise: Terms) -> int:
    """How many slots are missed already while nothing starts."""
    return max(0, math.floor((now - anchor) / promise.interval) - 1)


def next_miss(anchor: float, missed: int, promise: Terms) -> float:
    """When `missed_by`, which is ``missed`` now, will next grow."""
    return anchor + (missed + 2) * promise.interval


def unknown_among(anchor: float, count: int, promise: Terms, gaps: Sequence[Gap]) -> int:
    """How many of the ``count`` eventless slots after ``anchor`` fell into blind time.

    A slot is unknown if the exporter was away at any time between the slot and the end of its
    grace, since its announcement could have come then.
    """
    if count <= 0 or not gaps or gaps[-1].ended_at <= anchor:
        return 0
    blind = 0
    reached = anchor
    for gap in gaps:
        if gap.ended_at > anchor:
            first = max(1, math.floor((gap.began_at - promise.grace - anchor) / promise.interval) - 1)
            last = min(count, math.ceil((gap.ended_at - anchor) / promise.interval) + 1)
            for index in range(first, last + 1):
                slot = slot_after(anchor, index, promise)
                # Past the gap before, so that a slot whose time meets both counts once.
                blind += reached < slot <= gap.ended_at and gap.began_at < slot + promise.grace
            reached = gap.ended_at
    return blind
