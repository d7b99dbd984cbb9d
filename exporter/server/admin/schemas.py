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
    schema = {"type": ["number", "null"], "description": f"{meaning}; Unix seconds, null for never."}
    return Field(name, schema, lambda item: getattr(item, name) or None)


def _counts(name: str, meaning: str) -> Field:
    schema = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "description": meaning}
    return Field(name, schema, lambda item: getattr(item, name))


EXPORT = (
    _text("id", "Names this export for good; the last part of its own path."),
    _text("source", "The slug of its source."),
    _text("export", "The declared name, the detected request id, or any."),
    _text("partner", "Where it exports to."),
    _text("data_type", "What it exports."),
    _text("frequency", "How often, such as 4h, 24h or one-time."),
    _text("timezone", "The clock of its source, or auto."),
    _flag("declared", "Whether the configuration declares it."),
    Field(
        "severity",
        {"enum": list(SEVERITIES), "description": "Of the alerts that it is overdue."},
        lambda state: state.severity,
    ),
    _text("owner", "As declared."),
    _text("runbook_url", "As declared."),
    _flag("recurring", "Whether it has an interval, and so deadlines and slots."),
    _seconds("interval", "Seconds from one run to the next; 0 where it is not known."),
    _seconds("grace", "Seconds that a run may be late and still be fine."),
    _seconds("max_runtime", "Seconds that a run may take."),
    _seconds("objective", "The share of slots that should be on time."),
    _instant("last_initiated", "Start of the newest run"),
    _instant("last_completed", "End of the newest completed run"),
    _instant("last_failed", "End of the newest run that a status word ended as failed"),
    _instant("last_received", "Arrival of the newest event"),
    _seconds("last_duration", "Seconds that the newest completed run took whose start is known."),
    _seconds("usual_duration", "The median duration of the runs of 14 days, in seconds; 0 for none."),
    _count("in_progress", "Runs that were initiated and not yet completed."),
    _instant("running_since", "Start of the oldest run in progress"),
    _instant("start_deadline", "When the next run has to have started"),
    _instant("deadline", "When the next run has to have completed"),
    _instant("run_deadline", "When the oldest run in progress has to have completed"),
    _count("initiated", "Runs that started."),
    _count("completed", "Runs that completed."),
    _count("failed", "Runs that a status word ended as failed."),
    _count("abandoned", "Runs that were still open when the export started again."),
    _count("slots", "Completions that were expected, whatever became of them."),
    _count("slots_late", "Slots whose completion came after the deadline."),
    _count("slots_missed", "Slots without a completion."),
    _count("slots_unknown", "Slots without a completion, which an outage of the exporter may have hidden."),
    _count("slots_missed_1d", "Slots that were missed within a day and since the last mute."),
    _count("slots_unknown_1d", "Slots that became unknown within a day and since the last mute."),
    _count("slots_over_objective_7d", "Late and missed slots within a week, if the objective allows fewer; else 0."),
    _flag("muted", "Whether alerts about it hold their tongue."),
    _instant("muted_until", "When that ends"),
    _text("muted_by", "Who decided that; empty where it is not muted."),
    _text("muted_why", "Why, in their words."),
)

EVENT = (
    _count("sequence", "Its place in the ledger."),
    _text("source", "The slug of its source."),
    _text("request_id", "The export request id."),
    _text("partner", "The canonical name, or the sender's text."),
    _text("data_type", "In lower case."),
    _text("status", "In lower case."),
    _text("frequency", "Such as 4h, 24h or one-time, or the sender's text."),
    Field(
        "local_seconds",
        {"type": "number", "description": "The sender's date and time as Unix seconds of a clock on UTC."},
        lambda event: naive_timestamp(event.local_time),
    ),
    _seconds("arrived_at", "When it arrived; Unix seconds."),
    _seconds("occurred_at", "When it happened; Unix seconds."),
    Field(
        "utc_offset",
        {"type": "integer", "description": "The offset at which its text was read, in seconds east of UTC."},
        lambda event: event.utc_offset,
    ),
    _flag("skewed", "Whether its text lay in the future, so that the arrival stands for it."),
)

SOURCE = (
    _text("slug", "The last part of its webhook's path, and its source label."),
    _text("timezone", "Its clock, or auto."),
    _counts("events", "Stored events by status word."),
    _count("duplicates", "Deliveries of what was stored already."),
    _count("test_calls", "Test calls, made when someone creates the webhook."),
    _counts("quarantined", "Bodies that were kept but not understood, by reason."),
    _count("skewed", "Events dated in the future, for which the arrival stands."),
    _count("unknown_frequencies", "Events whose frequency was not understood."),
    Field(
        "unknown_statuses",
        {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0},
            "description": "By status word that is not known: arrival of its second newest event, 0 if it has one.",
        },
        lambda source: source.unknown_statuses,
    ),
    _instant("configured_at", "When the exporter first had it in its configuration"),
    _instant("last_accepted", "Arrival of the newest accepted body"),
    _seconds("delay", "Arrival minus occurrence of the newest event, signed."),
    Field(
        "suspected_offset",
        {"type": ["integer", "null"], "description": "The UTC offset that its arrivals suggest, in seconds."},
        lambda source: source.suspected_offset,
    ),
    _flag("suspect", "Whether that contradicts the configured time zone."),
)

QUARANTINED = (
    _count("sequence", "Its place in the quarantine."),
    _text("source", "The slug of its source."),
    _seconds("arrived_at", "When it arrived; Unix seconds."),
    _text("reason", "Why it was not understood, in one word."),
    _text("detail", "The same as a sentence."),
    _text("body", "As it arrived; what is not UTF-8 is replaced.", lambda item: item.body.decode("utf-8", "replace")),
)


REFUSED = (
    _count("sequence", "Its place among the refused bodies."),
    _text("source", "The slug of its source."),
    _seconds("arrived_at", "When it arrived; Unix seconds."),
    _count("status", "The HTTP status of the response."),
    _text("detail", "Which check failed."),
    _count("size", "How many bytes arrived; 0 if the body was not read."),
    _text("body", "Its beginning; what is not UTF-8 is replaced.", lambda item: item.body.decode("utf-8", "replace")),
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
        EXPORT, state={"enum": list(CONDITIONS), "description": "One word: the most urgent thing that is true now."}
    ),
    "Event": _document_schema(EVENT),
    "Source": _document_schema(SOURCE),
    "Quarantined": _document_schema(QUARANTINED),
    "Refused": _document_schema(REFUSED),
}
"""The schemas by their names in the API's description."""
