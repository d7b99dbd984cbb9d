"""What commands ask of an exporter: of a running one over HTTP, or of its store.

Either way the answers are the documents of the API (`exporter.server.admin.api.schemas`), so that a command
prints the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from exporter.domain.decisions import ACTIVE, CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.decision_rules import Author, MuteEnd
    from exporter.domain.state_filter import StateFilter
    from exporter.ingest.replay import QuarantineSelection, ReplayResult

Document = dict[str, Any]
LABELS = ("source", "export", "partner", "data_type", "frequency")


class Candidate(NamedTuple):
    """An export that a decision may be about.

    Attributes:
        id: its permanent id.
        declared: whether it is declared.
        timezone: the setting of its source; empty if that is not known.
    """

    id: str
    source: str
    export: str
    partner: str
    data_type: str
    frequency: str
    declared: bool = False
    timezone: str = ""


class ExporterAccess(Protocol):
    """An exporter. Every method may raise `ExporterError`."""

    def list_exports(self, chosen: StateFilter) -> list[Document]:
        """Return the exports that match, the most urgent first."""

    def export_detail(self, export_id: str) -> Document:
        """Return one export with its newest runs and events, and why its deadline is what it is."""

    def list_events(self, source: str | None, limit: int) -> list[Document]:
        """Return the newest events, the newest first."""

    def list_sources(self) -> list[Document]:
        """Return all sources."""

    def known_slugs(self) -> set[str]:
        """Return the slugs of all sources, also of those with nothing but quarantined bodies if they are known."""

    def list_quarantine(self, source: str | None, limit: int) -> list[Document]:
        """Return the newest quarantined bodies, the newest first."""

    def list_refused(self, source: str | None, limit: int) -> list[Document]:
        """Return the newest refused bodies, the newest first."""

    def list_mutes(self) -> list[Document]:
        """Return all mutes, those that have ended too."""

    def list_retirements(self) -> list[Document]:
        """Return all retirements, those that have ended too."""

    def mute(self, export_id: str, end: MuteEnd, author: Author) -> float:
        """Mute an export, and return until when, in Unix seconds."""

    def unmute(self, export_id: str, author: Author) -> None:
        """End a mute before its time."""

    def retire(self, export_id: str, author: Author) -> None:
        """Retire an export until an event of it arrives."""

    def unretire(self, export_id: str, author: Author) -> None:
        """Undo a retirement."""

    def replay_quarantine(self, selection: QuarantineSelection, *, dry_run: bool) -> ReplayResult:
        """Retry quarantined bodies."""


def candidate_of_export(document: Document) -> Candidate:
    """Return the export of a document of an export."""
    labels = (document[name] for name in LABELS)
    return Candidate(document["id"], *labels)._replace(declared=document["declared"], timezone=document["timezone"])


def candidates_of_decisions(documents: Sequence[Document]) -> list[Candidate]:
    """Return the exports of the mutes or retirements that are in effect because somebody decided so."""
    return [
        Candidate(document["export_id"], *(document[name] for name in LABELS))
        for document in documents
        if document["state"] == ACTIVE and document.get("origin") != CONFIGURATION
    ]
