"""Formats exports, events, sources, quarantined bodies and decisions as tables for people or JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.decisions import MUTE
from exporter.domain.humanize import format_age, format_duration, format_offset, format_time_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.domain.decisions import Decision
    from exporter.domain.events import Event, QuarantinedBody, RefusedBody
    from exporter.domain.exports import Declaration
    from exporter.domain.states import ExportState, SourceState


Row = dict[str, object]
_EXPORT_LABELS = ("source", "export", "partner", "data_type", "frequency")
_EXPORT_HEADINGS = (
    "STATE",
    "SOURCE",
    "EXPORT",
    "PARTNER",
    "TYPE",
    "FREQUENCY",
    "LAST STARTED",
    "LAST COMPLETED",
    "USUAL RUN",
    "DEADLINE",
    "SEVERITY",
)


def exports_table(states: Iterable[ExportState], now: float, *, as_json: bool) -> str:
    """Format the states of exports; ``now`` in Unix seconds."""
    if as_json:
        rows = [{"id": state.id} | asdict(state) | {"state": state.condition(now)} for state in states]
        for row in rows:
            # The id contains the key, and JSON has neither infinity nor bytes.
            del row["key"], row["changes_at"], row["last_slots"]
        return _json(rows)
    return format_table(
        _EXPORT_HEADINGS,
        [
            (
                state.condition(now),
                state.source,
                state.export,
                state.partner,
                state.data_type,
                state.frequency,
                format_age(state.last_initiated, now),
                format_age(state.last_completed, now),
                format_duration(state.usual_duration) if state.usual_duration else "",
                format_time_left(state.deadline, now),
                state.severity,
            )
            for state in states
        ],
        "no export is known yet: none is declared, and no event has arrived",
    )


def events_table(events: Iterable[Event], source: str | None, *, as_json: bool) -> str:
    """Format events with their event time and arrival time; ``source`` is the only one that was asked for."""
    rows = [
        {
            "sequence": event.sequence,
            "arrived_at": format_iso(event.arrived_at),
            "occurred_at": format_iso(event.occurred_at),
            "utc_offset": format_offset(event.utc_offset),
            "source": event.source,
            "request_id": event.request_id,
            "status": event.status,
            "partner": event.partner,
            "data_type": event.data_type,
            "frequency": event.frequency,
        }
        for event in events
    ]
    nothing = "no event has arrived yet" if source is None else f"no event of source {source} has arrived yet"
    return _json(rows) if as_json else _table_of_rows(rows, nothing)


def sources_table(
    states: Iterable[SourceState], unconfigured: Mapping[str, Event], now: float, *, as_json: bool
) -> str:
    """Format the states of sources: time zone, event counts and newest arrival.

    Args:
        states: the configured sources.
        unconfigured: the newest event of each source that has events but is not configured.
        now: Unix seconds.
        as_json: for programs.
    """
    if as_json:
        rows: list[dict[str, object]] = [asdict(state) | {"configured": True} for state in states]
        rows += [
            {"slug": slug, "last_accepted": event.arrived_at, "configured": False}
            for slug, event in sorted(unconfigured.items())
        ]
        return _json(rows)
    return format_table(
        ("SOURCE", "TIME ZONE", "SEEN OFFSET", "EVENTS", "DUPLICATES", "QUARANTINED", "LAST ACCEPTED"),
        [
            (
                state.slug,
                state.timezone + (" (suspect)" if state.suspect else ""),
                "" if state.suspected_offset is None else format_offset(state.suspected_offset),
                str(sum(state.events.values())),
                str(state.duplicates),
                str(sum(state.quarantined.values())),
                format_age(state.last_accepted, now),
            )
            for state in states
        ]
        + [
            (slug, "not configured", "", "", "", "", format_age(event.arrived_at, now))
            for slug, event in sorted(unconfigured.items())
        ],
    )


def quarantine_table(bodies: Iterable[QuarantinedBody], *, as_json: bool) -> str:
    """Format quarantined bodies with the reason for each; only JSON includes the bodies themselves."""
    rows = [
        {
            "sequence": quarantined.sequence,
            "arrived_at": format_iso(quarantined.arrived_at),
            "source": quarantined.source,
            "reason": quarantined.reason,
            "detail": quarantined.detail,
            "body": quarantined.body.decode("utf-8", "replace"),
        }
        for quarantined in bodies
    ]
    return _table_of_bodies(rows, "nothing is in quarantine", as_json=as_json)


def refused_table(bodies: Iterable[RefusedBody], *, as_json: bool) -> str:
    """Format refused bodies with the check that failed; only JSON includes the beginning of the bodies themselves."""
    rows = [
        {
            "sequence": refused.sequence,
            "arrived_at": format_iso(refused.arrived_at),
            "source": refused.source,
            "status": refused.status,
            "detail": refused.detail,
            "size": refused.size,
            "body": refused.body.decode("utf-8", "replace"),
        }
        for refused in bodies
    ]
    return _table_of_bodies(rows, "no refused body is stored", as_json=as_json)


def _table_of_bodies(rows: list[Row], empty: str, *, as_json: bool) -> str:
    if as_json:
        return _json(rows)
    return _table_of_rows([{name: row[name] for name in row if name != "body"} for row in rows], empty)


def decision_row(decision: Decision, state: ExportState) -> Row:
    """Return the row of a decision in effect, with the state of its export."""
    labels = (state.source, state.export, state.partner, state.data_type, state.frequency)
    return _decision_row("muted" if decision.kind == MUTE else "retired", labels, decision)


def left_behind_row(mute: Decision) -> Row:
    """Return the row of a mute whose export is neither declared any more nor has events."""
    key = mute.key
    return _decision_row("muted, left behind", (key.source, key.name, key.partner, key.data_type, key.frequency), mute)


def configured_mute_row(declaration: Declaration) -> Row:
    """Return the row of a declared export that the configuration mutes."""
    match = declaration.match
    labels = (match.source, declaration.name, match.partner or "", match.data_type or "", declaration.frequency)
    row = dict(zip(_EXPORT_LABELS, labels, strict=True))
    until = format_iso(declaration.muted_until)
    return {"decision": "muted", **row, "since": "", "until": until, "by": "the configuration", "why": "muted_until"}


def _decision_row(what: str, labels: tuple[str, ...], decision: Decision) -> Row:
    return {
        "decision": what,
        **dict(zip(_EXPORT_LABELS, labels, strict=True)),
        "since": format_iso(decision.decided_at),
        "until": format_iso(decision.until) if decision.until else "an event arrives",
        "by": decision.by,
        "why": decision.why,
    }


def decisions_table(rows: Sequence[Row], *, as_json: bool) -> str:
    """Format the rows of decisions."""
    return _json(rows) if as_json else _table_of_rows(rows, "nothing is muted or retired")


def format_check(text: str, *, passed: bool) -> str:
    """Format the result of a check as a line."""
    return f"{'ok  ' if passed else 'BAD '} {text}"


def format_table(headings: Sequence[str], rows: Sequence[Sequence[str]], nothing: str = "nothing") -> str:
    """Format rows as text columns, each as wide as its widest cell, separated by two spaces.

    Args:
        headings: the heading of each column.
        rows: the cells of each row.
        nothing: the sentence to return if there are no rows.
    """
    if not rows:
        return nothing
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _table_of_rows(rows: Sequence[dict[str, object]], nothing: str) -> str:
    headings = [name.upper().replace("_", " ") for name in rows[0]] if rows else []
    return format_table(headings, [[_cell(value) for value in row.values()] for row in rows], nothing)


def _cell(value: object) -> str:
    # Bodies and details come from outside; control characters in them could rewrite the terminal.
    text = str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


def format_iso(instant: float) -> str:
    """Format Unix seconds as ``2026-12-31T16:50:52Z``, in UTC."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
