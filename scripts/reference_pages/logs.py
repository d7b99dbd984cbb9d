"""Writes docs/reference/logs.md: the events from the calls of the loggers in the code, their meaning from notes."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import exporter
from reference_pages.markdown import code, codes, document, table

LEVELS = ("debug", "info", "warning", "error", "critical")

INTRODUCTION = """\
The exporter logs to standard error: one JSON object per line, or columns on a terminal (`log.format`). `log.level` \
sets the least severe level. Control characters in values are escaped, so a client cannot forge a line.

Every line has these fields:

| field | meaning |
|---|---|
| `event` | what happened; one of the names below |
| `level` | `debug`, `info`, `warning` or `error` |
| `timestamp` | time in UTC, ISO 8601 |

## Requests

One line per request, at level info. Successful requests to `/-/healthy`, `/-/ready` and `/metrics` of the admin \
listener are logged at level debug, those to `/-/healthy` of the webhook listener never. Bodies, headers and query \
parameters are never logged. At most 5 lines a second are written about requests without a valid credential.

| event | meaning |
|---|---|
| `webhook_request` | a request to the webhook listener |
| `admin_request` | a request to the admin listener |

| field | meaning |
|---|---|
| `method`, `path` | the request line without the query, at most 128 characters of the path |
| `code` | the status of the response |
| `ms` | milliseconds from the request to the response |
| `client` | the address of the client; see `server.trusted_hops` |
| `accepted`, `duplicates`, `quarantined` | webhook: what became of the events of the body |
| `test` | webhook: CleverTap's test call |
| `refused` | webhook: why a request with a valid credential was refused |
| `reason` | admin: why `/-/ready` answered 503 |

## Other events"""

NOTES = {
    "checkpoint_failed": "The checkpoint could not be written. The next start reads more events.",
    "clock_changed": "The clock jumped, or the machine was suspended.",
    "config_reload_failed": "The new configuration is invalid. The running one is kept.",
    "config_reloaded": "A new configuration is in effect.",
    "earlier_clock_wrong": ("The clock was wrong during an earlier boot; `doctor` shows it, and `redate` corrects it."),
    "events_redated": ("The clock was corrected, and the times of events that arrived before were recomputed."),
    "heartbeat_failed": "The heartbeat could not be written. It is retried; without one, the time counts as an outage.",
    "internal_error": "A bug: a request was answered 500. The traceback is in `exception`.",
    "landing_not_stored": "What a check of a landing found could not be stored. It is made again.",
    "landings_not_read": "The checks of landings could not be read from the store. It is retried.",
    "pruning_failed": "Pruning failed. It is retried.",
    "ready": "Startup is complete.",
    "redating_failed": "Correcting event times after a wrong clock failed. It is retried.",
    "refused_bodies_not_stored": "Refused bodies are missing from `quarantine --refused`.",
    "replica_differs": ("Another exporter with a different configuration or version is using this store."),
    "requests_not_logged": "Requests of the last second that were not logged.",
    "restart_needed": "A reload found changed settings that need a restart.",
    "setting_overridden": "An environment variable overrides a setting of the file.",
    "started": "Both listeners accept connections. `store` is without its password.",
    "stopped": "The exporter has stopped. After a kill there is none.",
    "store_failed": "A request failed because the store cannot be used; it was answered 503.",
    "store_read_failed": "Startup cannot read the store. It tries again; `/-/ready` answers 503 until then.",
    "store_unreachable": "The database server is away at the start. The exporter waits for it, and is not ready.",
    "systemd_not_notified": "The socket that systemd gave could not be written to.",
    "variables_ignored": "Variables such as `DATAEXPORT_PORT=tcp://…`.",
}
"""The meaning of every event."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event that the code logs."""

    name: str
    level: str
    fields: tuple[str, ...]


def page() -> str:
    """Return the text of the page."""
    rows = [[code(event.name), event.level, codes(event.fields), NOTES[event.name]] for event in log_events()]
    return document("Log events", INTRODUCTION, table(["event", "level", "fields", "meaning"], rows))


def log_events() -> list[LogEvent]:
    """Return every event that is logged with a fixed name, sorted by name."""
    events = set()
    for path in sorted(Path(exporter.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                    args=[ast.Constant(value=str(name)), *_],
                    keywords=keywords,
                ) if level in LEVELS:
                    fields = tuple(keyword.arg for keyword in keywords if keyword.arg and keyword.arg != "exc_info")
                    events.add(LogEvent(name, level, fields))
    return sorted(events, key=lambda event: event.name)
