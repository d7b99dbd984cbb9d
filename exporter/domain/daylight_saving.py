"""Days of 23 and 25 hours: when a slot is due on a clock that changes. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.domain.frequency import DAY

if TYPE_CHECKING:
    from datetime import tzinfo

    from exporter.domain.exports import Expectation


QUARTER_HOUR = 15 * 60

ZONES_WITH_SETBACK = (
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


def slot_after(start: float, count: int, expectation: Expectation) -> float:
    """The instant ``count`` intervals after ``start``.

    Where the interval is a whole number of days and the zone is known, that is the same time of
    day on that clock, 23 or 25 hours later when summer time changes; a time of day that the
    clock skips is the hour after.
    """
    if expectation.zone is None or expectation.interval % DAY:
        return start + count * expectation.interval
    local = datetime.fromtimestamp(start, expectation.zone)
    return (local + timedelta(seconds=count * expectation.interval)).astimezone(UTC).timestamp()


def latest_slot_after(start: float, count: int, expectation: Expectation) -> float:
    """The latest instant at which the slot ``count`` intervals after ``start`` may be due.

    Where several intervals make a day, that is an hour later on the day on which the clock goes
    back, since runs start anew at its midnight: whether the sender counts hours or looks at the
    clock until then, two of them lie an hour further apart. Where the zone is not known, it is
    every such day of a clock that goes back at all.
    """
    due = slot_after(start, count, expectation)
    if expectation.interval >= DAY:
        return due
    return due + _setback(int(start // QUARTER_HOUR), int(due // QUARTER_HOUR), expectation.zone)


@lru_cache(maxsize=65536)
def _setback(start: int, due: int, zone: tzinfo | None) -> float:
    """By how many seconds a clock went back between the midnight before ``start`` and ``due``.

    Both in quarters of an hour since 1970, which is when clocks change; many exports share one.
    """
    zones = (ZoneInfo(name) for name in ZONES_WITH_SETBACK) if zone is None else (zone,)
    return max(_setback_in_zone(start * QUARTER_HOUR, due * QUARTER_HOUR, each) for each in zones)


def _setback_in_zone(start: float, due: float, zone: tzinfo) -> float:
    midnight = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, fold=0)
    before, after = midnight.utcoffset(), datetime.fromtimestamp(due, zone).utcoffset()
    return max(0.0, ((before or timedelta()) - (after or timedelta())).total_seconds())
