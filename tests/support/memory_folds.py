"""Folds in memory: the contract of `exporter.ledger.checkpoint_store` in the fewest lines."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import Checkpoint, PruningState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from memory_ledger import MemoryLedger


class MemoryCheckpointStore:
    """An `exporter.ledger.checkpoint_store.CheckpointStore` beside a ledger in memory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.head: Checkpoint | None = None
        self.kept: dict[str, str] = {}
        self._pruned = PruningState()
        self._bases: dict[str, tuple[int, str]] = {}

    def load_header(self) -> Checkpoint | None:
        return self.head

    def without_checkpoint(self) -> MemoryCheckpointStore:
        other = copy(self)
        other.head = None
        return other

    def read_rows(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        return sorted(each for each in self.kept.items() if each[0] > after)[:limit]

    def write_rows(
        self, expected_revision: int, new: Checkpoint, rows: Mapping[str, str | None], *, replace_all: bool = False
    ) -> bool:
        if (self.head.revision if self.head else 0) != expected_revision:
            return False
        self.head = new
        if replace_all:
            self.kept.clear()
        self.kept.update({key: text for key, text in rows.items() if text is not None})
        for key, text in rows.items():
            if text is None:
                self.kept.pop(key, None)
        return True

    def owner_heartbeat(self) -> float:
        owner = self.head.owner if self.head else ""
        return max((seen for watch, _, seen in self._ledger.watches if watch == owner), default=0)

    def pruning_state(self) -> PruningState:
        return self._pruned

    def baselines(self, after: int = 0) -> Sequence[tuple[str, str]]:
        return [(key, text) for key, (revision, text) in self._bases.items() if revision > after]

    def baseline(self, key: str) -> str | None:
        return self._bases[key][1] if key in self._bases else None

    def prune(
        self,
        expected: PruningState,
        sequences: Sequence[int],
        new_baselines: Mapping[str, str],
        read_up_to: int,
        conflicts_with: Callable[[str, str, float], bool],
    ) -> bool:
        since = self._ledger.read(read_up_to, self._ledger.last_sequence())
        disturbed = any(conflicts_with(each.source, each.request_id, each.occurred_at) for each in since)
        if expected != self._pruned or disturbed:
            return False
        self._ledger.remove(sequences)
        self._pruned = PruningState(
            expected.revision + 1, expected.pruned_events + len(sequences), max(expected.last_sequence, *sequences)
        )
        self._bases.update({key: (self._pruned.revision, text) for key, text in new_baselines.items()})
        return True

    def prune_quarantine(self, before: float, limit: int) -> int:
        old = [each.sequence for each in self._ledger.quarantine(10**6) if each.arrived_at < before]
        return self._ledger.remove_quarantined(sorted(old)[:limit])
