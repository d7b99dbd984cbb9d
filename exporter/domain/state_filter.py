"""Selects exports by what people look for: state, source, owner and words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.domain.states import ExportState


@dataclass(frozen=True, slots=True)
class StateFilter:
    """Matches the states that have every given property; None matches any.

    Attributes:
        state: one of `exporter.domain.states.CONDITIONS`.
        source: the slug of the source.
        owner: the declared owner, regardless of case; an empty text matches exports without one.
        search: words, each of which is part of a label or of the owner, regardless of case.
    """

    state: str | None = None
    source: str | None = None
    owner: str | None = None
    search: str | None = None

    def matches(self, export: ExportState, now: float) -> bool:
        """Return whether the state of an export at ``now`` matches."""
        if self.source not in {None, export.source}:
            return False
        if self.owner is not None and self.owner.casefold() != export.owner.casefold():
            return False
        if self.search is not None:
            labels = (export.source, export.export, export.partner, export.data_type, export.frequency, export.owner)
            text = "\n".join(labels).casefold()
            if not all(word in text for word in self.search.casefold().split()):
                return False
        return self.state is None or self.state == export.condition(now)
