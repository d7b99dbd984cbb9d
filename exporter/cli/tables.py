"""Formats the documents of exports, events, sources, bodies and decisions: as tables for people, or JSON for programs.

The documents are those of the API: `schemas` and `decision_schemas` in `exporter.server.admin.api`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from exporter.domain.humanize import format_age, format_count, format_duration, format_offset, format_time_left
from exporter.domain.landing import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Document = dict[str, Any]
TABLE, JSON, JSONL = "table", "json", "jsonl"
"""How a command may print a list."""
_COLORS = {
    "never completed": "red",
    "overdue": "red",
    "stuck": "red",
    "failed": "red",
    "not started": "yellow",
    "no schedule": "yellow",
    "running": "cyan",
    "fine": "green",
}
"""The color of each state on a terminal."""
_DISPENSABLE = (
    "SEVERITY",
    "USUAL RUN",
    "OWNER",
    "OCCURRED AT",
    "UTC OFFSET",
    "FREQUENCY",
    "LAST STARTED",
    "TYPE",
    "FILES",
)
"""The columns that a terminal which is too narrow does without, the first of them first."""
NEWEST_EVENTS = 5
"""How many events an explanation shows."""
_LEAST_WIDTH = 8
"""Cells are not cut to fewer characters."""


def print_documents(documents: Sequence[Document], output: str, table: Callable[[], str]) -> None:
    """Print a list in one of three forms; ``table`` formats it for people."""
    if output == JSON:
        click.echo(json.dumps(documents, indent=2))
    elif output == JSONL:
        for document in documents:
            click.echo(json.dumps(document))
    else:
        click.echo(table())


def print_document(document: Document, text: Callable[[], str], *, as_json: bool) -> None:
    """Print one document as JSON, or as the text for people."""
    click.echo(json.dumps(document, indent=2) if as_json else text())


def exports_table(exports: Iterable[Document], now: float, *, is_filtered: bool = False) -> str:
    """Format exports, with a column about their files if those of any are looked for.

    Args:
        exports: those to show.
        now: Unix seconds.
        is_filtered: whether there may be others, which were not asked for.
    """
    exports = list(exports)
    headings = [
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
        "OWNER",
        "SEVERITY",
    ]
    rows = [
        [
            export["state"],
            export["source"],
            export["export"],
            export["partner"],
            export["data_type"],
            export["frequency"],
            format_age(export["last_initiated_seconds"] or 0, now),
            format_age(export["last_completed_seconds"] or 0, now),
            format_duration(export["usual_duration_seconds"]) if export["usual_duration_seconds"] else "",
            format_time_left(export["deadline_seconds"] or 0, now),
            export["owner"] or "",
            export["severity"],
        ]
        for export in exports
    ]
    if any(export["landing"] for export in exports):
        place = headings.index("LAST COMPLETED") + 1
        headings.insert(place, "FILES")
        for export, row in zip(exports, rows, strict=True):
            row.insert(place, export["landing"]["summary"] if export["landing"] else "")
    nothing = "no export is known yet: none is declared, and no event has arrived"
    return format_table(headings, rows, "no export matches" if is_filtered else nothing)


def explanation(document: Document, now: float) -> str:
    """Format one export: its state, why its deadline is what it is, and its newest events; ``now`` in Unix seconds."""
    export = document["export"]
    since = export["state_since_seconds"]
    labels = [export[name] for name in ("source", "export", "partner", "data_type", "frequency")]
    zone = "UTC" if export["timezone"] == "auto" else export["timezone"]
    facts = {
        "owner": export["owner"] or "none",
        "runbook": export["runbook_url"] or "none of its own",
        "last started": format_age(export["last_initiated_seconds"] or 0, now),
        "last completed": format_age(export["last_completed_seconds"] or 0, now),
        "last event": format_age(export["last_received_seconds"] or 0, now),
    }
    if export["landing"]:
        facts["files"] = landing_text(export["landing"], now)
    lasts = f" for {format_duration(now - since)}" if since else ""
    lines = [
        f"{export['state']}{lasts}: {', '.join(filter(None, labels))}",
        "",
        *document["deadline_explanation"],
        f"Times of day are in {zone}.",
        "",
        *(f"{name.upper():<16}{text}" for name, text in facts.items()),
        "",
    ]
    events = events_table(document["events"][:NEWEST_EVENTS], export["source"])
    return "\n".join([*map(_printable, lines), events])


def landing_text(landing: Document, now: float) -> str:
    """Format what is known about the files of an export in one line."""
    if not landing["result"]:
        return str(landing["summary"])
    found = landing["detail"]
    if landing["result"] != ERROR:
        found = f"{format_count(landing['objects'], 'file')} with {landing['size']:,} bytes at {found}"
    return f"{landing['summary']}: {found}; last looked {format_age(landing['checked_at_seconds'], now)}"


def events_table(events: Iterable[Document], source: str | None) -> str:
    """Format events with their event time and arrival time; ``source`` is the only one that was asked for."""
    headings = (
        "SEQUENCE",
        "ARRIVED AT",
        "OCCURRED AT",
        "UTC OFFSET",
        "SOURCE",
        "REQUEST ID",
        "STATUS",
        "PARTNER",
        "TYPE",
        "FREQUENCY",
    )
    rows = [
        (
            str(event["sequence"]),
            event["arrived_at"],
            event["occurred_at"],
            format_offset(event["utc_offset_seconds"]),
            event["source"],
            event["request_id"],
            event["status"],
            event["partner"],
            event["data_type"],
            event["frequency"],
        )
        for event in events
    ]
    nothing = "no event has arrived yet" if source is None else f"no event of source {source} has arrived yet"
    return format_table(headings, rows, nothing)


def sources_table(sources: Iterable[Document], now: float) -> str:
    """Format sources: time zone, event counts and newest arrival; ``now`` in Unix seconds."""
    headings = ("SOURCE", "TIME ZONE", "SEEN OFFSET", "EVENTS", "DUPLICATES", "QUARANTINED", "LAST ACCEPTED")
    return format_table(headings, [_source_row(source, now) for source in sources])


def _source_row(source: Document, now: float) -> tuple[str, ...]:
    last_accepted = format_age(source["last_accepted_seconds"] or 0, now)
    if not source["configured"]:
        return (source["slug"], "not configured", "", "", "", "", last_accepted)
    offset = source["suspected_offset_seconds"]
    return (
        source["slug"],
        source["timezone"] + (" (suspect)" if source["suspect"] else ""),
        "" if offset is None else format_offset(offset),
        str(sum(source["events"].values())),
        str(source["duplicates"]),
        str(sum(source["quarantined"].values())),
        last_accepted,
    )


def quarantine_table(bodies: Iterable[Document]) -> str:
    """Format quarantined bodies with the reason for each, without the bodies themselves."""
    return _table_of(bodies, ("sequence", "arrived_at", "source", "reason", "detail"), "nothing is in quarantine")


def refused_table(bodies: Iterable[Document]) -> str:
    """Format refused bodies with the check that failed, without the bodies themselves."""
    names = ("sequence", "arrived_at", "source", "status", "detail", "size")
    return _table_of(bodies, names, "no refused body is stored")


def decisions_table(decisions: Iterable[Document]) -> str:
    """Format mutes and retirements in effect, which have a member ``decision`` in addition."""
    names = ("decision", "source", "export", "partner", "data_type", "frequency", "decided_at", "until", "by", "why")
    rows = [
        {name: decision.get(name) or "" for name in names} | {"until": decision.get("until") or "an event arrives"}
        for decision in decisions
    ]
    return _table_of(rows, names, "nothing is muted or retired")


def _table_of(documents: Iterable[Document], names: Sequence[str], nothing: str) -> str:
    headings = ["SINCE" if name == "decided_at" else name.upper().replace("_", " ") for name in names]
    headings = ["TYPE" if heading == "DATA TYPE" else heading for heading in headings]
    return format_table(headings, [[str(document[name]) for name in names] for document in documents], nothing)


def format_check(text: str, *, passed: bool) -> str:
    """Format the result of a check as a line."""
    return f"{'ok  ' if passed else 'BAD '} {text}"


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal has; None if standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def format_table(headings: Sequence[str], rows: Iterable[Sequence[str]], nothing: str = "nothing") -> str:
    """Format rows as text columns, each as wide as its widest cell, separated by two spaces.

    On a terminal that is too narrow, columns that people can do without are left out, and the widest are cut.

    Args:
        headings: the heading of each column.
        rows: the cells of each row. What comes from outside may move the cursor: it is escaped.
        nothing: the sentence to return if there are no rows.
    """
    lines = [list(headings), *([_printable(cell) for cell in row] for row in rows)]
    if len(lines) == 1:
        return nothing
    columns = [list(column) for column in zip(*lines, strict=True)]
    most = terminal_width()
    if most is not None:
        columns = _fit(columns, most)
    padded = [_padded(column) for column in columns]
    if headings[0] == "STATE" and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        padded[0] = [click.style(cell, fg=_COLORS.get(cell.rstrip())) for cell in padded[0]]
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def _fit(columns: list[list[str]], most: int) -> list[list[str]]:
    """Leave out columns, and cut the widest, until a line has at most ``most`` characters if that is possible."""
    for heading in _DISPENSABLE:
        if _total(columns) <= most:
            return columns
        columns = [column for column in columns if column[0] != heading]
    while (excess := _total(columns) - most) > 0:
        widest = max(range(len(columns)), key=lambda index: _width(columns[index]))
        width = _width(columns[widest])
        if width <= _LEAST_WIDTH:
            break
        columns[widest] = [_cut(cell, max(width - excess, _LEAST_WIDTH, width - 1)) for cell in columns[widest]]
    return columns


def _total(columns: list[list[str]]) -> int:
    return sum(map(_width, columns)) + 2 * (len(columns) - 1)


def _width(column: Sequence[str]) -> int:
    return max(map(display_width, column))


def _padded(column: Sequence[str]) -> list[str]:
    width = _width(column)
    return [cell + " " * (width - display_width(cell)) for cell in column]


def display_width(text: str) -> int:
    """Return how many columns of a terminal a printable text fills."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _cut(text: str, width: int) -> str:
    """Cut a text to a width, with an ellipsis as the last character."""
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def format_iso(instant: float) -> str:
    """Format Unix seconds as ``2026-12-31T16:50:52Z``, in UTC."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
