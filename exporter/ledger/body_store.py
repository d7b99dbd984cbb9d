"""The contract of what a ledger stores of bodies that became no event: the refused ones, and deletion.

Quarantined bodies are added and read by `exporter.ledger.contract.Ledger`: a replay may still make events of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import RefusedBody

MAX_REFUSED = 100
"""How many refused bodies of a source are kept: the newest ones."""


@dataclass(frozen=True, slots=True)
class BodySelection:
    """Selects quarantined or refused bodies that match every given field; None matches any.

    Attributes:
        refused: select refused bodies instead of quarantined ones.
        sequences: their sequences.
        reason: why they are in quarantine; never given for refused bodies.
    """

    refused: bool = False
    sequences: tuple[int, ...] | None = None
    source: str | None = None
    reason: str | None = None


class QuarantineGroup(NamedTuple):
    """The quarantined bodies of a source with the same reason: how many, and when the first and the last arrived."""

    source: str
    reason: str
    number: int
    first_arrived_at: float
    last_arrived_at: float


class BodyStore(Protocol):
    """A ledger's bodies that became no event. Every method may raise `exporter.domain.errors.StoreError`."""

    def quarantine_groups(self) -> list[QuarantineGroup]:
        """The quarantined bodies by source and reason, the one with the newest arrival first."""

    def add_refused(self, bodies: Sequence[RefusedBody]) -> None:
        """Add refused bodies in order, and remove all but the newest `MAX_REFUSED` of each of their sources."""

    def refused(
        self, limit: int = MAX_REFUSED, source: str | None = None, before: int | None = None
    ) -> list[RefusedBody]:
        """Refused bodies, newest first; with ``before``, only those before that sequence."""

    def prune_refused(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` refused bodies that arrived before an instant; returns how many it removed."""

    def count(self, selection: BodySelection) -> int:
        """The number of selected bodies."""

    def delete(self, selection: BodySelection) -> int:
        """Remove the selected bodies for good; returns how many it removed. Counters keep counting them."""
