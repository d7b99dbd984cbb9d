"""Identifies exports: keys, declarations, sources, and the selection of events by their fields. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.events import Event, group_fields, group_text
from exporter.domain.frequency import frequency_of_interval
from exporter.domain.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

GROUP_LABEL = "any"
"""The ``export`` label of a group."""
DEFAULT_OBJECTIVE = 0.99
"""The target share of slots on time, unless declared otherwise."""
OVERFLOW_LABEL = "other"
"""The ``export`` label of the exports beyond the limit of their source, taken together."""
UNKNOWN_SOURCE = "unknown"
"""The ``source`` label of requests whose source is not configured."""

CRITICAL = "critical"
WARNING = "warning"
INFO = "info"
SEVERITIES = (CRITICAL, WARNING, INFO)
"""What an overdue export means to its owner, the gravest first: a page, a ticket, or a mark on a dashboard."""

GROUP = "group"
DETECTED = "detected"
DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the events of a source that match every given field; None matches any value.

    Partner, data type and frequency match regardless of case.
    """

    source: str
    request_id: str | None = None
    partner: str | None = None
    data_type: str | None = None
    frequency: str | None = None

    @property
    def group_key(self) -> str | None:
        """The `Event.group_key` shared by all selected events; None unless partner, type and frequency are given."""
        if self.partner is None or self.data_type is None or self.frequency is None:
            return None
        return group_text(self.partner, self.data_type, self.frequency)

    @property
    def text(self) -> str:
        """A text that is the same for equal selections, apart from their sources."""
        fields = (self.request_id, self.partner, self.data_type, self.frequency)
        return json.dumps([None if field is None else field.casefold() for field in fields])

    def matches(self, event: Event) -> bool:
        """Return whether ``event`` is selected."""
        if self.source != event.source or self.request_id not in {None, event.request_id}:
            return False
        return matches_all(
            (
                (self.partner, event.partner),
                (self.data_type, event.data_type),
                (self.frequency, event.frequency),
            )
        )


def matches_all(pairs: Iterable[tuple[str | None, str]]) -> bool:
    """Return whether each second text equals the first one regardless of case; None matches any text."""
    return all(pattern is None or pattern.casefold() == text.casefold() for pattern, text in pairs)


@dataclass(frozen=True, slots=True)
class Declaration:
    """An export listed in the configuration; it becomes overdue even if no event ever arrives.

    Attributes:
        match: selects its events.
        interval, grace, max_runtime: in seconds; None for the default.
        first_expected: when its first completion is expected; 0 if not declared.
        muted_until: alerts are suppressed until this instant.
        objective: the target share of slots on time.
        severity: one of `SEVERITIES`, for the alerts that it is overdue.
    """

    name: str
    match: Selection
    interval: int | None = None
    grace: int | None = None
    max_runtime: int | None = None
    first_expected: float = 0
    muted_until: float = 0
    objective: float = DEFAULT_OBJECTIVE
    severity: str = CRITICAL
    owner: str = ""
    runbook_url: str = ""

    @property
    def terms(self) -> Terms:
        """Its interval and grace, as declared."""
        return Terms(self.interval, self.grace)

    @property
    def frequency(self) -> str:
        """The ``frequency`` label, which events do not change."""
        if self.match.frequency is not None:
            return self.match.frequency
        return frequency_of_interval(self.interval).label if self.interval else ""


@dataclass(frozen=True, slots=True)
class Source:
    """One project at a vendor: one webhook URL and one time zone.

    Attributes:
        timezone: the setting: ``auto`` or the name of a zone.
        zone: the parsed setting; None for ``auto``.
        vendor: the name of the adapter that parses its bodies; empty for the default one.
        severity: one of `SEVERITIES`, for the alerts that an undeclared export of it is overdue.
    """

    slug: str
    timezone: str = "auto"
    zone: tzinfo | None = None
    vendor: str = ""
    severity: str = WARNING


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of an export; the deadlines follow from it.

    Attributes:
        interval: seconds between two runs; 0 if unknown.
        grace: allowed delay in seconds.
        max_runtime: seconds that a run may take.
        zone: the sender's time zone, in which days are counted; None if unknown.
    """

    interval: int
    grace: int
    max_runtime: int
    zone: tzinfo | None


class ExportKey(NamedTuple):
    """The identity of an export. A tuple, because each event looks it up a dozen times.

    Attributes:
        kind: `DECLARED`, `DETECTED` or `GROUP`.
        name: the name of a declared export, the request id of a detected one, `GROUP_LABEL` for a group.
        partner, data_type, frequency: `group_fields` of a group; empty for the other kinds.
    """

    source: str
    kind: str
    name: str
    partner: str = ""
    data_type: str = ""
    frequency: str = ""

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that identify the export in URLs and never change."""
        return hashlib.sha256("\x1f".join(self).encode()).hexdigest()[:16]


def key_of_source(slug: str) -> tuple[str, str]:
    """Return under which source and name the ledger stores when a source was first configured.

    It is that of a declared export without a name, which no export has.
    """
    return slug, ""


def key_of_declaration(declaration: Declaration) -> ExportKey:
    """Return the key of a declared export."""
    return ExportKey(declaration.match.source, DECLARED, declaration.name)


def key_of_request_id(event: Event) -> ExportKey:
    """Return the key of the export that the event's request id names once it is detected."""
    return ExportKey(event.source, DETECTED, event.request_id)


def key_of_group(event: Event) -> ExportKey:
    """Return the key of the event's group."""
    fields = group_fields(event.partner, event.data_type, event.frequency)
    return ExportKey(event.source, GROUP, GROUP_LABEL, *fields)
