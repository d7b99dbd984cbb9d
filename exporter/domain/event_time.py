"""When it happened: the sender's local text, the arrival and the source's zone give an instant.

CleverTap writes ``25/07/2023 4:50:52 PM``: day first, a 12-hour clock, and no zone. A webhook is
posted as the thing happens, so the arrival tells the zone where nobody configured one.
All instants are Unix seconds; all offsets are seconds east of UTC.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.domain.frequency import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

AUTO = "auto"
QUARTER_HOUR = 15 * 60
EARLIEST_OFFSET = -12 * HOUR
LATEST_OFFSET = 14 * HOUR
CLOCK_TOLERANCE = 2 * 60
"""Seconds by which the sender's clock may be ahead of ours."""
SETTLING_EVENTS = 5
"""How many events in a row must agree before an offset counts as settled."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local texts have no zone


@dataclass(frozen=True, slots=True)
class InterpretedTime:
    """One reading of the sender's text.

    Attributes:
        occurred_at: when it happened; never more than two minutes after the arrival.
        utc_offset: the offset at which the text was read.
        skewed: whether the text, read that way, lay in the future and the arrival stands for it.
    """

    occurred_at: float
    utc_offset: int
    skewed: bool


def naive_timestamp(local: datetime) -> float:
    """The Unix time of ``local`` if its clock were on UTC."""
    return (local - _EPOCH).total_seconds()


def offset_by_arrival(local: datetime, arrived_at: float) -> tuple[int, bool]:
    """The offset that puts ``local`` closest before the arrival, and whether it is evidence.

    It is none when even the latest possible instant is older than a fresh delivery can be:
    then the arrival says nothing about the zone.
    """
    ahead = naive_timestamp(local) - arrived_at - CLOCK_TOLERANCE
    offset = math.ceil(ahead / QUARTER_HOUR) * QUARTER_HOUR
    bounded = min(max(offset, EARLIEST_OFFSET), LATEST_OFFSET)
    return bounded, bounded == offset


def interpret_local_time(
    local: datetime, arrived_at: float, zone: tzinfo | None, settled: int | None
) -> InterpretedTime:
    """The instant that ``local`` names.

    Args:
        local: the sender's text as a naive date and time.
        arrived_at: when the body arrived.
        zone: the source's clock, or None to find it out from the arrival.
        settled: the offset on which an ``auto`` source has settled, if it has.
    """
    offset = _auto_offset(local, arrived_at, settled) if zone is None else zone_offset(local, arrived_at, zone)
    occurred_at = naive_timestamp(local) - offset
    if occurred_at > arrived_at + CLOCK_TOLERANCE:
        # A future timestamp would silence the pager.
        return InterpretedTime(arrived_at, offset, skewed=True)
    return InterpretedTime(occurred_at, offset, skewed=False)


def _auto_offset(local: datetime, arrived_at: float, settled: int | None) -> int:
    offset, evident = offset_by_arrival(local, arrived_at)
    if settled is None:
        return offset
    # Late by 20 minutes looks like a zone 15 minutes further west; so does anything older than
    # the westernmost zone could explain. A clock change, by contrast, moves a whole hour.
    late = 0 < settled - offset < HOUR if evident else settled > offset
    return settled if late else offset


def zone_offset(local: datetime, arrived_at: float, zone: tzinfo) -> int:
    """The offset of ``zone`` when its clock showed ``local``.

    Of an hour that the clock shows twice, the reading nearer before the arrival; an hour that
    it skips counts as the hour after.
    """
    first, second = _offsets(local, zone)
    if first <= second:
        return first  # shown once, or skipped
    later = naive_timestamp(local) - second
    return second if later <= arrived_at + CLOCK_TOLERANCE else first


@lru_cache(maxsize=1024)  # the events of a list are often of the same few seconds
def _offsets(local: datetime, zone: tzinfo) -> tuple[int, int]:
    """Both offsets of a time that the clock may show twice."""
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return round(first.total_seconds()), round(second.total_seconds())


class SettledOffset:
    """The offset on which an ``auto`` source has settled: the newest that five arrivals in a row showed.

    What counts is the offset that each arrival shows, and not the one that was used for it, so that
    a clock that was set right, or a clock change of half an hour, is followed after five events.
    """

    def __init__(self, sightings: Iterable[tuple[datetime, float]] = ()) -> None:
        self.offset: int | None = None
        self._recent_offsets: deque[int] = deque(maxlen=SETTLING_EVENTS)
        for local, arrived_at in sightings:
            self.add(local, arrived_at)

    def add(self, local: datetime, arrived_at: float) -> None:
        """Take the text and the arrival of a newly stored event, in the order of arrival."""
        offset, evident = offset_by_arrival(local, arrived_at)
        if not evident:
            return
        self._recent_offsets.append(offset)
        if self._recent_offsets.count(offset) == SETTLING_EVENTS:
            self.offset = offset


def suspected_offset(sightings: Iterable[tuple[datetime, float]]) -> int | None:
    """The offset that most of these (text, arrival) pairs suggest; None where none is evidence."""
    offsets = [offset for offset, evident in (offset_by_arrival(local, at) for local, at in sightings) if evident]
    return Counter(offsets).most_common(1)[0][0] if offsets else None


def load_zone(name: str) -> ZoneInfo | None:
    """The zone of a ``timezone`` setting; None for ``auto``.

    Raises:
        ValueError: no such zone, with what would be right.
    """
    if name == AUTO:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        message = f'no time zone {name!r}; give "auto" or a name such as "Asia/Kolkata" or "UTC"'
        raise ValueError(message) from error
