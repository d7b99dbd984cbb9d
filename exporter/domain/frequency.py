"""Parses the sender's text for how often an export runs into a label and an interval.

CleverTap does not document how the payload spells a recurring frequency, so the parser accepts
every usual spelling, also inside a phrase that can mean nothing else. Any other text is passed
through as the label, without an interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

ONE_TIME = "one-time"
QUARTER_HOUR = 15 * 60
HOUR = 3600
DAY = 24 * HOUR
MAX_INTERVAL = 366 * DAY

_UNITS = {"m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}
_UNIT = "m|min|mins|minutes?|minutely|h|hr|hrs|hours?|hourly|d|days?|w|wks?|weeks?"
_WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_ONE_TIME = re.compile(r"(one|1)[ _-]*(time|off|shot)|once|once only|only once|single")
_WORDS = {
    "hourly": HOUR,
    "daily": DAY,
    "nightly": DAY,
    "twice daily": DAY // 2,
    "twice a day": DAY // 2,
    "twice per day": DAY // 2,
    "twice every day": DAY // 2,
    "weekly": 7 * DAY,
    "fortnightly": 14 * DAY,
}
_EVERY = re.compile(
    rf"(?:(?:once )?(?:every|each|per|an?) ?)?(?P<count>\d{{1,5}})?[ _-]*(?P<unit>{_UNIT})?"
    rf"|(?:every|each) (?P<weekday>{_WEEKDAY})"
)

_NUMBERS = {"two": "2", "three": "3", "four": "4", "six": "6", "eight": "8", "twelve": "12", "twenty-four": "24"}
_NUMBER = re.compile(rf"\b({'|'.join(_NUMBERS)})\b")
_EVERY_OTHER = re.compile(r"\b(every|each) (?:other|second|2nd) ")

_EXPRESSION = re.compile(
    rf"(?<!\w)(?:(?:once )?(?:{'|'.join(_WORDS)})"
    rf"|(?:once )?(?:every|each|per|an?) (?:\d{{1,5}}[ _-]*)?(?:{_UNIT})"
    rf"|(?:every|each) {_WEEKDAY}"
    rf"|(?<![.,+-])\d{{1,5}}[ _-]*(?:{_UNIT})"
    rf"|{_ONE_TIME.pattern})(?!\w)"
)
"""Whatever may be a frequency inside a phrase."""
_TIME_OF_DAY = re.compile(
    r"\b\d{1,2}(?::\d{2}){1,2}(?: ?[ap]\.?m\b\.?)?|\b\d{1,2} ?[ap]\.?m\b\.?|\b(?:midnight|noon)\b"
)
_ON_WEEKDAY = re.compile(rf"\bon {_WEEKDAY}")
_WORD = re.compile(r"[^\s()\[\]:;,|/–—-]+")
_RECURRING = frozenset({"recurring", "recurrent", "recurs", "repeating", "repeats", "repeat"})
_MEANINGLESS = frozenset(
    {
        *("scheduled", "schedule", "automatic", "automatically", "frequency", "interval"),
        *("export", "exports", "exported", "runs", "run"),
        *("at", "from", "starting", "starts", "start", "beginning", "utc", "gmt", "ist", "z"),
    }
)
"""Words that change no frequency. With any other word beside it, a phrase may mean something else."""


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

    A bare number is in hours: CleverTap offers 4, 8, 12 and 24. A longer phrase is a frequency only if
    exactly one reading of it is possible: a wrong interval would page for nothing, or not at all.
    """
    words = normalize("NFC", " ".join(text.split()))
    key = _NUMBER.sub(lambda number: _NUMBERS[number[0]], _EVERY_OTHER.sub(r"\1 2 ", words.casefold()))
    interval = _interval_of(key)
    if interval is None:
        interval = _only_interval_in(key)
    if interval is None:
        return Frequency(words, 0)
    return frequency_of_interval(interval) if interval else Frequency(ONE_TIME, 0)


def _interval_of(key: str) -> int | None:
    """Return the interval of a text that is a frequency and nothing else; 0 for one-time, None for any other text."""
    if _ONE_TIME.fullmatch(key):
        return 0
    seconds = _WORDS.get(key.removeprefix("once ")) or _seconds(key)
    return seconds if 0 < seconds <= MAX_INTERVAL else None


def _only_interval_in(phrase: str) -> int | None:
    """Return the one interval that a phrase may mean, as `_interval_of`; None if there is none or a second one."""
    rest, times_of_day = _TIME_OF_DAY.subn(" ", phrase)
    rest, weekdays = _ON_WEEKDAY.subn(" ", rest)
    intervals = {_interval_of(match[0]) for match in _EXPRESSION.finditer(rest)}
    other_words = {word for word in _WORD.findall(_EXPRESSION.sub(" ", rest)) if word != "."}
    if len(intervals) != 1 or times_of_day > 1 or not other_words <= _MEANINGLESS | _RECURRING:
        return None
    (interval,) = intervals
    if interval == 0 and other_words & _RECURRING:
        return None
    if weekdays and (weekdays > 1 or interval != 7 * DAY):
        return None
    return interval


def _seconds(key: str) -> int:
    match = _EVERY.fullmatch(key)
    if match is None:
        return 0
    count, unit = match["count"], match["unit"]
    if match["weekday"]:
        return 7 * DAY
    if count is None and unit in {None, key}:
        return 0  # "every" has no unit; "h" or "days" alone has no count
    return int(count or 1) * _UNITS[(unit or "h")[0]]
