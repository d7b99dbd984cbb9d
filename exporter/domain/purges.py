"""Purges: what a source received in a window is removed for good, and the decision is recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.decisions import PURGE, Decision
from exporter.domain.exports import ExportKey

if TYPE_CHECKING:
    from exporter.domain.events import Event


@dataclass(frozen=True, slots=True)
class Window:
    """What a source received from ``since`` until before ``until``, in Unix seconds."""

    source: str
    since: float
    until: float

    def contains(self, event: Event) -> bool:
        """Return whether an event was received in the window."""
        return event.source == self.source and self.since <= event.arrived_at < self.until

    @property
    def text(self) -> str:
        """Both ends in ISO 8601 and UTC, as the command line takes them."""
        return "..".join(
            datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")
            for instant in (self.since, self.until)
        )

    def decision(self, decided_at: float, by: str, why: str) -> Decision:
        """Return the decision to purge the window."""
        return Decision(PURGE, ExportKey(self.source, "", ""), decided_at, 0.0, by, why, match=self.text)
