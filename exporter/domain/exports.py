"""What an export is: its key, its declaration, its source, and which events are its own. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.events import Event, group_text
from exporter.domain.frequency import frequency_of_interval

if TYPE_CHECKING:
    from datetime import tzinfo


GROUP_LABEL = "any"
"""The ``export`` label of a group."""
DEFAULT_OBJECTIVE = 0.99
"""The share of slots that should be on time, where none is declared."""
OVERFLOW_LABEL = "other"
"""The ``export`` label of what is over the limit of exports per source."""
UNKNOWN_SOURCE = "unknown"
"""The ``source`` label of requests for no configured source."""

GROUP = "group"
DETECTED = "recognised"
DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a source: those that fit every field that is given; texts in any case."""

    source: str
    request_id: str | None = None
    partner: str | None = None
    data_type: str | None = None
    frequency: str | None = None

    @property
    def group_key(self) -> str | None:
        """The `Event.group_key` of all its events, where every part of it is given."""
        if self.partner is None or self.data_type is None or self.frequency is None:
            return None
        return group_text(self.partner, self.data_type, self.frequency)

    def matches(self, event: Event) -> bool:
        """Whether ``event`` is one of them."""
        if self.source != event.source or self.request_id not in {None, event.request_id}:
            return False
        return all(
            wanted is None or wanted.casefold() == given.casefold()
            for wanted, given in (
                (self.partner, event.partner),
                (self.data_type, event.data_type),
                (self.frequency, event.frequency),
            )
        )


@dataclass(frozen=True, slots=True)
class Declaration:
    """An export that must happen even if nothing ever arrives.

    Attributes:
        match: which events are its own.
        interval, grace, max_runtime: seconds; None for the defaults of its frequency.
        first_expected: when it is first due, or 0.
        muted_until: alerts hold their tongue before this instant.
        objective: the share of slots that should be on time.
    """

    name: str
    match: Selection
    interval: int | None = None
    grace: int | None = None
    max_runtime: int | None = None
    first_expected: float = 0
    muted_until: float = 0
    objective: float = DEFAULT_OBJECTIVE
    owner: str = ""
    runbook_url: str = ""

    @property
    def frequency(self) -> str:
        """The ``frequency`` label, which no event changes."""
        if self.match.frequency is not None:
            return self.match.frequency
        return frequency_of_interval(self.interval).label if self.interval else ""


@dataclass(frozen=True, slots=True)
class Source:
    """One webhook URL with its clock: a CleverTap project.

    Attributes:
        timezone: the setting, ``auto`` or the name of a zone.
        zone: that zone; None for ``auto``.
    """

    slug: str
    timezone: str = "auto"
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an export promises.

    Attributes:
        interval: seconds between two starts; 0 where none is known.
        grace: how many seconds late is still fine.
        max_runtime: how many seconds a run may take.
        zone: the clock on which a day is a day; None where it is not known.
    """

    interval: int
    grace: int
    max_runtime: int
    zone: tzinfo | None


class ExportKey(NamedTuple):
    """Which export: the identity behind its series. A tuple, since it is looked up a dozen times an event.

    Attributes:
        kind: ``declared``, ``recognised`` or ``group``.
        name: of a declared one its name, of a recognised one its request id, else ``any``.
        partner, data_type, frequency: of a group, in lower case; else empty.
    """

    source: str
    kind: str
    name: str
    partner: str = ""
    data_type: str = ""
    frequency: str = ""

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name it for good: in paths, and wherever else a key is too long."""
        return hashlib.sha256("\x1f".join(self).encode()).hexdigest()[:16]


def key_of_declaration(declaration: Declaration) -> ExportKey:
    """The export of a declaration."""
    return ExportKey(declaration.match.source, DECLARED, declaration.name)


def key_of_request_id(event: Event) -> ExportKey:
    """The export that the request id of an event would be."""
    return ExportKey(event.source, DETECTED, event.request_id)


def key_of_group(event: Event) -> ExportKey:
    """The group of an event."""
    return ExportKey(
        event.source,
        GROUP,
        GROUP_LABEL,
        event.partner.casefold(),
        event.data_type.casefold(),
        event.frequency.casefold(),
    )
