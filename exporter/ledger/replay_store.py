"""The contract that a replay needs beside the ledger's: reading bodies and amending stored events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from exporter.ledger.instants import to_micros

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.domain.events import Event, QuarantinedBody
    from exporter.ledger.contract import AcceptedEvent, Entry

PAGE_SIZE = 1000
"""How many bodies are read, or events amended, at a time: bodies are large, and amending delays writers."""


@dataclass(frozen=True, slots=True)
class ArrivalPosition:
    """A position in a source's events in order of arrival: the arrival in microseconds, then the sequence."""

    arrived_us: int = -1
    sequence: int = 0

    @classmethod
    def of_event(cls, event: Event) -> ArrivalPosition:
        """The position of an event."""
        return cls(to_micros(event.arrived_at), event.sequence)


class ReplayStore(Protocol):
    """A ledger as a replay uses it. Every method may raise `exporter.domain.errors.StoreError`."""

    def read_with_bodies(self, source: str, after: ArrivalPosition, limit: int = PAGE_SIZE) -> list[AcceptedEvent]:
        """A source's events after a position, with their bodies, in order of arrival."""

    def newest_before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        """The last ``limit`` events of a source that arrived before an instant, in order of arrival."""

    def newest_in_epoch(self, source: str, epoch: int, limit: int) -> list[tuple[Event, int]]:
        """Up to ``limit`` of the newest events of a source that arrived in an epoch, found among the newest of all.

        Returns:
            For each, the event, and its arrival on the clock of the epoch, in microseconds.
        """

    def count_events(self, source: str) -> int:
        """The number of a source's events."""

    def resolve_quarantined(
        self, pairs: Sequence[tuple[QuarantinedBody, Entry]], *, uncount: bool = False
    ) -> list[bool | None]:
        """Replace quarantined bodies by what the parser makes of them now, in one transaction.

        Events and test calls leave the quarantine. A body that still cannot be parsed stays, with its new reason.

        Args:
            pairs: bodies, and what became of them.
            uncount: also take those that leave the quarantine out of the counter of quarantined bodies.

        Returns:
            For each body, whether it became a new entry; None if it had already left the quarantine.
        """

    def move_arrivals(self, epoch: int, offset_us: int, after: int) -> tuple[int, int]:
        """Date the arrivals of the next events of an epoch by another offset, in one transaction.

        Args:
            epoch: the id of the epoch.
            offset_us: its offset now.
            after: the sequence after which to look.

        Returns:
            How many were dated otherwise, and the sequence after which to continue, 0 at the end.
        """

    def finish_dating(self, epoch: int, offset_us: int) -> None:
        """Record that all events of an epoch are dated by an offset, see `exporter.domain.epochs.StoredEpoch`."""

    def amend(self, events: Sequence[Event], *, last: bool) -> None:
        """Overwrite stored events with these, which have the same sequences.

        Args:
            events: the new values.
            last: raise `Ledger.replay_generation`, so that readers fold all events again.
        """


def all_with_bodies(store: ReplayStore, source: str) -> Iterator[AcceptedEvent]:
    """All events of a source with their bodies, in order of arrival."""
    position = ArrivalPosition()
    while page := store.read_with_bodies(source, position):
        yield from page
        position = ArrivalPosition.of_event(page[-1].event)
