"""Computes when an event happened from the sender's local time, the arrival and the source's time zone.

CleverTap writes ``25/07/2023 4:50:52 PM``: day first, a 12-hour clock, and no zone. It posts a
webhook as the event happens, so the arrival reveals the zone if none is configured. A text that
gives its offset from UTC needs neither.
All instants are Unix seconds; all offsets are seconds east of UTC.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from exporter.domain.frequency import HOUR, QUARTER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.events import Event

AUTO = "auto"
"""The ``timezone`` setting of a source whose offset is derived from its arrivals."""
EARLIEST_OFFSET = -12 * HOUR
LATEST_OFFSET = 14 * HOUR
CLOCK_TOLERANCE = 2 * 60
"""Seconds by which the sender's clock may be ahead of this machine's."""
SETTLING_EVENTS = 5
"""How many consecutive events must show the same offset before it counts as settled."""

MAX_ZONE_NAME = 64
"""A longer text is not compared with the names of time zones."""

LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone
"""1970 on any clock, from which local times are counted in seconds."""


@dataclass(frozen=True, slots=True)
class InterpretedTime:
    """The instant that a local time means.

    Attributes:
        occurred_at: when the event happened; at most `CLOCK_TOLERANCE` after the arrival.
        utc_offset: the offset used for the local time.
        skewed: whether the local time was in the future, so that ``occurred_at`` is the arrival.
    """

    occurred_at: float
    utc_offset: int
    skewed: bool


def naive_timestamp(local: datetime) -> float:
    """Return ``local`` as Unix seconds, as if it were in UTC."""
    return (local - LOCAL_EPOCH).total_seconds()


def offset_by_arrival(local: datetime, arrived_at: float) -> tuple[int, bool]:
    """Return the offset that puts ``local`` closest before the arrival, and whether it is evidence of the zone.

    It is not evidence if no offset puts ``local`` within a quarter of an hour before the arrival:
    such a late delivery reveals nothing about the zone.
    """
    ahead = naive_timestamp(local) - arrived_at - CLOCK_TOLERANCE
    offset = math.ceil(ahead / QUARTER_HOUR) * QUARTER_HOUR
    bounded = min(max(offset, EARLIEST_OFFSET), LATEST_OFFSET)
    return bounded, bounded == offset


def interpret_local_time(
    local: datetime, arrived_at: float, zone: tzinfo | None, settled: int | None, given: int | None = None
) -> InterpretedTime:
    """Return the instant that ``local`` means.

    Args:
        local: the date and time on the sender's clock.
        arrived_at: when the body arrived.
        zone: the source's time zone; None to derive the offset from the arrival.
        settled: the settled offset of an ``auto`` source; None if it has none yet.
        given: the offset in the sender's text, which outranks the zone; None if it has none.
    """
    if given is not None:
        offset = given
    elif zone is None:
        offset = _auto_offset(local, arrived_at, settled)
    else:
        offset = zone_offset(local, arrived_at, zone)
    occurred_at = naive_timestamp(local) - offset
    if occurred_at > arrived_at + CLOCK_TOLERANCE:
        # A future timestamp would silence the pager.
        return InterpretedTime(arrived_at, offset, skewed=True)
    return InterpretedTime(occurred_at, offset, skewed=False)


def _auto_offset(local: datetime, arrived_at: float, settled: int | None) -> int:
    offset, evident = offset_by_arrival(local, arrived_at)
    if settled is None:
        return offset
    # A delivery that is 20 minutes late looks like a zone 15 minutes further west, and one that is
    # days late like the westernmost zone. A clock change, by contrast, moves the offset by an hour.
    late = 0 < settled - offset < HOUR if evident else settled > offset
    return settled if late else offset


def zone_offset(local: datetime, arrived_at: float, zone: tzinfo) -> int:
    """Return the offset of ``zone`` when its clock showed ``local``.

    =========================  ===============================================
    the clock shows the time   offset
    =========================  ===============================================
    once                       the only one
    twice (autumn)             that of the instant nearer before the arrival
    never (spring)             that before the change: the hour after
    =========================  ===============================================
    """
    first, second = _offsets(local, zone)
    if first <= second:
        return first  # shown once, or skipped
    later = naive_timestamp(local) - second
    return second if later <= arrived_at + CLOCK_TOLERANCE else first


@lru_cache(maxsize=1024)  # the events of a list often share a second
def _offsets(local: datetime, zone: tzinfo) -> tuple[int, int]:
    """Return the offsets of both instants at which the clock may show ``local``."""
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return round(first.total_seconds()), round(second.total_seconds())


class SettledOffset:
    """Tracks the settled offset of an ``auto`` source: the newest one shown by five consecutive arrivals.

    It counts the offset that each arrival shows, not the one that was used for the event. So it follows
    a corrected clock, or a clock change of half an hour, after five events.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.offset: int | None = None
        self._recent_offsets: deque[int] = deque(maxlen=SETTLING_EVENTS)
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Add a stored event, in order of arrival."""
        offset, evident = offset_by_arrival(event.local_time, event.arrived_at)
        if event.offset_in_text or not evident:
            return
        self._recent_offsets.append(offset)
        if self._recent_offsets.count(offset) == SETTLING_EVENTS:
            self.offset = offset


def suspected_offset(sightings: Iterable[tuple[datetime, float]]) -> int | None:
    """Return the offset that most of these (local time, arrival) pairs show; None if none is evidence."""
    candidates = [offset_by_arrival(local, arrived_at) for local, arrived_at in sightings]
    offsets = [offset for offset, evident in candidates if evident]
    return Counter(offsets).most_common(1)[0][0] if offsets else None


def load_zone(name: str) -> ZoneInfo | None:
    """Return the zone of a ``timezone`` setting; None for ``auto``.

    Raises:
        ValueError: there is no such zone; the message gives the nearest names, or valid examples.
    """
    if name == AUTO:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        nearest = " or ".join(f'"{zone}"' for zone in _nearest_zones(name))
        advice = f"did you mean {nearest}?" if nearest else 'give "auto" or a name such as "Asia/Kolkata" or "UTC"'
        message = f"no time zone {name!r}; {advice}"
        raise ValueError(message) from error


def _nearest_zones(name: str) -> list[str]:
    """Return the names of up to three time zones that resemble ``name``, also by their last part alone."""
    zones = sorted(available_timezones())
    by_part = {part.casefold(): zone for zone in zones for part in (zone.rpartition("/")[2], zone)}
    wanted = name.strip().replace(" ", "_").casefold()
    if wanted in by_part:
        return [by_part[wanted]]
    close = difflib.get_close_matches(wanted, by_part, 3, 0.8) if len(wanted) <= MAX_ZONE_NAME else []
    return list(dict.fromkeys(by_part[part] for part in close))
