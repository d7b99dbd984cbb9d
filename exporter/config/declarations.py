"""Builds the declarations of exports from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize

from exporter.domain import frequency
from exporter.domain.exports import Declaration, Selection
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from exporter.config.settings import ExportSettings
    from exporter.domain.exports import Source


def can_never_be_overdue(declaration: Declaration) -> bool:
    """Return whether a declaration has no interval, is not for one run, and no request id whose events may give one."""
    match = declaration.match
    selects_any = match.partner or match.data_type or match.frequency
    return bool(
        selects_any
        and declaration.interval is None
        and match.request_id is None
        and match.frequency != frequency.ONE_TIME
    )


def build_declaration(table: ExportSettings, source: Source) -> Declaration:
    """Build the declaration of an export from its settings."""
    match = table.match
    parsed = frequency.parse(match.frequency) if match.frequency is not None else None
    return Declaration(
        name=table.name,
        match=Selection(
            source=table.source,
            request_id=match.request_id,
            partner=None if match.partner is None else registry.adapter_of(source).canonical_partner(match.partner),
            data_type=None if match.data_type is None else normalize("NFC", match.data_type).lower(),
            frequency=parsed.label if parsed else None,
        ),
        interval=table.interval or (parsed.interval if parsed and parsed.interval else None),
        grace=table.grace,
        max_runtime=table.max_runtime,
        first_expected=table.first_expected.timestamp() if table.first_expected else 0,
        muted_until=table.muted_until.timestamp() if table.muted_until else 0,
        objective=table.objective,
        severity=table.severity,
        owner=table.owner,
        runbook_url=table.runbook_url,
    )
