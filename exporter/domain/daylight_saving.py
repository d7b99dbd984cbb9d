"""Daylight saving: when a slot is due on a clock that changes. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from operator import add
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.domain.frequency import DAY, QUARTER_HOUR

if TYPE_CHECKING:
    from datetime import tzinfo

    from exporter.domain.exports import Expectation

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
"""One zone for each instant at which clocks still go back somewhere in the world."""


def slot_after(start: float, count: int, expectation: Expectation) -> float:
    """Return the instant ``count`` intervals after ``start``.

    ================================  =============================================================
    interval and zone                 result
    ================================  =============================================================
    whole days, zone known            the same time of day on that clock: a day has 23 or 25 hours
                                      when daylight saving changes; a skipped time moves an hour on
    anything else                     ``start + count * interval``
    ================================  =============================================================
    """
    if expectation.zone is None or expectation.interval % DAY:
        return start + count * expectation.interval
    local = datetime.fromtimestamp(start, expectation.zone)
    return (local + timedelta(seconds=count * expectation.interval)).astimezone(UTC).timestamp()


def latest_slot_after(start: float, count: int, expectation: Expectation) -> float:
    """Return the latest instant at which the slot ``count`` intervals after ``start`` may be due.

    With an interval shorter than a day, runs start again at midnight on the sender's clock. On the
    day on which that clock goes back, two runs are therefore an hour further apart, and the slot is
    due an hour later. With an unknown zone, this applies to every day on which any clock goes back.
    """
    due = slot_after(start, count, expectation)
    if expectation.interval >= DAY:
        return due
    return due + _setback(int(start // QUARTER_HOUR), int(due // QUARTER_HOUR), expectation.zone)


def latest_slots_after(start: float, counts: range, expectation: Expectation) -> list[float]:
    """Return `latest_slot_after` for consecutive counts, in a fraction of the time of as many calls."""
    interval = expectation.interval
    if interval >= DAY:
        return [slot_after(start, count, expectation) for count in counts]
    due_at = [start + count * interval for count in counts]
    start_quarter, zone = int(start // QUARTER_HOUR), expectation.zone
    if interval % QUARTER_HOUR:
        return [due + _setback(start_quarter, int(due // QUARTER_HOUR), zone) for due in due_at]
    first = int((start + counts.start * interval) // QUARTER_HOUR)
    step = interval // QUARTER_HOUR
    return list(map(add, due_at, _setbacks(start_quarter, range(first, first + len(counts) * step, step), zone)))


@lru_cache(maxsize=65536)
def _setback(start: int, due: int, zone: tzinfo | None) -> float:
    """Return how many seconds the clock goes back between the midnight before ``start`` and ``due``.

    Both are in quarter hours since 1970: clocks change on a quarter hour, so many exports share an entry.
    """
    zones = (zone,) if zone is not None else _zones_with_setback()
    return max(_setback_in_zone(start * QUARTER_HOUR, due * QUARTER_HOUR, candidate) for candidate in zones)


@lru_cache(maxsize=1024)  # of at most 672 slots each: the quarter hours of a week
def _setbacks(start: int, due: range, zone: tzinfo | None) -> list[float]:
    return [_setback(start, quarter, zone) for quarter in due]


@cache  # since Python keeps eight zones at most, and would read all of these files again for each call
def _zones_with_setback() -> tuple[ZoneInfo, ...]:
    return tuple(map(ZoneInfo, ZONES_WITH_SETBACK))


def _setback_in_zone(start: float, due: float, zone: tzinfo) -> float:
    midnight = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, fold=0)
    offset_at_midnight, offset_when_due = midnight.utcoffset(), datetime.fromtimestamp(due, zone).utcoffset()
    return max(0.0, ((offset_at_midnight or timedelta()) - (offset_when_due or timedelta())).total_seconds())
