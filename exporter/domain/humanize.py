"""Spans of time, instants and offsets as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """``3 h 12 min``: the two largest units."""
    rest = int(abs(seconds))
    parts = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def format_instant(seconds: float) -> str:
    """``2026-12-31 16:50 UTC``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def format_age(instant: float, now: float) -> str:
    """``3 h 12 min ago``; ``never`` for 0."""
    return f"{format_duration(now - instant)} ago" if instant else "never"


def format_time_left(instant: float, now: float) -> str:
    """``in 3 h 12 min``, ``3 h 12 min overdue``; empty for 0."""
    if not instant:
        return ""
    return f"in {format_duration(instant - now)}" if instant >= now else f"{format_duration(now - instant)} overdue"


def format_offset(seconds: int) -> str:
    """``+05:30`` for 19800."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
