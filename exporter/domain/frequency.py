"""How often an export runs: the sender's text, and the interval that it means.

How CleverTap writes a recurring frequency in the payload is not documented, so every usual
spelling is understood. What is not understood passes as text, without an interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

ONE_TIME = "one-time"
HOUR = 3600
DAY = 24 * HOUR
MAX_INTERVAL = 366 * DAY

_UNITS = {"m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}
_ONE_TIME = re.compile(r"(one|1)[ _-]*(time|off|shot)|once|once only|single")
_WORDS = {
    "hourly": HOUR,
    "daily": DAY,
    "nightly": DAY,
    "twice daily": DAY // 2,
    "twice a day": DAY // 2,
    "weekly": 7 * DAY,
    "fortnightly": 14 * DAY,
}
_EVERY = re.compile(
    r"(?:(?:once )?(?:every|each|per|an?) ?)?(?P<count>\d{1,5})?[ _-]*"
    r"(?P<unit>m|min|mins|minutes?|minutely|h|hr|hrs|hours?|hourly|d|days?|w|wks?|weeks?)?"
)


@dataclass(frozen=True, slots=True)
class Frequency:
    """A frequency as the exporter names it.

    Attributes:
        label: ``4h``, ``one-time``, or the sender's own text where it was not understood.
        interval: seconds from one run to the next; 0 where there is none, or none is known.
    """

    label: str
    interval: int

    @property
    def is_known(self) -> bool:
        """Whether the sender's text had a known meaning."""
        return self.interval > 0 or self.label == ONE_TIME


def frequency_of_interval(seconds: int) -> Frequency:
    """The frequency whose runs are ``seconds`` apart; hours are preferred to other units."""
    if seconds % HOUR == 0:
        return Frequency(f"{seconds // HOUR}h", seconds)
    if seconds % 60 == 0:
        return Frequency(f"{seconds // 60}m", seconds)
    return Frequency(f"{seconds}s", seconds)


@lru_cache(maxsize=4096)
def parse(text: str) -> Frequency:
    """What ``text`` means; never fails, since the field is free text.

    A bare number counts hours, as CleverTap offers 4, 8, 12 and 24.
    """
    words = " ".join(text.split())
    key = words.casefold()
    if _ONE_TIME.fullmatch(key):
        return Frequency(ONE_TIME, 0)
    seconds = _WORDS.get(key) or _seconds(key)
    if 0 < seconds <= MAX_INTERVAL:
        return frequency_of_interval(seconds)
    return Frequency(words, 0)


def _seconds(key: str) -> int:
    match = _EVERY.fullmatch(key)
    if match is None or not (match["count"] or match["unit"]):
        return 0
    if match["count"] is None and key == match["unit"]:
        return 0  # "h" or "days" alone says no number
    return int(match["count"] or 1) * _UNITS[(match["unit"] or "h")[0]]
