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
from typing import TYPE_CHECKING

from exporter import frequency
from exporter.model import Announcement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.json_body import JsonObject

KEYS = ("Export Request Id", "Partner", "Type", "Status", "Frequency", "Date and Time")
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
        texts = {key: _text(key, values) for key in KEYS}
        local_time = _local_time(texts["Date and Time"], latest)
    except _UnknownError as unknown:
        return unknown.told
    return Announcement(
        request_id=texts["Export Request Id"],
        partner=canonical_partner(texts["Partner"]),
        data_type=texts["Type"].lower(),
        status=texts["Status"].lower(),
        frequency=frequency.parse(texts["Frequency"]).label,
        local_time=local_time,
        digest=_digest(texts),
    )


def canonical_partner(text: str) -> str:
    """The one name of a known partner; any other text as it is."""
    return PARTNERS.get(text.casefold(), text)


def _values(body: JsonObject) -> Mapping[str, object] | None:
    """The values of the six keys by their documented names; None for the test call."""
    known = {key.casefold(): key for key in KEYS}
    values: dict[str, object] = {}
    is_test = False
    for key, value in body.pairs:
        name = known.get(" ".join(key.split()).casefold())
        is_test = is_test or (key == "is_test" and value is True)
        if name is None:
            continue
        if name in values:
            raise _UnknownError("duplicate_key", f"the key {name!r} is there twice")
        values[name] = value
    if is_test and not values:
        return None
    missing = [repr(key) for key in KEYS if key not in values]
    if missing:
        raise _UnknownError("missing_key", f"missing: {', '.join(missing)}")
    return values


def _text(key: str, values: Mapping[str, object]) -> str:
    """A value as trimmed text with single inner spaces."""
    value = values[key]
    numeric = key in {"Export Request Id", "Frequency"}
    if numeric and isinstance(value, int) and not isinstance(value, bool):
        # Not str(): an integer of 4,300 digits or more refuses it.
        value = str(value) if abs(value) < 10**LONGEST_TEXT else "9" * (LONGEST_TEXT + 1)
    if not isinstance(value, str):
        wanted = "a number or a string" if numeric else "a string"
        raise _UnknownError("wrong_type", f"{key!r} should be {wanted}")
    text = " ".join(value.split())
    if not text:
        raise _UnknownError("empty_text", f"{key!r} is empty")
    if not text.isprintable():
        raise _UnknownError("unprintable_text", f"{key!r} holds control characters or broken Unicode")
    if max(len(text), len(text.casefold())) > LONGEST_TEXT:
        raise _UnknownError("text_too_long", f"{key!r} has more than {LONGEST_TEXT} characters")
    return text


def _local_time(text: str, latest: datetime) -> datetime:
    match = _DATE.fullmatch(text)
    if match is None:
        raise _UnknownError("bad_date", f"'Date and Time' is {text!r}; expected as in 25/07/2023 4:50:52 PM")
    hour = int(match["hour"])
    if not 1 <= hour <= NOON:
        raise _UnknownError("bad_date", f"'Date and Time' is {text!r}: the hour must be in 1..12")
    try:
        local = datetime(  # noqa: DTZ001 - the text has no zone
            int(match["year"]),
            int(match["month"]),
            int(match["day"]),
            hour % NOON + (NOON if match["half"].lower() == "p" else 0),
            int(match["minute"]),
            int(match["second"] or 0),
        )
    except ValueError as error:
        raise _UnknownError("bad_date", f"'Date and Time' is {text!r}: {error}") from error
    if local.year < EARLIEST_YEAR or local > latest:
        raise _UnknownError("date_out_of_range", f"'Date and Time' is {text!r}, which cannot be")
    return local


def _digest(texts: Mapping[str, str]) -> bytes:
    """The same for every delivery, whatever the order of its keys, its spaces or its case."""
    joined = "\x1f".join(texts[key].casefold() for key in KEYS)
    return hashlib.sha256(joined.encode()).digest()[:16]
