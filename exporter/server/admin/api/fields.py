"""The fields of the JSON API's documents: each is defined once, for the response and for its schema.

A time has two fields: its name has it in ISO 8601 and UTC, and its name with ``_seconds`` in Unix seconds. Every other
field whose name ends in ``_seconds`` is a duration. null means never, none or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from exporter.domain.humanize import format_iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Schema = dict[str, Any]
Fields = tuple["Field", ...]
LATEST = 253402300799.0
"""The last instant that ISO 8601 can show, in Unix seconds. A deadline may be later."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a document.

    Attributes:
        schema: the JSON schema of its value.
        value: returns its value from the object that the document describes.
    """

    name: str
    schema: Schema
    value: Callable[[Any], object]


def text(name: str, meaning: str, value: Callable[[Any], object] | None = None) -> Field:
    """Return the field of a text."""
    return Field(name, {"type": "string", "description": meaning}, value or attrgetter(name))


def body(meaning: str) -> Field:
    """Return the field of the bytes of a body as a text."""
    meaning = f"{meaning}; bytes that are not UTF-8 are replaced."
    return text("body", meaning, lambda item: item.body.decode("utf-8", "replace"))


def optional_text(name: str, meaning: str, value: Callable[[Any], object] | None = None) -> Field:
    """Return the field of a text that may be empty, which is shown as null."""
    get = value or attrgetter(name)
    return Field(name, {"type": ["string", "null"], "description": meaning}, lambda item: get(item) or None)


def choice(name: str, words: Iterable[str], meaning: str, value: Callable[[Any], object] | None = None) -> Field:
    """Return the field of one of a few words."""
    return Field(name, {"enum": list(words), "description": meaning}, value or attrgetter(name))


def flag(name: str, meaning: str, value: Callable[[Any], object] | None = None) -> Field:
    """Return the field of a boolean."""
    return Field(name, {"type": "boolean", "description": meaning}, value or attrgetter(name))


def count(name: str, meaning: str) -> Field:
    """Return the field of a whole number that is not negative."""
    return Field(name, {"type": "integer", "minimum": 0, "description": meaning}, attrgetter(name))


def counts(name: str, meaning: str) -> Field:
    """Return the field of numbers by word."""
    schema = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "description": meaning}
    return Field(name, schema, attrgetter(name))


def number(name: str, meaning: str) -> Field:
    """Return the field of a number."""
    return Field(name, {"type": "number", "description": meaning}, attrgetter(name))


def duration(attribute: str, meaning: str) -> Field:
    """Return the field of a duration, ``…_seconds``."""
    return Field(f"{attribute}_seconds", {"type": "number", "description": meaning}, attrgetter(attribute))


def optional_duration(attribute: str, meaning: str) -> Field:
    """Return the field of a duration, ``…_seconds``, that is null if the attribute is 0."""
    get = attrgetter(attribute)
    schema = {"type": ["number", "null"], "description": meaning}
    return Field(f"{attribute}_seconds", schema, lambda item: get(item) or None)


def offset(attribute: str, meaning: str) -> Field:
    """Return the field of a UTC offset, ``…_seconds``; None is shown as null."""
    schema = {"type": ["integer", "null"], "description": f"{meaning}; seconds east of UTC."}
    return Field(f"{attribute}_seconds", schema, attrgetter(attribute))


def instant(name: str, meaning: str, value: Callable[[Any], float] | None = None, *, null_if: str = "never") -> Fields:
    """Return both fields of a time; 0 is shown as null, which means ``null_if``."""
    get = value or attrgetter(name)
    iso = {"type": ["string", "null"], "format": "date-time", "description": f"{meaning}; null if {null_if}."}
    seconds = {"type": ["number", "null"], "description": f"The same in Unix seconds: `{name}`."}
    return (
        Field(name, iso, lambda item: iso_or_null(get(item))),
        Field(f"{name}_seconds", seconds, lambda item: get(item) or None),
    )


def known_instant(name: str, meaning: str) -> Fields:
    """Return both fields of a time that every item has."""
    get = attrgetter(name)
    iso = {"type": "string", "format": "date-time", "description": f"{meaning}."}
    seconds = {"type": "number", "description": f"The same in Unix seconds: `{name}`."}
    return (
        Field(name, iso, lambda item: format_iso(min(get(item), LATEST))),
        Field(f"{name}_seconds", seconds, get),
    )


def iso_or_null(seconds: float) -> str | None:
    """Return Unix seconds in ISO 8601 and UTC; None for 0."""
    return format_iso(min(seconds, LATEST)) if seconds else None


def document(fields: Fields, item: object) -> dict[str, object]:
    """Build the document that describes ``item``."""
    return {field.name: field.value(item) for field in fields}


def document_schema(fields: Fields, **more: Schema) -> Schema:
    """Build the schema of a document."""
    return object_schema(**{field.name: field.schema for field in fields}, **more)


def object_schema(**properties: Schema) -> Schema:
    """Build the schema of an object with exactly these properties, all of them required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
