"""Formats durations, instants and UTC offsets for people."""

from __future__ import annotations

from datetime import UTC, datetime

from exporter.domain.frequency import DAY, HOUR

_UNITS = ((DAY, "d"), (HOUR, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """Return ``3 h 12 min``: the two largest units, without the sign."""
    remaining = int(abs(seconds))
    parts = []
    for size, unit in _UNITS:
        count, remaining = divmod(remaining, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def format_instant(instant: float) -> str:
    """Return ``2026-12-31 16:50 UTC``."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M UTC")


def format_age(instant: float, now: float) -> str:
    """Return ``3 h 12 min ago``, or ``never`` for 0."""
    return f"{format_duration(now - instant)} ago" if instant else "never"


def format_time_left(deadline: float, now: float) -> str:
    """Return ``in 3 h 12 min`` or ``3 h 12 min overdue``; an empty text for 0, which is no deadline."""
    if not deadline:
        return ""
    duration = format_duration(deadline - now)
    return f"in {duration}" if deadline >= now else f"{duration} overdue"


def format_offset(utc_offset: int) -> str:
    """Return ``+05:30`` for 19800 seconds."""
    hours, minutes = divmod(abs(utc_offset) // 60, 60)
    return f"{'-' if utc_offset < 0 else '+'}{hours:02}:{minutes:02}"
