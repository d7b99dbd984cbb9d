"""Parses a date and time in every form that has exactly one meaning. No I/O.

A slash form is day first. Month first is never read: for twelve days of each month nobody could tell the two apart.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from exporter.domain.event_time import EARLIEST_OFFSET, LATEST_OFFSET, LOCAL_EPOCH

NOON = 12
EXPECTED = "25/07/2023 4:50:52 PM, 25/07/2023 16:50:52, 2023-07-25T16:50:52+05:30 or 1690284052"

_CENTURY = 2000
_SECONDS_DIGITS = 10
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d{1,9})?)?(?: ?(?P<half>[ap])\.?m\.?)?"
_ZONE = (
    r"(?: ?(?P<utc>z|utc|gmt)"
    r"| ?(?:utc|gmt)?(?P<sign>[+-])(?P<zone_hours>\d{2}|\d(?!\d))(?::?(?P<zone_minutes>[0-5]\d))?)?"
)
_FORMS = [
    re.compile(form + _ZONE, re.IGNORECASE | re.ASCII)
    for form in (
        rf"(?P<day>\d{{1,2}})/(?P<month>\d{{1,2}})/(?P<year>\d{{4}}|\d{{2}}),? {_CLOCK}",
        rf"(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}})[T ]{_CLOCK}",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})T(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?(?P<half>)",
    )
]
_UNIX_TIME = re.compile(r"\d{10}|\d{13}", re.ASCII)


class DateAndTime(NamedTuple):
    """A parsed text.

    Attributes:
        local: the date and time on the sender's clock, to the second.
        utc_offset: the offset that the text gives, in seconds east of UTC; None if it gives none.
    """

    local: datetime
    utc_offset: int | None


def parse(text: str) -> DateAndTime:
    """Parse a text with single spaces. Fractions of a second are dropped.

    ===============================  ====================================================
    25/07/2023 4:50:52 PM            the vendor's form
    25/07/23 16:50                   a year of two digits is in this century; a 24-hour clock; no seconds
    2023-07-25T16:50:52+05:30        ISO 8601; the offset, or ``Z``, ``UTC``, ``GMT``, may follow any clock
    1690284052, 1690284052000        Unix seconds or milliseconds
    ===============================  ====================================================

    Raises:
        ValueError: the text has another form, or there is no such date, time or offset; the message says which.
    """
    if _UNIX_TIME.fullmatch(text):
        seconds = int(text[:_SECONDS_DIGITS])
        return DateAndTime(LOCAL_EPOCH + timedelta(0, seconds), 0)
    match = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if match is None:
        message = f"expected as in {EXPECTED}"
        raise ValueError(message)
    year, month, day, hour, minute, second = (
        int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    if match["half"]:
        if not 1 <= hour <= NOON:
            message = "the hour must be in 1..12 before AM or PM"
            raise ValueError(message)
        hour = hour % NOON + (NOON if match["half"] in "pP" else 0)
    try:
        local = datetime(  # noqa: DTZ001 - as above
            year if len(match["year"]) > 2 else _CENTURY + year,  # noqa: PLR2004 - digits
            month,
            day,
            hour,
            minute,
            second,
        )
    except ValueError:
        message = f"there is no such day or time; the day comes first, as in {EXPECTED}"
        raise ValueError(message) from None
    return DateAndTime(local, _utc_offset(match))


def _utc_offset(match: re.Match[str]) -> int | None:
    if match["utc"]:
        return 0
    if not match["sign"]:
        return None
    seconds = int(match["zone_hours"]) * 3600 + int(match["zone_minutes"] or 0) * 60
    offset = -seconds if match["sign"] == "-" else seconds
    if not EARLIEST_OFFSET <= offset <= LATEST_OFFSET:
        message = "no clock has that offset from UTC"
        raise ValueError(message)
    return offset
