"""Parses the durations and points in time that people type. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

UNIT_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"(?:(?P<w>\d{1,9}) ?(?:w|weeks?))? ?"
    r"(?:(?P<d>\d{1,9}) ?(?:d|days?))? ?"
    r"(?:(?P<h>\d{1,9}) ?(?:h|hrs?|hours?))? ?"
    r"(?:(?P<m>\d{1,9}) ?(?:m|mins?|minutes?))? ?"
    r"(?:(?P<s>\d{1,9}) ?(?:s|secs?|seconds?))?",
    re.ASCII,
)


def parse_duration(value: object) -> int:
    """Parse a duration such as ``90m``, ``1h30m`` or ``2 hours``; a whole number is in seconds.

    Raises:
        ValueError: it is none; the message shows some.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = " ".join(value.split()).lower() if isinstance(value, str) else ""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        message = 'give a duration such as "90m", "1h30m", "24h" or "7d"'
        raise ValueError(message)
    return sum(int(count) * UNIT_SECONDS[unit] for unit, count in match.groupdict().items() if count)


def parse_instant(text: str) -> float:
    """Parse a date and time in ISO 8601, and return Unix seconds; without an offset it is in UTC.

    Raises:
        ValueError: it is none; the message shows one.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        message = f"{text[:64]!r} is not a date and time; give one such as 2026-12-31T16:50:52Z"
        raise ValueError(message) from None
