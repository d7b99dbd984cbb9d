"""Formats and parses the JSON lines that events are exported to and replayed from. No I/O.

Each line has a source, an arrival time and a verbatim body::

    {"source": "shop", "arrived_at": 1780272002.5, "body": {"Export Request Id": 1690283492, ...}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.errors import PayloadError
from exporter.ingest.json_objects import skip_whitespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.ledger.contract import AcceptedEvent

_DECODER = json.JSONDecoder()
_KEYS = ("source", "arrived_at", "body")


@dataclass(frozen=True, slots=True)
class EventLine:
    """One parsed line.

    Attributes:
        source: the slug of the source that received the body.
        arrived_at: Unix seconds.
        body: the verbatim bytes of the body.
    """

    source: str
    arrived_at: float
    body: bytes


def format_line(accepted_event: AcceptedEvent) -> str:
    """Format a stored event as a line; line breaks between the tokens of its body become spaces."""
    body = accepted_event.body.decode().replace("\n", " ").replace("\r", " ")
    event = accepted_event.event
    return f'{{"source": {json.dumps(event.source)}, "arrived_at": {event.arrived_at!r}, "body": {body}}}'


def parse_line(line: bytes) -> EventLine:
    """Parse a line.

    Raises:
        PayloadError: the line cannot be replayed; the message says what to write instead.
    """
    try:
        members = {key: (value, raw) for key, value, raw in _members(line.decode("utf-8-sig"))}
    except (ValueError, RecursionError, IndexError) as error:
        message = f"is not a JSON object: {error}"
        raise PayloadError(message) from error
    missing = [key for key in _KEYS if key not in members]
    if missing:
        message = f"has no {', '.join(missing)}; a line has {', '.join(_KEYS)}"
        raise PayloadError(message)
    source, body = members["source"][0], members["body"][0]
    if not isinstance(source, str):
        message = "its source is not a text; give the slug of a source"
        raise PayloadError(message)
    if not isinstance(body, dict):
        message = "its body is not an object; give what was posted"
        raise PayloadError(message)
    return EventLine(source, _parse_instant(members["arrived_at"][0]), members["body"][1].encode())


def _parse_instant(value: object) -> float:
    advice = 'give Unix seconds, or a text such as "2026-12-31T16:50:52Z"'
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            message = f"its arrived_at {value[:64]!r} is not a date and time; {advice}"
            raise PayloadError(message) from error
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    latest = datetime.max.replace(tzinfo=UTC).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < latest:
        message = f"its arrived_at is not a time after 1970; {advice}"
        raise PayloadError(message)
    return float(value)


def _members(text: str) -> Iterator[tuple[str, object, str]]:
    """Yield the members of a JSON object: the key, the value, and the verbatim text of the value.

    Raises:
        ValueError: the text is not a JSON object.
        IndexError: the text ends too early.
        RecursionError: a value is nested too deeply.
    """
    at = skip_whitespace(text, _expect(text, 0, "{"))
    while text[at] != "}":
        _expect(text, at, '"')
        key, at = _DECODER.raw_decode(text, at)
        at = skip_whitespace(text, _expect(text, at, ":"))
        value, end = _DECODER.raw_decode(text, at)
        yield key, value, text[at:end]
        at = skip_whitespace(text, end)
        if text[at] != "}":
            at = skip_whitespace(text, _expect(text, at, ","))
            _expect(text, at, '"')
    if skip_whitespace(text, at + 1) != len(text):
        message = "more text after its end"
        raise ValueError(message)


def _expect(text: str, at: int, character: str) -> int:
    """Skip white space and ``character``; return the index after it."""
    at = skip_whitespace(text, at)
    if text[at] != character:
        message = f"expected {character} at character {at}"
        raise ValueError(message)
    return at + 1
