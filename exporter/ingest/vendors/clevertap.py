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
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain import frequency
from exporter.domain.events import Announcement

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.ingest.json_objects import JsonObject

KEYS = ("Export Request Id", "Partner", "Type", "Status", "Frequency", "Date and Time")
_DOCUMENTED = frozenset(KEYS)
NAMES = {key.casefold(): key for key in KEYS}
"""The spellings of keys that are understood, in lower case, each with the documented key that it means."""
_REQUEST_ID, *_WORDS, _WHEN = KEYS
_in_order: Callable[[dict[str, object]], tuple[object, ...]] = itemgetter(*KEYS)
_NUMERIC = frozenset({"Export Request Id", "Frequency"})
LONGEST_TEXT = 128
_TOO_LONG = 10**LONGEST_TEXT
_USUAL_BYTES = 1024
"""Of an object; the values of larger ones are not remembered, so that what is remembered is bounded."""
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
    """A value as it is kept, and as it is compared."""

    text: str
    folded: str


class _Words(NamedTuple):
    """What the four values say that come again and again, and how they are compared, as one text."""

    partner: _Text
    data_type: str
    status: str
    frequency: str
    folded: str


class _Moment(NamedTuple):
    """A date and time, as it is kept, as people read it and as it is compared."""

    local: datetime
    text: str
    folded: str


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
    # Ids differ, and all else comes again and again: to read it anew takes 5 µs, to know it 0.2.
    words_of, moment_of = (_known_words, _known_moment) if len(body.raw) <= _USUAL_BYTES else (_words, _moment)
    try:
        values = _values(body.pairs)
        if values is None:
            return TestCall()
        request_id, partner, data_type, status, often, when = values
        number = _text(_REQUEST_ID, request_id)
        try:
            words, moment = words_of(partner, data_type, status, often), moment_of(when)
        except TypeError:  # a list among them has no hash, and is not remembered
            words, moment = _words(partner, data_type, status, often), _moment(when)
        if moment.local > latest or moment.local.year < EARLIEST_YEAR:
            return NotUnderstood("date_out_of_range", f"{_WHEN!r} is {moment.text!r}, which cannot be")
    except _UnknownError as unknown:
        return unknown.told
    return Announcement(
        number.text,
        PARTNERS.get(words.partner.folded, words.partner.text),
        words.data_type,
        words.status,
        words.frequency,
        moment.local,
        # The same for every delivery, whatever the order of its keys, its spaces or its case.
        hashlib.sha256(f"{number.folded}\x1f{words.folded}\x1f{moment.folded}".encode()).digest()[:16],
    )


def canonical_partner(text: str) -> str:
    """The one name of a known partner; any other text as it is."""
    return PARTNERS.get(text.casefold(), text)


def _values(pairs: tuple[tuple[str, object], ...]) -> tuple[object, ...] | None:
    """The values of the six keys, in the documented order; None for the test call."""
    values = dict(pairs)
    if len(values) == len(pairs) == len(KEYS) and values.keys() == _DOCUMENTED:
        return _in_order(values)  # nearly always
    values = {}
    is_test = False
    for key, value in pairs:
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
    return _in_order(values)


def _text(key: str, value: object) -> _Text:
    """A value as trimmed text with single inner spaces."""
    if not isinstance(value, str):
        value = _digits(key, value)
        if len(value) <= LONGEST_TEXT:
            return _Text(value, value)
    text = " ".join(value.split())
    folded = text.casefold()
    if not text:
        fault = "empty_text"
    elif not text.isprintable():
        fault = "unprintable_text"
    elif len(text) > LONGEST_TEXT or len(folded) > LONGEST_TEXT:
        fault = "text_too_long"
    else:
        return _Text(text, folded)
    raise _UnknownError(fault, f"{key!r} {_FAULTS[fault]}")


def _digits(key: str, value: object) -> str:
    numeric = key in _NUMERIC
    if not numeric or not isinstance(value, int) or isinstance(value, bool):
        raise _UnknownError("wrong_type", f"{key!r} should be {'a number or a string' if numeric else 'a string'}")
    # Not str() of any: an integer of 4,300 digits or more refuses it.
    return str(value) if abs(value) < _TOO_LONG else "9" * (LONGEST_TEXT + 1)


def _words(*values: object) -> _Words:
    partner, data_type, status, often = texts = list(map(_text, _WORDS, values))
    return _Words(
        partner=partner,
        data_type=data_type.text.lower(),
        status=status.text.lower(),
        frequency=frequency.parse(often.text).label,
        folded="\x1f".join(each.folded for each in texts),
    )


_known_words = lru_cache(maxsize=1024, typed=True)(_words)  # typed: 4 is a frequency, 4.0 and True are none


def _moment(value: object) -> _Moment:
    text = _text(_WHEN, value)
    return _Moment(_clock(text.text), text.text, text.folded)


_known_moment = lru_cache(maxsize=4096, typed=True)(_moment)


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
