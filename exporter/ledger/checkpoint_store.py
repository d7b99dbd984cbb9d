"""What is stored of the fold beside the events: a checkpoint of it, and what pruned events amount to.

A checkpoint is a cache: a start goes on from it instead of folding everything, and one that is
not trusted is passed over. A base is as true as the events that it stands for, since they are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is said of all rows of a checkpoint together.

    Attributes:
        revision: how often it was written.
        sequence: the place in the ledger up to which it holds; 0 while its rows are being written.
        fingerprint: what the fold depends on beside the events.
        pruned: the `PruningState.revision` that it knows of.
        owner: the heartbeat of whoever wrote it.
    """

    revision: int
    last_sequence: int
    fingerprint: str
    pruning_revision: int
    owner: str


@dataclass(frozen=True, slots=True)
class PruningState:
    """What is said of all events together that were pruned.

    Attributes:
        revision: how often some were.
        events: how many.
        last_sequence: the last of them.
    """

    revision: int = 0
    pruned_events: int = 0
    last_sequence: int = 0


class CheckpointStore(Protocol):
    """Where folds are kept, beside the ledger. Every method may raise `exporter.domain.errors.StoreError`."""

    def load_header(self) -> Checkpoint | None:
        """The checkpoint; None where there is none."""

    def read_rows(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """The rows of the checkpoint past a key, in the order of their keys: keys and texts."""

    def write_rows(
        self, expected_revision: int, new: Checkpoint, rows: Mapping[str, str | None], *, replace_all: bool = False
    ) -> bool:
        """Write rows, and remove those that are None.

        Args:
            expected_revision: the revision that is there; 0 for none.
            new: what holds of all rows afterwards.
            rows: texts by key.
            replace_all: whether all other rows are removed.

        Returns:
            False, and nothing was done, where another revision is there.
        """

    def owner_heartbeat(self) -> float:
        """The newest heartbeat of the owner of the checkpoint; 0 for none."""

    def pruning_state(self) -> PruningState:
        """What was pruned."""

    def baselines(self, after: int = 0) -> Sequence[tuple[str, str]]:
        """The bases that were written past a revision of pruning: keys and texts."""

    def baseline(self, key: str) -> str | None:
        """The base under a key."""

    def prune(
        self,
        expected: PruningState,
        sequences: Sequence[int],
        new_baselines: Mapping[str, str],
        read_up_to: int,
        conflicts_with: Callable[[str, str, float], bool],
    ) -> bool:
        """Remove events, and keep what they amount to.

        Args:
            expected: what had been pruned when ``new_baselines`` were computed.
            sequences: the events to remove.
            new_baselines: texts by key.
            read_up_to: the last event that was known then.
            conflicts_with: whether an event of this source and request id at this instant, that came
                since, makes the baselines wrong.

        Returns:
            False, and nothing was done, where something came between.
        """

    def prune_quarantine(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` quarantined bodies that arrived before an instant; how many."""
