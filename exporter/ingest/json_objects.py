"""Decodes a webhook's body: strict JSON, one object or a list of them, with the verbatim bytes of each object."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import NamedTuple, NoReturn

from exporter.domain.errors import PayloadError, PayloadTooLargeError

MAX_OBJECTS = 1000
_WHITESPACE = frozenset(" \t\r\n")
_WHITESPACE_RUN = re.compile(r"[ \t\r\n]*")


class JsonObject(NamedTuple):
    """One object of a body.

    Attributes:
        pairs: its keys and values in order, so that a repeated key stays visible.
        raw: its bytes as they arrived.
    """

    pairs: tuple[tuple[str, object], ...]
    raw: bytes


def _reject_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise PayloadError(message)


# Only a JSON object decodes to a tuple, that of its pairs.
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_reject_constant)


def decode(body: bytes, most_event_bytes: int) -> list[JsonObject]:
    """Decode the objects of a body.

    Raises:
        PayloadError: the body is not JSON, or neither an object nor a list of objects.
        PayloadTooLargeError: an object has more than ``most_event_bytes``, or the list more than `MAX_OBJECTS` objects.
    """
    try:
        text = body.removeprefix(BOM_UTF8).decode()  # the codec utf-8-sig is slower: it is written in Python
    except UnicodeDecodeError as error:
        message = (
            f"the body is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02X};"
            " if the body is Latin-1, add charset=iso-8859-1 to its Content-Type"
        )
        raise PayloadError(message) from error
    start = skip_whitespace(text, 0)
    if start == len(text):
        message = "the body is empty; expected a JSON object, or a list of them"
        raise PayloadError(message)
    objects, end = _parse_list(text, start) if text[start] == "[" else _parse_single(text, start)
    if skip_whitespace(text, end) != len(text):
        message = f"the body is not JSON: more text after its end at character {end}"
        raise PayloadError(message)
    if len(body) > most_event_bytes:  # otherwise every object is within the limit
        _check_sizes(objects, most_event_bytes)
    return objects


def _check_sizes(objects: list[JsonObject], most_event_bytes: int) -> None:
    for number, json_object in enumerate(objects, 1):
        if len(json_object.raw) > most_event_bytes:
            message = f"object {number} has {len(json_object.raw)} bytes; at most {most_event_bytes} are accepted"
            raise PayloadTooLargeError(message)


def _parse_single(text: str, start: int) -> tuple[list[JsonObject], int]:
    json_object, end = _parse_object(text, start)
    return [json_object], end


def _parse_list(text: str, start: int) -> tuple[list[JsonObject], int]:
    objects: list[JsonObject] = []
    at = skip_whitespace(text, start + 1)
    while text[at : at + 1] != "]" or objects:
        if len(objects) == MAX_OBJECTS:
            message = f"the list has more than {MAX_OBJECTS:,} objects; send it in parts"
            raise PayloadTooLargeError(message)
        json_object, at = _parse_object(text, at)
        objects.append(json_object)
        at = skip_whitespace(text, at)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            message = f'the body is not JSON: expected "," or "]" at character {at}'
            raise PayloadError(message)
        at = skip_whitespace(text, at + 1)
    return objects, at + 1


def _parse_object(text: str, start: int) -> tuple[JsonObject, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError as error:
        message = "the body is nested too deeply"
        raise PayloadError(message) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = f"the body is not JSON: it ends too early or is malformed at {place}"
        raise PayloadError(message) from error
    except ValueError as error:  # of int()
        message = "the body is not JSON that can be read: an integer has too many digits"
        raise PayloadError(message) from error
    if not isinstance(value, tuple):
        message = f"expected a JSON object, or a list of them, and not {_type_name(value)}"
        raise PayloadError(message)
    return JsonObject(value, text[start:end].encode()), end


def skip_whitespace(text: str, at: int) -> int:
    """Return the index of the first character from ``at`` on that is not white space in JSON."""
    if text[at : at + 1] not in _WHITESPACE:
        return at
    match = _WHITESPACE_RUN.match(text, at)
    return match.end() if match else at


def _type_name(value: object) -> str:
    names = {str: "a string", bool: "true or false", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")
