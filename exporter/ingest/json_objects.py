"""Bodies as they arrive: strict JSON, one object or a list of them, every object kept verbatim."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import NoReturn

from exporter.domain.errors import PayloadError, PayloadTooLargeError

MOST_EVENTS = 1000
_SPACES = frozenset(" \t\r\n")
_WHITE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class JsonObject:
    """One object of a body.

    Attributes:
        pairs: its keys and values in order, so that a key given twice is seen.
        raw: its bytes as they arrived.
    """

    pairs: tuple[tuple[str, object], ...]
    raw: bytes


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise PayloadError(message)


# An object becomes a tuple of its pairs; no other value of JSON becomes a tuple.
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_no_constant)


def decode(body: bytes, most_event_bytes: int) -> list[JsonObject]:
    """The objects of a body.

    Raises:
        PayloadError: it is not JSON, or not an object or a list of objects.
        PayloadTooLargeError: an object is over ``most_event_bytes``, or there are over 1,000.
    """
    try:
        text = body.removeprefix(BOM_UTF8).decode()  # the codec utf-8-sig is one in Python
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: byte {error.start} is not valid there"
        raise PayloadError(message) from error
    start = _skip(text, 0)
    if start == len(text):
        message = "the body is empty; expected a JSON object, or a list of them"
        raise PayloadError(message)
    objects, end = _list(text, start) if text[start] == "[" else _single(text, start)
    if _skip(text, end) != len(text):
        message = f"the body is not JSON: more text after its end at character {end}"
        raise PayloadError(message)
    if len(body) > most_event_bytes:  # else no part of it is
        _check_sizes(objects, most_event_bytes)
    return objects


def _check_sizes(objects: list[JsonObject], most_event_bytes: int) -> None:
    for number, each in enumerate(objects, 1):
        if len(each.raw) > most_event_bytes:
            message = f"object {number} has {len(each.raw)} bytes; at most {most_event_bytes} are taken"
            raise PayloadTooLargeError(message)


def _single(text: str, start: int) -> tuple[list[JsonObject], int]:
    each, end = _object(text, start)
    return [each], end


def _list(text: str, start: int) -> tuple[list[JsonObject], int]:
    objects: list[JsonObject] = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != "]" or objects:
        if len(objects) == MOST_EVENTS:
            message = f"the list has more than {MOST_EVENTS:,} objects; send it in parts"
            raise PayloadTooLargeError(message)
        each, at = _object(text, at)
        objects.append(each)
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            message = f'the body is not JSON: expected "," or "]" at character {at}'
            raise PayloadError(message)
        at = _skip(text, at + 1)
    return objects, at + 1


def _object(text: str, start: int) -> tuple[JsonObject, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError as error:
        message = "the body is nested too deeply"
        raise PayloadError(message) from error
    except ValueError as error:  # JSONDecodeError, or an integer of too many digits
        message = f"the body is not JSON: {error}"
        raise PayloadError(message) from error
    if not isinstance(value, tuple):
        message = f"expected a JSON object, or a list of them, and not {_kind(value)}"
        raise PayloadError(message)
    return JsonObject(value, text[start:end].encode()), end


def _skip(text: str, at: int) -> int:
    if text[at : at + 1] not in _SPACES:
        return at
    match = _WHITE.match(text, at)
    return match.end() if match else at


def _kind(value: object) -> str:
    names = {str: "a string", bool: "true or false", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")
