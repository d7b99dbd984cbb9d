"""Parses the sender's text for how often an export runs into a label and an interval.

CleverTap does not document how the payload spells a recurring frequency, so the parser accepts
every usual spelling. Any other text is passed through as the label, without an interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

ONE_TIME = "one-time"
QUARTER_HOUR = 15 * 60
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
    """How often an export runs.

    Attributes:
        label: ``4h``, ``one-time``, or the sender's text if it was not recognised.
        interval: seconds from one run to the next; 0 for a one-time or unknown frequency.
    """

    label: str
    interval: int

    @property
    def is_known(self) -> bool:
        """Whether the sender's text was recognised."""
        return self.interval > 0 or self.label == ONE_TIME


def frequency_of_interval(seconds: int) -> Frequency:
    """Return the frequency with this interval, labelled in the largest of hours, minutes and seconds that fits."""
    if seconds % HOUR == 0:
        return Frequency(f"{seconds // HOUR}h", seconds)
    if seconds % 60 == 0:
        return Frequency(f"{seconds // 60}m", seconds)
    return Frequency(f"{seconds}s", seconds)


@lru_cache(maxsize=4096)
def parse(text: str) -> Frequency:
    """Parse the sender's text. Never fails, because the field is free text.

    A bare number is in hours: CleverTap offers 4, 8, 12 and 24.
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
        return 0  # "h" or "days" alone has no count
    return int(match["count"] or 1) * _UNITS[(match["unit"] or "h")[0]]
