"""What CleverTap's export status webhook means; all knowledge of that vendor, and no I/O.

Its page "Status Alerts for Exports" documents six keys and one sample; its page "setup-webhooks"
the call with ``is_test`` that is made when someone presses Create. A value that is not understood
never makes a body wrong for good: the body goes to quarantine, with a reason of `REASONS`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from exporter import frequency
from exporter.model import Announcement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.json_body import JsonObject

KEYS = ("Export Request Id", "Partner", "Type", "Status", "Frequency", "Date and Time")
_DOCUMENTED = frozenset(KEYS)
NAMES = {key.casefold(): key for key in KEYS}
"""The spellings of keys that are understood, in lower case, each with the documented key that it means."""
_NUMERIC = frozenset({"Export Request Id", "Frequency"})
_REPEATED = frozenset({"Partner", "Type", "Status", "Frequency"})
LONGEST_TEXT = 128
EARLIEST_YEAR = 2000
NOON = 12

REASONS = {
    "missing_key": "one of the six documented keys is not there",
    "duplicate_key": "one of the six documented keys is there twice",
    "wrong_type": "a value is not of the documented type",
    "empty_text": "a value is empty",
    "text_too_long": f"a value has more than {LONGEST_TEXT} characters",
    "unprintable_text": "a value holds control characters or broken Unicode",
    "bad_date": "the date and time cannot be read, or does not exist",
    "date_out_of_range": "the date and time lies before 2000 or more than a day after its arrival",
}

_FAULTS = {
    "empty_text": "is empty",
    "unprintable_text": "holds control characters or broken Unicode",
    "text_too_long": f"has more than {LONGEST_TEXT} characters",
}

PARTNERS = {
    "amazon s3": "Amazon S3",
    "aws s3": "Amazon S3",
    "s3": "Amazon S3",
    "amazon web services": "Amazon S3",
    "aws": "Amazon S3",
    "google cloud storage": "Google Cloud Storage",
    "google cloud platform": "Google Cloud Storage",
    "google cloud platform (gcp)": "Google Cloud Storage",
    "google cloud": "Google Cloud Storage",
    "gcp": "Google Cloud Storage",
    "gcs": "Google Cloud Storage",
    "microsoft azure": "Microsoft Azure",
    "azure": "Microsoft Azure",
}
"""The spellings that occur in CleverTap's pages, and the usual short ones, by canonical name."""

_DATE = re.compile(
    r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4}),? "
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))? ?(?P<half>[ap])\.?m\.?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class TestCall:
    """What CleverTap posts once when someone creates the webhook."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Why a body is not an announcement: a key of `REASONS`, and a sentence for people."""

    reason: str
    detail: str


class _Text(NamedTuple):
    """A value as it is kept, as it is compared, and which of `REASONS` speaks against it."""

    text: str
    folded: str
    fault: str


class _UnknownError(Exception):
    """Carries the reason out of the reading of one value."""

    def __init__(self, reason: str, detail: str) -> None:
        self.told = NotUnderstood(reason, detail)
        super().__init__(detail)


def interpret(body: JsonObject, latest: datetime) -> Announcement | TestCall | NotUnderstood:
    """What one body says.

    Args:
        body: one object, as decoded.
        latest: no local date and time can lie after this one; a day past the arrival in UTC.
    """
    try:
        values = _values(body)
        if values is None:
            return TestCall()
        number, partner, data_type, status, often, when = (_text(key, values[key]) for key in KEYS)
        local_time = _local_time(when.text, latest)
    except _UnknownError as unknown:
        return unknown.told
    folded = (number.folded, partner.folded, data_type.folded, status.folded, often.folded, when.folded)
    return Announcement(
        request_id=number.text,
        partner=PARTNERS.get(partner.folded, partner.text),
        data_type=data_type.text.lower(),
        status=status.text.lower(),
        frequency=frequency.parse(often.text).label,
        local_time=local_time,
        # The same for every delivery, whatever the order of its keys, its spaces or its case.
        digest=hashlib.sha256("\x1f".join(folded).encode()).digest()[:16],
    )


def canonical_partner(text: str) -> str:
    """The one name of a known partner; any other text as it is."""
    return PARTNERS.get(text.casefold(), text)


def _values(body: JsonObject) -> Mapping[str, object] | None:
    """The values of the six keys by their documented names; None for the test call."""
    values: dict[str, object] = {}
    is_test = False
    for key, value in body.pairs:
        name = key if key in _DOCUMENTED else NAMES.get(" ".join(key.split()).casefold())
        if name is None:
            is_test = is_test or (key == "is_test" and value is True)
            continue
        if name in values:
            raise _UnknownError("duplicate_key", f"the key {name!r} is there twice")
        values[name] = value
    if is_test and not values:
        return None
    if len(values) < len(KEYS):
        missing = [repr(key) for key in KEYS if key not in values]
        raise _UnknownError("missing_key", f"missing: {', '.join(missing)}")
    return values


def _text(key: str, value: object) -> _Text:
    """A value as trimmed text with single inner spaces."""
    numeric = key in _NUMERIC
    if numeric and isinstance(value, int) and not isinstance(value, bool):
        # Not str(): an integer of 4,300 digits or more refuses it.
        value = str(value) if abs(value) < 10**LONGEST_TEXT else "9" * (LONGEST_TEXT + 1)
    if not isinstance(value, str):
        wanted = "a number or a string" if numeric else "a string"
        raise _UnknownError("wrong_type", f"{key!r} should be {wanted}")
    # The same few partners, types, states and frequencies come again and again; dates and ids do not.
    text = _reread(value) if key in _REPEATED and len(value) <= LONGEST_TEXT else _read(value)
    if text.fault:
        raise _UnknownError(text.fault, f"{key!r} {_FAULTS[text.fault]}")
    return text


def _read(value: str) -> _Text:
    text = " ".join(value.split())
    folded = text.casefold()
    if not text:
        return _Text(text, folded, "empty_text")
    if not text.isprintable():
        return _Text(text, folded, "unprintable_text")
    if len(text) > LONGEST_TEXT or len(folded) > LONGEST_TEXT:
        return _Text(text, folded, "text_too_long")
    return _Text(text, folded, "")


_reread = lru_cache(maxsize=1024)(_read)


def _local_time(text: str, latest: datetime) -> datetime:
    local = _clock(text)
    if local.year < EARLIEST_YEAR or local > latest:
        raise _UnknownError("date_out_of_range", f"'Date and Time' is {text!r}, which cannot be")
    return local


@lru_cache(maxsize=4096)
def _clock(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    if match is None:
        raise _UnknownError("bad_date", f"'Date and Time' is {text!r}; expected as in 25/07/2023 4:50:52 PM")
    day, month, year, hour, minute, second, half = match.groups()
    if not 1 <= int(hour) <= NOON:
        raise _UnknownError("bad_date", f"'Date and Time' is {text!r}: the hour must be in 1..12")
    try:
        return datetime(  # noqa: DTZ001 - the text has no zone
            int(year),
            int(month),
            int(day),
            int(hour) % NOON + (NOON if half in "pP" else 0),
            int(minute),
            int(second or 0),
        )
    except ValueError as error:
        raise _UnknownError("bad_date", f"'Date and Time' is {text!r}: {error}") from error
