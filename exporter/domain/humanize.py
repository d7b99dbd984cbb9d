"""Formats durations, instants and UTC offsets for people."""

from __future__ import annotations

from datetime import UTC, datetime

from exporter.domain.event_time import load_zone
from exporter.domain.frequency import DAY, HOUR

_ROUNDED_FROM = 600
"""From how many seconds on people do not care for seconds."""
_UNITS = ((DAY, "d"), (HOUR, "h"), (60, "min"), (1, "s"))


def format_count(number: int, noun: str) -> str:
    """Return ``1 event`` or ``2 events``; ``noun`` is in the singular."""
    return (
        f"{number} {noun}"
        if number == 1
        else f"{number} {noun.removesuffix('y')}{'ies' if noun.endswith('y') else 's'}"
    )


def format_duration(seconds: float) -> str:
    """Return ``3 h 12 min``: the two largest units, without the sign."""
    remaining = int(abs(seconds))
    parts = []
    for size, unit in _UNITS:
        count, remaining = divmod(remaining, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def format_rounded(seconds: float) -> str:
    """Return a duration as `format_duration` does, from ten minutes on in whole minutes."""
    return format_duration(round(seconds / 60) * 60 if seconds >= _ROUNDED_FROM else seconds)


def format_instant(instant: float) -> str:
    """Return ``2026-12-31 16:50 UTC``."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M UTC")


def format_local(instant: float, timezone: str) -> str:
    """Return ``Thu 2026-12-31 16:50`` in a time zone, which is not named."""
    return datetime.fromtimestamp(instant, load_zone(timezone)).strftime("%a %Y-%m-%d %H:%M")


def format_iso(instant: float) -> str:
    """Return ``2026-12-31T16:50:07Z``, for programs."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_exact(instant: float, timezone: str) -> str:
    """Return ``2026-12-31 16:50:07 UTC``, and a second line with the time in the zone of a source.

    Args:
        instant: in Unix seconds.
        timezone: the source's setting; ``auto`` and ``UTC`` add no second line.
    """
    lines = [datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")]
    zone = load_zone(timezone)
    if zone is not None and timezone != "UTC":
        lines.append(datetime.fromtimestamp(instant, zone).strftime(f"%Y-%m-%d %H:%M:%S {timezone}"))
    return "\n".join(lines)


def format_distance(instant: float, now: float) -> str:
    """Return ``3 h 12 min ago`` or ``in 3 h 12 min``, from ten minutes on in whole minutes."""
    duration = format_rounded(abs(now - instant))
    return f"in {duration}" if instant > now else f"{duration} ago"


def format_age(instant: float, now: float) -> str:
    """Return ``3 h 12 min ago``, or ``never`` for 0."""
    return f"{format_duration(now - instant)} ago" if instant else "never"


def format_time_left(deadline: float, now: float) -> str:
    """Return ``in 3 h 12 min`` or ``3 h 12 min overdue``; an empty text for 0, which means none."""
    if not deadline:
        return ""
    duration = format_duration(deadline - now)
    return f"in {duration}" if deadline >= now else f"{duration} overdue"


def format_offset(utc_offset: int) -> str:
    """Return ``+05:30`` for 19800 seconds."""
    hours, minutes = divmod(abs(utc_offset) // 60, 60)
    return f"{'-' if utc_offset < 0 else '+'}{hours:02}:{minutes:02}"
