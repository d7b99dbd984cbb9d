"""The documents of the JSON API about decisions: mutes, retirements and replays, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain.decisions import (
    ACTIVE,
    CONFIGURATION,
    DECISION,
    DECISION_STATES,
    LEFT_BEHIND,
    MUTE,
    PAST,
)
from exporter.domain.events import QuarantinedBody
from exporter.domain.exports import key_of_declaration
from exporter.ingest.replay import ReplayResult, count_outcome
from exporter.ledger.contract import AcceptedEvent, TestCallReceived
from exporter.server.admin.api import fields
from exporter.server.admin.api.fields import document, document_schema
from exporter.server.admin.api.schemas import EXPORT_LABELS, event_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.loader import Config
    from exporter.domain.exports import Declaration
    from exporter.domain.states import ExportState
    from exporter.ingest.replay import ReplayedBody, ReplayPage
    from exporter.projection.decision_records import RecordedDecision


@dataclass(frozen=True, slots=True)
class DecisionItem:
    """A mute or a retirement as the API shows it; times are Unix seconds, 0 for none."""

    export_id: str
    source: str
    export: str
    partner: str
    data_type: str
    frequency: str
    state: str
    origin: str
    by: str
    why: str
    decided_at: float = 0.0
    until: float = 0.0
    ended_at: float = 0.0
    ended_by: str = ""
    ended_why: str = ""


_EXPORT = (fields.text("export_id", "The id of its export."), *EXPORT_LABELS)
_DECIDED = (
    fields.text("by", "Who decided."),
    fields.text("why", "Why, as given."),
    *fields.instant("decided_at", "When it was decided", null_if="a mute is in the configuration"),
)
_ENDED = (
    fields.optional_text("ended_by", "Who ended it; null if nobody did."),
    fields.optional_text("ended_why", "Why, as given."),
)
MUTE_FIELDS = (
    *_EXPORT,
    fields.choice(
        "state", DECISION_STATES, "left behind: in effect, but its export is not declared any more and has no events."
    ),
    fields.choice("origin", (DECISION, CONFIGURATION), "A decision that somebody made, or muted_until of the export."),
    *_DECIDED,
    *fields.known_instant("until", "When it ends, or would have ended"),
    *fields.instant("ended_at", "When somebody ended it, or muted the export again", null_if="nobody did"),
    *_ENDED,
)
RETIREMENT_FIELDS = (
    *_EXPORT,
    fields.choice("state", (ACTIVE, PAST), "past: undone, or an event of the export has arrived since."),
    *_DECIDED,
    *fields.instant("ended_at", "When somebody undid it", null_if="nobody did"),
    *_ENDED,
)


def decision_items(recorded: Iterable[RecordedDecision], kind: str) -> list[DecisionItem]:
    """Return the decisions of a kind, `MUTE` or `RETIRE`, in the same order."""
    return [_decision_item(each) for each in recorded if each.record.decision.kind == kind]


def _decision_item(recorded: RecordedDecision) -> DecisionItem:
    decision, ended = recorded.record.decision, recorded.record.ended_by
    labels = _labels(recorded.state) if recorded.state else (decision.key.source, *decision.key[2:])
    state = PAST if not recorded.is_in_effect else ACTIVE if recorded.state else LEFT_BEHIND
    return DecisionItem(
        decision.key.id,
        *labels,
        state=state,
        origin=DECISION,
        by=decision.by,
        why=decision.why,
        decided_at=decision.decided_at,
        until=decision.until,
        ended_at=ended.decided_at if ended else 0.0,
        ended_by=ended.by if ended else "",
        ended_why=ended.why if ended else "",
    )


def configured_mutes(config: Config, now: float) -> list[DecisionItem]:
    """Return the mutes of the configuration that are in effect."""
    return [_configured_mute(declaration) for declaration in config.exports if declaration.muted_until > now]


def _configured_mute(declaration: Declaration) -> DecisionItem:
    match = declaration.match
    return DecisionItem(
        key_of_declaration(declaration).id,
        match.source,
        declaration.name,
        match.partner or "",
        match.data_type or "",
        declaration.frequency,
        state=ACTIVE,
        origin=CONFIGURATION,
        by="the configuration",
        why="muted_until",
        until=declaration.muted_until,
    )


def _labels(state: ExportState) -> tuple[str, str, str, str, str]:
    return (state.source, state.export, state.partner, state.data_type, state.frequency)


def decision_document(item: DecisionItem, kind: str) -> dict[str, object]:
    """Build the document of a decision of a kind, `MUTE` or `RETIRE`."""
    return document(MUTE_FIELDS if kind == MUTE else RETIREMENT_FIELDS, item)


REPLAYED = {
    "type": "object",
    "properties": {
        "sequence": {"type": "integer", "minimum": 0, "description": "Sequence number of the body in the quarantine."},
        "source": {"type": "string", "description": "Slug of the source."},
        "reason": {"type": "string", "description": "Why it was in quarantine."},
        "outcome": {
            "enum": ["accepted", "duplicate", "test call", "quarantined"],
            "description": "What the current parser makes of it. A preview cannot know which events are duplicates.",
        },
        "detail": {"type": ["string", "null"], "description": "Why it stays in quarantine; null if it does not."},
        "event": {
            "anyOf": [{"$ref": "#/components/schemas/Event"}, {"type": "null"}],
            "description": "The event; its sequence is 0, because it is not read back from the store.",
        },
    },
    "required": ["sequence", "source", "reason", "outcome", "detail", "event"],
    "additionalProperties": False,
}


def _replayed_document(replayed: ReplayedBody) -> dict[str, object]:
    entry = replayed.entry
    if isinstance(entry, QuarantinedBody):
        outcome = "quarantined"
    elif isinstance(entry, TestCallReceived):
        outcome = "test call"
    else:
        outcome = "accepted" if replayed.inserted else "duplicate"
    return {
        "sequence": replayed.quarantined.sequence,
        "source": replayed.quarantined.source,
        "reason": replayed.quarantined.reason,
        "outcome": outcome,
        "detail": entry.detail if isinstance(entry, QuarantinedBody) else None,
        "event": event_document(entry.event) if isinstance(entry, AcceptedEvent) else None,
    }


REPLAY_FIELDS = (
    fields.count("accepted", "Events that are new to the store."),
    fields.count("duplicates", "Events that the store already had."),
    fields.count("test_calls", "Test calls."),
    fields.counts("still_quarantined", "Bodies that stay in quarantine, by reason."),
)


def replay_document(page: ReplayPage, *, preview: bool) -> dict[str, object]:
    """Build the document of one page of a replay."""
    result = ReplayResult()
    for body in page.bodies:
        count_outcome(result, body.entry, inserted=body.inserted)
    return document(REPLAY_FIELDS, result) | {
        "preview": preview,
        "bodies": [_replayed_document(body) for body in page.bodies],
        "next_after": page.next_after,
    }


DECISION_SCHEMAS = {
    "Mute": document_schema(MUTE_FIELDS),
    "Retirement": document_schema(RETIREMENT_FIELDS),
    "ReplayedBody": REPLAYED,
    "Replay": document_schema(
        REPLAY_FIELDS,
        preview={"type": "boolean", "description": "Whether nothing was changed."},
        bodies={
            "type": "array",
            "items": {"$ref": "#/components/schemas/ReplayedBody"},
            "description": "Each body that was replayed.",
        },
        next_after={
            "type": ["integer", "null"],
            "description": "Give this as `after` to continue; null at the end of the quarantine.",
        },
    ),
}
"""The schemas by their names in the API's description."""
