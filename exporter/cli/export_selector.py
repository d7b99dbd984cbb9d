"""Selects exports by their labels, for commands that change something about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain import frequency
from exporter.domain.errors import NoSuchExportError
from exporter.domain.exports import matches_all
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.cli.exporter_access import Candidate
    from exporter.domain.states import ExportState

    Labelled = ExportState | Candidate

MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class ExportSelector:
    """Labels that an export must have, regardless of case; None matches any value."""

    source: str | None = None
    export: str | None = None
    partner: str | None = None
    data_type: str | None = None
    frequency: str | None = None

    def matches(self, state: Labelled) -> bool:
        """Return whether an export has all these labels."""
        if self.partner is not None and state.partner.casefold() not in registry.canonical_partners(self.partner):
            return False
        frequency_label = None if self.frequency is None else frequency.parse(self.frequency).label
        return matches_all(
            (
                (self.source, state.source),
                (self.export, state.export),
                (self.data_type, state.data_type),
                (frequency_label, state.frequency),
            )
        )


def select_export(selector: ExportSelector, candidates: Sequence[Candidate]) -> Candidate:
    """Return the one export that matches.

    Raises:
        NoSuchExportError: none matches, or several; the message lists at most `MAX_LISTED` candidates.
    """
    matching = [candidate for candidate in candidates if selector.matches(candidate)]
    if len(matching) == 1:
        return matching[0]
    several = "more than one export matches; narrow it by --source, --export, --partner, --data-type, --frequency:"
    none = "no export matches; these exist:" if candidates else "no export matches; none exists yet"
    shown = sorted(map(describe_export, matching or candidates))
    more = [f"… and {len(shown) - MAX_LISTED} more"] if len(shown) > MAX_LISTED else []
    raise NoSuchExportError("\n  ".join([several if matching else none, *shown[:MAX_LISTED], *more]))


def describe_export(state: Labelled) -> str:
    """Return the command-line options that select an export."""
    options = (
        ("source", state.source),
        ("export", state.export),
        ("partner", state.partner),
        ("data-type", state.data_type),
        ("frequency", state.frequency),
    )
    return " ".join(f'--{option} "{value}"' for option, value in options if value)
