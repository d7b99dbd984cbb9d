"""Which export a declaration, a request id and a group each are. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.model import ANY, ExportKey
from exporter.state import DECLARED, GROUP, RECOGNISED

if TYPE_CHECKING:
    from exporter.model import Declaration, Event


def declared_key(each: Declaration) -> ExportKey:
    """The export of a declaration."""
    return ExportKey(each.match.source, DECLARED, each.name)


def id_key(event: Event) -> ExportKey:
    """The export that the request id of an event would be."""
    return ExportKey(event.source, RECOGNISED, event.request_id)


def group_key(event: Event) -> ExportKey:
    """The group of an event."""
    return ExportKey(
        event.source,
        GROUP,
        ANY,
        event.partner.casefold(),
        event.data_type.casefold(),
        event.frequency.casefold(),
    )
