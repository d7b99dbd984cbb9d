"""When an export is due, and what was missed: deadlines, slots, and days on a clock."""

from __future__ import annotations

import math
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.frequency import DAY, HOUR
from exporter.model import Terms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from exporter.model import Declaration, Gap

LEAST_GRACE = 30 * 60
LONGEST_RUN = 6 * HOUR
LONGEST_ONE_TIME_RUN = 24 * HOUR
QUARTER = 15 * 60

CLOCKS_THAT_GO_BACK = (
    "Africa/Cairo",
    "America/Anchorage",
    "America/Chicago",
    "America/Denver",
    "America/Halifax",
    "America/Havana",
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Auckland",
)
"""One zone for each time at which clocks still go back in some part of the world."""


def terms(interval: int, zone: tzinfo | None, declared: Declaration | None = None) -> Terms:
    """What an export with this interval (0: none known) promises, after its declaration's wishes."""
    if declared is not None and declared.interval is not None:
        interval = declared.interval
    grace = max(round(interval * 0.2), LEAST_GRACE)
    max_runtime = min(interval, LONGEST_RUN) if interval else LONGEST_ONE_TIME_RUN
    if declared is not None:
        grace = grace if declared.grace is None else declared.grace
        max_runtime = max_runtime if declared.max_runtime is None else declared.max_runtime
    return Terms(interval, grace if interval else 0, max_runtime, zone)


def slot_after(start: float, count: int, promise: Terms) -> float:
    """The instant ``count`` intervals after ``start``.

    Where the interval is a whole number of days and the zone is known, that is the same time of
    day on that clock, 23 or 25 hours later when summer time changes; a time of day that the
    clock skips is the hour after.
    """
    if promise.zone is None or promise.interval % DAY:
        return start + count * promise.interval
    local = datetime.fromtimestamp(start, promise.zone)
    return (local + timedelta(seconds=count * promise.interval)).astimezone(UTC).timestamp()


def latest_after(start: float, count: int, promise: Terms) -> float:
    """The latest instant at which the slot ``count`` intervals after ``start`` may be due.

    Where several intervals make a day, that is an hour later on the day on which the clock goes
    back, since runs start anew at its midnight: whether the sender counts hours or looks at the
    clock until then, two of them lie an hour further apart. Where the zone is not known, it is
    every such day of a clock that goes back at all.
    """
    due = slot_after(start, count, promise)
    if promise.interval >= DAY:
        return due
    return due + _gone_back(int(start // QUARTER), int(due // QUARTER), promise.zone)


@lru_cache(maxsize=65536)
def _gone_back(start: int, due: int, zone: tzinfo | None) -> float:
    """By how many seconds a clock went back between the midnight before ``start`` and ``due``.

    Both in quarters of an hour since 1970, which is when clocks change; many exports share one.
    """
    zones = (ZoneInfo(name) for name in CLOCKS_THAT_GO_BACK) if zone is None else (zone,)
    return max(_back(start * QUARTER, due * QUARTER, each) for each in zones)


def _back(start: float, due: float, zone: tzinfo) -> float:
    midnight = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, fold=0)
    before, after = midnight.utcoffset(), datetime.fromtimestamp(due, zone).utcoffset()
    return max(0.0, ((before or timedelta()) - (after or timedelta())).total_seconds())


def after_blind_time(deadline: float, grace: float, gaps: Sequence[Gap]) -> float:
    """A deadline that passed while nobody listened: one more grace after that, for a late retry."""
    for gap in gaps:
        if gap.began_at < deadline <= gap.ended_at:
            deadline = gap.ended_at + grace
    return deadline


def deadline_from(since: float, promise: Terms, gaps: Sequence[Gap], lead: float = 0) -> float:
    """The deadline of what should come an interval after ``since``, as it holds after blind time.

    What was due while nobody listened may have come unheard, and can only be missed with the run
    after it: the deadline is that of the first one that is due with somebody there.

    Args:
        since: the start or the completion before.
        promise: what the export promises.
        gaps: when nobody listened, in order.
        lead: by how many seconds it may come before it is due; a run may be shorter than the last.
    """
    count = 1
    due = latest_after(since, count, promise)
    if not gaps:
        return due + promise.grace
    for gap in gaps:
        while gap.began_at < due and due - lead <= gap.ended_at:
            count += 1
            due = latest_after(since, count, promise)
    return after_blind_time(due + promise.grace, promise.grace, gaps)


def run_deadline_from(start: float, promise: Terms, gaps: Sequence[Gap]) -> float:
    """When a run that began at ``start`` counts as stuck, as it holds after blind time.

    The end of a run may have come unheard as well. Where it recurs, the next run tells.
    """
    deadline = start + promise.max_runtime
    if not gaps:
        return deadline
    if promise.interval and any(gap.began_at < deadline and start < gap.ended_at for gap in gaps):
        return max(deadline, deadline_from(start, promise, gaps))
    return after_blind_time(deadline, promise.grace, gaps)


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
