"""The documents of the JSON API: exports, sources, events and quarantined bodies, with their schemas.

Times are Unix seconds; null means never. Each field is defined once, for the response and for the
schema, so that they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.domain.event_time import naive_timestamp
from exporter.domain.exports import SEVERITIES
from exporter.domain.states import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.domain.events import Event, QuarantinedBody, RefusedBody
    from exporter.domain.states import ExportState, SourceState

Schema = dict[str, Any]


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


def _text(name: str, meaning: str, value: Callable[[Any], object] | None = None) -> Field:
    return Field(name, {"type": "string", "description": meaning}, value or (lambda item: getattr(item, name)))


def _flag(name: str, meaning: str) -> Field:
    return Field(name, {"type": "boolean", "description": meaning}, lambda item: getattr(item, name))


def _count(name: str, meaning: str) -> Field:
    schema = {"type": "integer", "minimum": 0, "description": meaning}
    return Field(name, schema, lambda item: getattr(item, name))


def _seconds(name: str, meaning: str) -> Field:
    return Field(name, {"type": "number", "description": meaning}, lambda item: getattr(item, name))


def _instant(name: str, meaning: str) -> Field:
    schema = {"type": ["number", "null"], "description": f"{meaning}; Unix seconds, null if never."}
    return Field(name, schema, lambda item: getattr(item, name) or None)


def _counts(name: str, meaning: str) -> Field:
    schema = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "description": meaning}
    return Field(name, schema, lambda item: getattr(item, name))


EXPORT = (
    _text("id", "Permanent id of the export; the last part of its path in the API."),
    _text("source", "Slug of the source."),
    _text("export", "Declared name, request id of a detected export, any or other."),
    _text("partner", "Destination, such as Amazon S3."),
    _text("data_type", "What is exported, such as events."),
    _text("frequency", "Frequency, such as 4h, 24h or one-time."),
    _text("timezone", "Time zone of the source, or auto."),
    _flag("declared", "Whether the export is declared."),
    Field(
        "severity",
        {"enum": list(SEVERITIES), "description": "Severity of the alert if the export is overdue."},
        lambda state: state.severity,
    ),
    _text("owner", "Owner, as declared."),
    _text("runbook_url", "Runbook, as declared."),
    _flag("recurring", "Whether the export has an interval, and so deadlines and slots."),
    _seconds("interval", "Expected time between two runs in seconds; 0 if unknown."),
    _seconds("grace", "Grace period in seconds."),
    _seconds("max_runtime", "How long a run may take, in seconds."),
    _seconds("objective", "On-time objective: target share of slots on time."),
    _instant("last_initiated", "When the last run started"),
    _instant("last_completed", "When the last run completed"),
    _instant("last_failed", "Time of the last run reported as failed"),
    _instant("last_received", "When the last event arrived"),
    _seconds("last_duration", "Duration in seconds of the last completed run with a known start; 0 if none."),
    _seconds("usual_duration", "Median duration in seconds of the runs of the last 14 days; 0 if none."),
    _count("in_progress", "Runs that have started and not yet ended."),
    _instant("running_since", "When the oldest run in progress started"),
    _instant("start_deadline", "When the next run must have started"),
    _instant("deadline", "When the next run must have completed"),
    _instant("run_deadline", "When the oldest run in progress must have completed"),
    _count("initiated", "Runs that started."),
    _count("completed", "Runs that completed."),
    _count("failed", "Runs reported as failed."),
    _count("abandoned", "Runs superseded by a newer run before completing."),
    _count("slots", "Expected completions, whatever their outcome."),
    _count("slots_late", "Slots whose completion came after their deadline."),
    _count("slots_missed", "Slots without a completion, counted one interval after they were due."),
    _count("slots_unknown", "Slots without an event during an outage of the exporter."),
    _count("slots_missed_1d", "Slots missed in the last day and since the last mute."),
    _count("slots_unknown_1d", "Slots that became unknown in the last day and since the last mute."),
    _count("slots_over_objective_7d", "Late and missed slots of the last 7 days; 0 if the objective allows as many."),
    _flag("muted", "Whether alerts about the export are muted."),
    _instant("muted_until", "When the mute ends"),
    _text("muted_by", "Who muted the export; empty if it is not muted."),
    _text("muted_why", "Why, as given."),
)

EVENT = (
    _count("sequence", "Sequence number of the event in the store."),
    _text("source", "Slug of the source."),
    _text("request_id", "The export request id."),
    _text("partner", "Canonical name, or the text of the event."),
    _text("data_type", "In lower case."),
    _text("status", "In lower case."),
    _text("frequency", "Such as 4h, 24h or one-time, or the text of the event."),
    Field(
        "local_seconds",
        {"type": "number", "description": "Date and time of the event, as if it were in UTC; Unix seconds."},
        lambda event: naive_timestamp(event.local_time),
    ),
    _seconds("arrived_at", "Arrival time; Unix seconds."),
    _seconds("occurred_at", "Event time; Unix seconds."),
    Field(
        "utc_offset",
        {"type": "integer", "description": "UTC offset applied to its date and time, in seconds east of UTC."},
        lambda event: event.utc_offset,
    ),
    _flag("skewed", "Whether it was dated in the future; arrival time used instead."),
)

SOURCE = (
    _text("slug", "Slug of the source: the last part of its webhook's path, and its source label."),
    _text("timezone", "Time zone, or auto."),
    _counts("events", "Stored events by status."),
    _count("duplicates", "Deliveries of events already stored."),
    _count("test_calls", "Test calls, sent when someone creates the webhook."),
    _counts("quarantined", "Bodies quarantined because they could not be parsed, by reason."),
    _count("skewed", "Events dated in the future; arrival time used instead."),
    _count("unknown_frequencies", "Events with an unrecognised frequency."),
    Field(
        "unknown_statuses",
        {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0},
            "description": "By unknown status: when its second newest event arrived, 0 if there was only one.",
        },
        lambda source: source.unknown_statuses,
    ),
    _instant("configured_at", "When the source was first configured"),
    _instant("last_accepted", "When the last body other than a test call was accepted"),
    _seconds("delay", "Arrival time minus event time of the newest event, in seconds."),
    Field(
        "suspected_offset",
        {
            "type": ["integer", "null"],
            "description": "UTC offset that the arrivals suggest, in seconds; null if they suggest none.",
        },
        lambda source: source.suspected_offset,
    ),
    _flag("suspect", "Whether the arrivals contradict the configured time zone."),
)

QUARANTINED = (
    _count("sequence", "Sequence number of the body in the quarantine."),
    _text("source", "Slug of the source."),
    _seconds("arrived_at", "Arrival time; Unix seconds."),
    _text("reason", "Why the body could not be parsed, in one word."),
    _text("detail", "The reason as a sentence."),
    _text(
        "body", "The body; bytes that are not UTF-8 are replaced.", lambda item: item.body.decode("utf-8", "replace")
    ),
)


REFUSED = (
    _count("sequence", "Sequence number of the refused body."),
    _text("source", "Slug of the source."),
    _seconds("arrived_at", "Arrival time; Unix seconds."),
    _count("status", "HTTP status of the response."),
    _text("detail", "Which check failed."),
    _count("size", "Bytes that arrived; 0 if the body was not read."),
    _text(
        "body",
        "Beginning of the body; bytes that are not UTF-8 are replaced.",
        lambda item: item.body.decode("utf-8", "replace"),
    ),
)


def export_document(state: ExportState, now: float) -> dict[str, object]:
    """Build the document of an export; ``state`` is its condition at ``now``."""
    return _document(EXPORT, state) | {"state": state.condition(now)}


def event_document(event: Event) -> dict[str, object]:
    """Build the document of an event."""
    return _document(EVENT, event)


def source_document(state: SourceState) -> dict[str, object]:
    """Build the document of a source."""
    return _document(SOURCE, state)


def quarantined_document(body: QuarantinedBody) -> dict[str, object]:
    """Build the document of a quarantined body."""
    return _document(QUARANTINED, body)


def refused_document(body: RefusedBody) -> dict[str, object]:
    """Build the document of a refused body."""
    return _document(REFUSED, body)


def _document(fields: tuple[Field, ...], item: object) -> dict[str, object]:
    return {field.name: field.value(item) for field in fields}


def _document_schema(fields: tuple[Field, ...], **more: Schema) -> Schema:
    return object_schema(**{field.name: field.schema for field in fields}, **more)


def object_schema(**properties: Schema) -> Schema:
    """Build the schema of an object with exactly these properties, all of them required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMAS = {
    "Export": _document_schema(
        EXPORT, state={"enum": list(CONDITIONS), "description": "The most urgent state that applies now."}
    ),
    "Event": _document_schema(EVENT),
    "Source": _document_schema(SOURCE),
    "Quarantined": _document_schema(QUARANTINED),
    "Refused": _document_schema(REFUSED),
}
"""The schemas by their names in the API's description."""
