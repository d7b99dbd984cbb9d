"""A store of refused bodies in memory, for `memory_ledger.MemoryLedger`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.ledger.body_store import MAX_REFUSED, QuarantineGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import QuarantinedBody, RefusedBody
    from exporter.ledger.body_store import BodySelection
    from memory_ledger import MemoryLedger


class MemoryBodyStore:
    """An `exporter.ledger.body_store.BodyStore` in a list."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._refused: list[RefusedBody] = []
        self._last_sequence = 0

    def quarantine_groups(self) -> list[QuarantineGroup]:
        arrivals: dict[tuple[str, str], list[float]] = {}
        for body in self._ledger.quarantine(10**6):
            arrivals.setdefault((body.source, body.reason), []).append(body.arrived_at)
        groups = [QuarantineGroup(*key, len(each), min(each), max(each)) for key, each in arrivals.items()]
        return sorted(groups, key=lambda group: (-group.last_arrived_at, group.source, group.reason))

    def add_refused(self, bodies: Sequence[RefusedBody]) -> None:
        for body in bodies:
            self._last_sequence += 1
            self._refused.append(replace(body, sequence=self._last_sequence))
        for source in {body.source for body in bodies}:
            kept = self.refused(MAX_REFUSED, source)
            self._refused = [body for body in self._refused if body.source != source or body in kept]

    def refused(
        self, limit: int = MAX_REFUSED, source: str | None = None, before: int | None = None
    ) -> list[RefusedBody]:
        return [
            body
            for body in reversed(self._refused)
            if source in {None, body.source} and (before is None or body.sequence < before)
        ][:limit]

    def prune_refused(self, before: float, limit: int) -> int:
        old = [body for body in self._refused if body.arrived_at < before][:limit]
        self._refused = [body for body in self._refused if body not in old]
        return len(old)

    def count(self, selection: BodySelection) -> int:
        return len(self._selected(selection))

    def delete(self, selection: BodySelection) -> int:
        sequences = self._selected(selection)
        if not selection.refused:
            return self._ledger.remove_quarantined(sequences)
        self._refused = [body for body in self._refused if body.sequence not in sequences]
        return len(sequences)

    def _selected(self, selection: BodySelection) -> list[int]:
        bodies: Sequence[RefusedBody | QuarantinedBody] = (
            self._refused if selection.refused else self._ledger.quarantine(10**6)
        )
        return [
            body.sequence
            for body in bodies
            if (selection.sequences is None or body.sequence in selection.sequences)
            and selection.source in {None, body.source}
            and (selection.reason is None or selection.reason == getattr(body, "reason", None))
        ]
