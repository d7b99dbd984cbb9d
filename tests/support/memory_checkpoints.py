"""A checkpoint store in memory: the contract of `exporter.ledger.checkpoint_store` in the fewest lines."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import Checkpoint, PruningState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from memory_ledger import MemoryLedger


class MemoryCheckpointStore:
    """The `exporter.ledger.checkpoint_store.CheckpointStore` of a `MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.header: Checkpoint | None = None
        self.rows: dict[str, str] = {}
        self._pruning_state = PruningState()
        self._baselines: dict[str, tuple[int, str]] = {}

    def load_header(self) -> Checkpoint | None:
        return self.header

    def without_checkpoint(self) -> MemoryCheckpointStore:
        store = copy(self)
        store.header = None
        return store

    def read_rows(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        return sorted(row for row in self.rows.items() if row[0] > after)[:limit]

    def write_rows(
        self, expected_revision: int, new: Checkpoint, rows: Mapping[str, str | None], *, replace_all: bool = False
    ) -> bool:
        if (self.header.revision if self.header else 0) != expected_revision:
            return False
        self.header = new
        if replace_all:
            self.rows.clear()
        self.rows.update({key: text for key, text in rows.items() if text is not None})
        for key, text in rows.items():
            if text is None:
                self.rows.pop(key, None)
        return True

    def owner_heartbeat(self) -> float:
        owner = self.header.owner if self.header else ""
        return max((seen for instance_id, _, seen in self._ledger.heartbeats if instance_id == owner), default=0)

    def pruning_state(self) -> PruningState:
        return self._pruning_state

    def baselines(self, after: int = 0) -> Sequence[tuple[str, str]]:
        return [(key, text) for key, (revision, text) in self._baselines.items() if revision > after]

    def baseline(self, key: str) -> str | None:
        return self._baselines[key][1] if key in self._baselines else None

    def prune(
        self,
        expected: PruningState,
        sequences: Sequence[int],
        new_baselines: Mapping[str, str],
        read_up_to: int,
        conflicts_with: Callable[[str, str, float], bool],
    ) -> bool:
        later = self._ledger.read(read_up_to, self._ledger.last_sequence())
        conflict = any(conflicts_with(event.source, event.request_id, event.occurred_at) for event in later)
        if expected != self._pruning_state or conflict or not self._ledger.has_all(sequences):
            return False
        self._ledger.remove(sequences)
        self._pruning_state = PruningState(
            expected.revision + 1, expected.pruned_events + len(sequences), max(expected.last_sequence, *sequences)
        )
        self._baselines.update({key: (self._pruning_state.revision, text) for key, text in new_baselines.items()})
        return True

    def prune_quarantine(self, before: float, limit: int) -> int:
        sequences = [body.sequence for body in self._ledger.quarantine(10**6) if body.arrived_at < before]
        return self._ledger.remove_quarantined(sorted(sequences)[:limit])
