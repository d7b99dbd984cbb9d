"""Events as JSON lines: a source, an arrival and a verbatim body a line; written, and read again. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.ledger.contract import AcceptedEvent

_WHITESPACE_RUN = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_KEYS = ("source", "arrived_at", "body")


@dataclass(frozen=True, slots=True)
class EventLine:
    """One line: which source a body came to, when, in Unix seconds, and its bytes."""

    source: str
    arrived_at: float
    body: bytes


def format_line(accepted_event: AcceptedEvent) -> str:
    """A stored event as a line; white space between the tokens of its body may differ."""
    body = accepted_event.body.decode().replace("\n", " ").replace("\r", " ")
    event = accepted_event.event
    return f'{{"source": {json.dumps(event.source)}, "arrived_at": {event.arrived_at!r}, "body": {body}}}'


def parse_line(line: bytes) -> EventLine:
    """What a line says.

    Raises:
        PayloadError: it says nothing that can be replayed; with what would be right.
    """
    try:
        members = {key: (value, raw) for key, value, raw in _members(line.decode("utf-8-sig"))}
    except (ValueError, RecursionError, IndexError) as error:
        message = f"is no JSON object: {error}"
        raise PayloadError(message) from error
    missing = [key for key in _KEYS if key not in members]
    if missing:
        message = f"has no {', '.join(missing)}; a line has {', '.join(_KEYS)}"
        raise PayloadError(message)
    source, body = members["source"][0], members["body"][0]
    if not isinstance(source, str):
        message = "its source is no text; give the slug of a source"
        raise PayloadError(message)
    if not isinstance(body, dict):
        message = "its body is no object; give what was posted"
        raise PayloadError(message)
    return EventLine(source, _parse_instant(members["arrived_at"][0]), members["body"][1].encode())


def _parse_instant(value: object) -> float:
    wanted = 'give Unix seconds, or a text such as "2026-12-31T16:50:52Z"'
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            message = f"its arrived_at {value[:64]!r} is no date and time; {wanted}"
            raise PayloadError(message) from error
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    latest = datetime.max.replace(tzinfo=UTC).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < latest:
        message = f"its arrived_at is no instant after 1970; {wanted}"
        raise PayloadError(message)
    return float(value)


def _members(text: str) -> Iterator[tuple[str, object, str]]:
    """The members of the object that a text is: key, value, and the value's own text."""
    at = _skip_whitespace(text, _expect(text, 0, "{"))
    while text[at] != "}":
        _expect(text, at, '"')
        key, at = _DECODER.raw_decode(text, at)
        at = _skip_whitespace(text, _expect(text, at, ":"))
        value, end = _DECODER.raw_decode(text, at)
        yield key, value, text[at:end]
        at = _skip_whitespace(text, end)
        if text[at] != "}":
            at = _skip_whitespace(text, _expect(text, at, ","))
            _expect(text, at, '"')
    if _skip_whitespace(text, at + 1) != len(text):
        message = "more text after its end"
        raise ValueError(message)


def _expect(text: str, at: int, sign: str) -> int:
    at = _skip_whitespace(text, at)
    if text[at] != sign:
        message = f"expected {sign} at character {at}"
        raise ValueError(message)
    return at + 1


def _skip_whitespace(text: str, at: int) -> int:
    match = _WHITESPACE_RUN.match(text, at)
    return match.end() if match else at
