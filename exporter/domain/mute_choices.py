"""When a mute may end: a few usual choices, and a local time that a person typed. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.frequency import DAY, HOUR

if TYPE_CHECKING:
    from datetime import tzinfo

DAYS = ("tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""The days that `morning_of` knows."""
MORNING = 8
"""The hour at which a working day begins."""
LOCAL_FORMAT = "%Y-%m-%dT%H:%M"


class MuteChoice(NamedTuple):
    """An end of a mute: a name for people, and Unix seconds."""

    label: str
    until: int


def mute_choices(now: float, zone: tzinfo) -> tuple[MuteChoice, ...]:
    """Return the usual ends of a mute, in whole minutes.

    Each is a point in time, so that a form that is sent twice mutes once.

    Args:
        now: Unix seconds.
        zone: in which the next morning and the next Monday are counted.
    """
    choices = [
        MuteChoice(label, _whole_minute(now + seconds))
        for label, seconds in (("1 h", HOUR), ("2 h", 2 * HOUR), ("8 h", 8 * HOUR), ("1 d", DAY), ("7 d", 7 * DAY))
    ]
    choices += [
        MuteChoice(f"until {label} {MORNING:02}:00", morning_of(label.lower(), now, zone))
        for label in ("tomorrow", "Monday")
    ]
    return tuple(choices)


def morning_of(day: str, now: float, zone: tzinfo) -> int:
    """Return the beginning of the working day on the next day of a name, in Unix seconds.

    Args:
        day: one of `DAYS`; the name of today means a week from now.
        now: Unix seconds.
        zone: in which the day is.
    """
    today = datetime.fromtimestamp(now, zone).replace(hour=MORNING, minute=0, second=0, microsecond=0, tzinfo=None)
    number = DAYS.index(day)
    days = 1 if number == 0 else (number - 2 - today.weekday()) % 7 + 1
    return int(_instant(today + timedelta(days), zone))


def parse_local_time(text: str, zone: tzinfo) -> float:
    """Return the instant of a local time such as ``2026-12-31T16:50``, with or without seconds.

    Raises:
        ValueError: it is not such a text.
    """
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = None
    if local is None or local.tzinfo is not None:
        message = f"{text[:32]!r} is not a date and time; give one such as 2026-12-31T16:50"
        raise ValueError(message)
    return _instant(local, zone)


def format_local_time(instant: float, zone: tzinfo) -> str:
    """Return what `parse_local_time` parses."""
    return datetime.fromtimestamp(instant, zone).strftime(LOCAL_FORMAT)


def _instant(local: datetime, zone: tzinfo) -> float:
    return local.replace(tzinfo=zone).timestamp()


def _whole_minute(instant: float) -> int:
    return round(instant / 60) * 60
