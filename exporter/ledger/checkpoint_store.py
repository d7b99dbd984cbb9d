"""The contract of what is stored beside the events: the checkpoint, and the baselines of pruned events.

The checkpoint is a cache. A start continues from it instead of folding all events, and ignores one that it
does not trust. Baselines are not: they replace events that retention removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The header of a checkpoint, true of all its rows.

    Attributes:
        revision: the number of times it was written.
        last_sequence: the last event that is folded into it; 0 while it is incomplete.
        fingerprint: identifies what the folded state depends on beside the events.
        pruning_revision: the `PruningState.revision` that it includes.
        owner: the instance id of the exporter that wrote it; empty if any exporter may write the next one.
    """

    revision: int
    last_sequence: int
    fingerprint: str
    pruning_revision: int
    owner: str


@dataclass(frozen=True, slots=True)
class PruningState:
    """What retention has removed so far.

    Attributes:
        revision: the number of times that it removed events.
        pruned_events: the number of events removed.
        last_sequence: the highest sequence removed.
    """

    revision: int = 0
    pruned_events: int = 0
    last_sequence: int = 0


class CheckpointStore(Protocol):
    """The store of checkpoint and baselines. Every method may raise `exporter.domain.errors.StoreError`."""

    def load_header(self) -> Checkpoint | None:
        """The checkpoint's header; None if there is no checkpoint."""

    def read_rows(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """Up to ``limit`` rows of the checkpoint after a key, in key order: pairs of key and text."""

    def write_rows(
        self, expected_revision: int, new: Checkpoint, rows: Mapping[str, str | None], *, replace_all: bool = False
    ) -> bool:
        """Write rows and the new header in one transaction.

        Args:
            expected_revision: the revision of the stored header; 0 if there is none.
            new: the header to store.
            rows: texts by key; None removes the row.
            replace_all: also remove all other rows.

        Returns:
            False, with nothing changed, if the stored header has another revision.
        """

    def owner_heartbeat(self) -> float:
        """The newest heartbeat of the checkpoint's owner, in Unix seconds; 0 if there is none."""

    def pruning_state(self) -> PruningState:
        """What retention has removed so far."""

    def baselines(self, after: int = 0) -> Sequence[tuple[str, str]]:
        """The baselines written after a `PruningState.revision`: pairs of key and text."""

    def baseline(self, key: str) -> str | None:
        """The text of one baseline; None if there is none."""

    def prune(
        self,
        expected: PruningState,
        sequences: Sequence[int],
        new_baselines: Mapping[str, str],
        read_up_to: int,
        conflicts_with: Callable[[str, str, float], bool],
    ) -> bool:
        """Remove events, and store the baselines that replace them, in one transaction.

        Args:
            expected: the pruning state from which ``new_baselines`` were computed.
            sequences: the events to remove.
            new_baselines: texts by key.
            read_up_to: the last event that was read for ``new_baselines``.
            conflicts_with: for an event stored since then (source, request id, event time in Unix
                seconds), whether it makes the baselines wrong.

        Returns:
            False, with nothing changed, if the pruning state changed, an event conflicts, or one is gone.
        """

    def prune_quarantine(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` quarantined bodies that arrived before an instant; returns how many it removed."""
