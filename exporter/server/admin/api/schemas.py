"""The documents of the JSON API and their schemas: exports, sources, events, bodies and outages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.explanation import explain_deadline
from exporter.domain.exports import SEVERITIES
from exporter.domain.slot_outcomes import OUTCOMES
from exporter.domain.states import CONDITIONS
from exporter.ingest.vendors.registry import adapter_of, webhook_path
from exporter.projection.fold.run_list import RUN_OUTCOMES
from exporter.server.admin.api import fields
from exporter.server.admin.api.fields import Field, document, document_schema

if TYPE_CHECKING:
    from exporter.config.loader import Config
    from exporter.domain.events import Event, Outage, QuarantinedBody, RefusedBody
    from exporter.domain.slot_outcomes import SlotOutcome
    from exporter.domain.states import ExportState, SourceState
    from exporter.projection.fold.run_list import Run
    from exporter.server.export_detail import ExportDetail

EVENTS_PER_EXPORT = 20
RUNS_PER_EXPORT = 50

LANDING = (
    fields.text("summary", "What is known about the files of the export, in words."),
    fields.optional_text("result", "What the last check found: landed, nothing, small or error; null before it."),
    fields.optional_text("detail", "Where it looked, or why it failed."),
    *fields.instant("checked_at", "When the last check was made"),
    *fields.instant("landed_at", "When the newest file of the last run that landed was modified"),
    fields.count("objects", "Files of the last run that was looked for."),
    fields.count("size", "Their size in bytes."),
    fields.number("usual_size", "Median size in bytes of the 14 runs before; 0 with fewer than 3."),
    *fields.instant("due_at", "By when the files of that run must be there"),
    *fields.instant("missing_since", "Since when the files of the last completed run are missing"),
    *fields.instant("unannounced_at", "When files landed of a run that no Completed event announced"),
    *fields.instant("failing_since", "Since when checks have failed"),
)

EXPORT_LABELS = (
    fields.text("source", "Slug of the source."),
    fields.text("export", "Declared name, request id of a detected export, any or other."),
    fields.text("partner", "Destination, such as Amazon S3."),
    fields.text("data_type", "What is exported, such as events."),
    fields.text("frequency", "Frequency, such as 4h, 24h or one-time."),
)
"""The fields that are labels of the export's metrics."""

EXPORT = (
    fields.text("id", "Permanent id of the export; the last part of its path in the API."),
    *EXPORT_LABELS,
    fields.text("timezone", "Time zone of the source, or auto."),
    fields.flag("declared", "Whether the export is declared."),
    fields.choice("severity", SEVERITIES, "Severity of the alert if the export is overdue."),
    fields.optional_text("owner", "Owner, as declared."),
    fields.optional_text("runbook_url", "Runbook, as declared."),
    fields.flag("recurring", "Whether the export has an interval, and so deadlines and slots."),
    fields.optional_duration("interval", "Expected time between two runs; null if unknown."),
    fields.duration("grace", "Grace period."),
    fields.duration("max_runtime", "How long a run may take."),
    fields.number("objective", "On-time objective: target share of slots on time."),
    *fields.instant("last_initiated", "When the last run started"),
    *fields.instant("last_completed", "When the last run completed"),
    *fields.instant("last_failed", "Time of the last run reported as failed"),
    *fields.instant("last_received", "When the last event arrived"),
    fields.optional_duration("last_duration", "Duration of the last completed run with a known start; null if none."),
    fields.optional_duration("usual_duration", "Median duration of the runs of the last 14 days; null if none."),
    fields.count("in_progress", "Runs that have started and not yet ended."),
    *fields.instant("running_since", "When the oldest run in progress started", null_if="none is in progress"),
    *fields.instant("start_deadline", "When the next run must have started", null_if="there is none"),
    *fields.instant("deadline", "When the next run must have completed", null_if="there is none"),
    *fields.instant("run_deadline", "When the oldest run in progress must have completed", null_if="there is none"),
    fields.count("initiated", "Runs that started."),
    fields.count("completed", "Runs that completed."),
    fields.count("failed", "Runs reported as failed."),
    fields.count("abandoned", "Runs superseded by a newer run before completing."),
    fields.count("slots", "Expected completions, whatever their outcome."),
    fields.count("slots_late", "Slots whose completion came after their deadline."),
    fields.count("slots_missed", "Slots without a completion, counted one interval after they were due."),
    fields.count("slots_unknown", "Slots without an event during an outage of the exporter."),
    fields.count("slots_missed_1d", "Slots missed in the last day and since the last mute."),
    fields.count("slots_unknown_1d", "Slots that became unknown in the last day and since the last mute."),
    fields.count(
        "slots_over_objective_7d", "Late and missed slots of the last 7 days; 0 if the objective allows that many."
    ),
    fields.flag("muted", "Whether alerts about the export are muted."),
    *fields.instant("muted_until", "When the mute ends", null_if="it is not muted"),
    fields.optional_text("muted_by", "Who muted the export; null if it is not muted."),
    fields.optional_text("muted_why", "Why, as given."),
    Field(
        "landing",
        {"anyOf": [document_schema(LANDING), {"type": "null"}], "description": "Null if no landing is configured."},
        lambda state: document(LANDING, state.landing) if state.landing else None,
    ),
)

EVENT = (
    fields.count("sequence", "Sequence number of the event in the store."),
    fields.text("source", "Slug of the source."),
    fields.text("request_id", "The export request id."),
    fields.text("partner", "Canonical name, or the text of the event."),
    fields.text("data_type", "In lower case."),
    fields.text("status", "In lower case."),
    fields.text("frequency", "Such as 4h, 24h or one-time, or the text of the event."),
    fields.text(
        "local_time",
        "Date and time of the event as the sender wrote it, in ISO 8601 without a zone.",
        lambda event: event.local_time.isoformat(),
    ),
    *fields.known_instant("arrived_at", "Arrival time"),
    *fields.known_instant("occurred_at", "Event time"),
    fields.offset("utc_offset", "UTC offset applied to its date and time"),
    fields.flag("skewed", "Whether it was dated in the future; arrival time used instead."),
)

SOURCE = (
    fields.text("slug", "Slug of the source: the last part of its webhook's path, and its source label."),
    fields.text("timezone", "Time zone, or auto."),
    fields.counts("events", "Stored events by status."),
    fields.count("duplicates", "Deliveries of events already stored."),
    fields.count("test_calls", "Test calls, sent when someone creates the webhook."),
    fields.counts("quarantined", "Bodies quarantined because they could not be parsed, by reason."),
    fields.count("skewed", "Events dated in the future; arrival time used instead."),
    fields.count("unknown_frequencies", "Events with an unrecognised frequency."),
    Field(
        "unknown_statuses",
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"], "format": "date-time"},
            "description": "By unknown status: when its second newest event arrived, null if there was only one.",
        },
        lambda source: {status: fields.iso_or_null(at) for status, at in source.unknown_statuses.items()},
    ),
    Field(
        "unknown_statuses_seconds",
        {
            "type": "object",
            "additionalProperties": {"type": ["number", "null"]},
            "description": "The same in Unix seconds: `unknown_statuses`.",
        },
        lambda source: {status: at or None for status, at in source.unknown_statuses.items()},
    ),
    *fields.instant("configured_at", "When the source was first configured"),
    *fields.instant("last_accepted", "When the last body other than a test call was accepted"),
    fields.duration("delay", "Arrival time minus event time of the newest event."),
    fields.offset("suspected_offset", "UTC offset that the arrivals suggest, null if they suggest none"),
    fields.flag("suspect", "Whether the arrivals contradict the configured time zone."),
)
SOURCE_IN_CONFIGURATION = (
    fields.flag("configured", "Whether the source is configured. If not, only slug and last_accepted are known."),
    fields.optional_text("webhook_path", "Path of its webhook on the webhook listener."),
)

QUARANTINED = (
    fields.count("sequence", "Sequence number of the body in the quarantine."),
    fields.text("source", "Slug of the source."),
    *fields.known_instant("arrived_at", "Arrival time"),
    fields.text("reason", "Why the body could not be parsed, in one word."),
    fields.text("detail", "The reason as a sentence."),
    fields.body("The body"),
)

REFUSED = (
    fields.count("sequence", "Sequence number of the refused body."),
    fields.text("source", "Slug of the source."),
    *fields.known_instant("arrived_at", "Arrival time"),
    fields.count("status", "HTTP status of the response."),
    fields.text("detail", "Which check failed."),
    fields.count("size", "Bytes that arrived; 0 if the body was not read."),
    fields.body("Beginning of the body"),
)

SLOT = (
    fields.choice("outcome", OUTCOMES, "What became of it."),
    *fields.known_instant("due_at", "When the completion was expected, without the grace period"),
    *fields.instant("completed_at", "When the run that fills it completed", null_if="no run fills it"),
)

RUN = (
    fields.text("request_id", "Request id of its events."),
    fields.choice("outcome", RUN_OUTCOMES, "How it ended, or that it has not."),
    *fields.instant("started_at", "When it started", null_if="its start is unknown"),
    *fields.instant("ended_at", "When it completed or failed", null_if="it is in progress"),
    fields.optional_duration("duration", "From start to end; null if either is unknown."),
    fields.duration("delay", "Arrival time minus event time of its last event."),
    *fields.instant("must_end_by", "Its run deadline", null_if="it has ended"),
)

OUTAGE = (
    *fields.known_instant("began_at", "When the last heartbeat before it was recorded"),
    *fields.known_instant("ended_at", "When an exporter recorded the next heartbeat"),
)


def export_document(state: ExportState, now: float) -> dict[str, object]:
    """Build the document of an export; ``state`` is its condition at ``now``."""
    since = state.condition_since(now)
    return document(EXPORT, state) | {
        "state": state.condition(now),
        "state_since": fields.iso_or_null(since),
        "state_since_seconds": since or None,
    }


def export_detail_document(detail: ExportDetail, now: float, config: Config) -> dict[str, object]:
    """Build the document of an export at ``now`` with its newest slots, runs and events."""
    subject, state = detail.subject, detail.subject.state
    zone = config.sources[state.source].source.zone
    return {
        "export": export_document(state, now),
        "retired": subject.is_retired,
        "deadline_explanation": explain_deadline(state, detail.basis, now, zone),
        "slots": [slot_document(slot) for slot in state.recent_slots],
        "runs": [run_document(run) for run in detail.runs[:RUNS_PER_EXPORT]],
        "events": [event_document(event) for event in detail.events[:EVENTS_PER_EXPORT]],
    }


def slot_document(slot: SlotOutcome) -> dict[str, object]:
    """Build the document of a slot."""
    return document(SLOT, slot)


def run_document(run: Run) -> dict[str, object]:
    """Build the document of a run."""
    return document(RUN, run)


def event_document(event: Event) -> dict[str, object]:
    """Build the document of an event."""
    return document(EVENT, event)


def source_document(state: SourceState, config: Config) -> dict[str, object]:
    """Build the document of a source, which need not be in the configuration."""
    configured = config.sources.get(state.slug)
    path = webhook_path(adapter_of(configured.source).name, state.slug) if configured else None
    return document(SOURCE, state) | {"configured": configured is not None, "webhook_path": path}


def quarantined_document(body: QuarantinedBody) -> dict[str, object]:
    """Build the document of a quarantined body."""
    return document(QUARANTINED, body)


def refused_document(body: RefusedBody) -> dict[str, object]:
    """Build the document of a refused body."""
    return document(REFUSED, body)


def outage_document(outage: Outage) -> dict[str, object]:
    """Build the document of an outage."""
    return document(OUTAGE, outage)


SCHEMAS = {
    "Export": document_schema(
        EXPORT,
        state={"enum": list(CONDITIONS), "description": "The most urgent state that applies now."},
        **{field.name: field.schema for field in fields.instant("state_since", "Since when; not for every state")},
    ),
    "Slot": document_schema(SLOT),
    "Run": document_schema(RUN),
    "Event": document_schema(EVENT),
    "Source": document_schema((*SOURCE, *SOURCE_IN_CONFIGURATION)),
    "Quarantined": document_schema(QUARANTINED),
    "Refused": document_schema(REFUSED),
    "Outage": document_schema(OUTAGE),
}
"""The schemas by their names in the API's description."""
