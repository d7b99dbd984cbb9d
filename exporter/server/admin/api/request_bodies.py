"""The JSON bodies of requests to the API: which fields there are, and how they are checked."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from werkzeug.exceptions import UnsupportedMediaType

from exporter.domain.decision_rules import MAX_TEXT, parse_text
from exporter.domain.durations import parse_duration, parse_instant
from exporter.domain.errors import PayloadError
from exporter.domain.spelling import closest
from exporter.ingest import json_objects
from exporter.server.admin.api.query_parameters import MAX_INTEGER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask import Request

    from exporter.server.admin.api.fields import Schema

JSON_ONLY = UnsupportedMediaType("the Content-Type has to be application/json")


class FieldError(Exception):
    """A field of a request's body is missing, unknown, repeated or wrong.

    Attributes:
        field: the name of the field.
        status: the status of the response.
    """

    def __init__(self, field: str, detail: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        self.field = field
        self.status = status
        super().__init__(f"{field}: {detail}")


@dataclass(frozen=True, slots=True)
class BodyField:
    """A field of a request's body.

    Attributes:
        parse: returns the value to use; raises `ValueError` with what would be right.
        default: the value if the field is not given or null.
    """

    name: str
    schema: Schema
    parse: Callable[[object], object]
    is_required: bool = False
    default: object = None


def parse_body(request: Request, fields: Sequence[BodyField]) -> dict[str, Any]:
    """Return the value of every field by name.

    Raises:
        UnsupportedMediaType: the body is not declared as JSON.
        PayloadError: it is not JSON, or not one object.
        FieldError: a field is missing, unknown, repeated or wrong.
    """
    if request.mimetype != "application/json":
        raise JSON_ONLY
    body = request.get_data(cache=False)
    if not body.lstrip().startswith(b"{"):
        message = "the body has to be one JSON object, in UTF-8"
        raise PayloadError(message)
    (json_object,) = json_objects.decode(body, len(body))
    by_name = {field.name: field for field in fields}
    given: dict[str, object] = {}
    for name, value in json_object.pairs:
        if name not in by_name:
            close = closest(name[:64], list(by_name))
            hint = f"did you mean {close}?" if close else f"the fields here are {', '.join(by_name)}"
            raise FieldError(name[:64], f"unknown field; {hint}")
        if name in given:
            raise FieldError(name, "given more than once; give it once")
        given[name] = value
    return {name: _parse_field(field, given.get(name)) for name, field in by_name.items()}


def _parse_field(field: BodyField, value: object) -> object:
    if value is None:
        if field.is_required:
            raise FieldError(field.name, f"missing; it is: {field.schema['description']}")
        return field.default
    try:
        return field.parse(value)
    except ValueError as error:
        raise FieldError(field.name, str(error)) from None


def body_schema(fields: Sequence[BodyField], **more: Any) -> Schema:  # noqa: ANN401 - any keyword of JSON Schema
    """Build the schema of a body with these fields."""
    return {
        "type": "object",
        "properties": {field.name: field.schema for field in fields},
        "required": [field.name for field in fields if field.is_required],
        "additionalProperties": False,
    } | more


def _text(value: object) -> str:
    if not isinstance(value, str):
        message = "give a text"
        raise ValueError(message)  # noqa: TRY004 - the caller expects a ValueError
    return value


def _duration(value: object) -> int:
    seconds = parse_duration(value)
    if seconds < 0:
        message = "give a duration that is not negative"
        raise ValueError(message)
    return seconds


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        message = "give true or false"
        raise ValueError(message)  # noqa: TRY004 - the caller expects a ValueError
    return value


def _integer(least: int, most: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            message = f"give a whole number from {least} to {most}"
            raise ValueError(message)
        return value

    return parse


def _author_field(name: str, meaning: str) -> BodyField:
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "description": meaning}
    return BodyField(name, schema, lambda value: parse_text(_text(value)), is_required=True)


EXPORT_ID = BodyField("export_id", {"type": "string", "description": "The id of an export."}, _text, is_required=True)
BY = _author_field("by", "Who decides.")
WHY = _author_field("why", "The reason.")
FOR = BodyField(
    "for",
    {
        "type": ["string", "integer", "null"],
        "description": "How long from now, such as 8h or 7d; a whole number is in seconds.",
    },
    _duration,
)
UNTIL = BodyField(
    "until",
    {
        "type": ["string", "null"],
        "description": "Instead, when the mute ends, such as 2026-12-31T16:50Z; without an offset in UTC.",
    },
    lambda value: parse_instant(_text(value)),
)
MUTE_BODY = (EXPORT_ID, FOR, UNTIL, BY, WHY)
RETIREMENT_BODY = (EXPORT_ID, BY, WHY)


def replay_body(sources: Sequence[str], most: int) -> tuple[BodyField, ...]:
    """Return the fields of the body of a replay.

    Args:
        sources: the slugs of the configured sources.
        most: how many bodies one request looks at, at most.
    """

    def source(value: object) -> str:
        if value not in sources:
            message = f"{str(value)[:64]!r} is not configured; give one of {', '.join(sources)}"
            raise ValueError(message)
        return cast("str", value)

    return (
        BodyField(
            "preview",
            {"type": "boolean", "default": False, "description": "Only show what would change."},
            _boolean,
            default=False,
        ),
        BodyField(
            "source", {"enum": [*sources, None], "description": "Only bodies of this source; null for all."}, source
        ),
        BodyField(
            "reason",
            {"type": ["string", "null"], "description": "Only bodies quarantined for this reason; null for all."},
            _text,
        ),
        BodyField(
            "sequence",
            {
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": MAX_INTEGER,
                "description": "Only the body with this sequence; null for all.",
            },
            _integer(1, MAX_INTEGER),
        ),
        BodyField(
            "after",
            {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_INTEGER,
                "default": 0,
                "description": "Only bodies past this sequence: next_after of the request before.",
            },
            _integer(0, MAX_INTEGER),
            default=0,
        ),
        BodyField(
            "limit",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": most,
                "default": most,
                "description": "How many bodies of the quarantine to look at.",
            },
            _integer(1, most),
            default=most,
        ),
    )
