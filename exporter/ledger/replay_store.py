"""What a replay needs of a ledger beside what every reader of it does: the bodies, and to amend what they meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from exporter.ledger.instants import to_micros

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.domain.events import Event, QuarantinedBody
    from exporter.ledger.contract import AcceptedEvent, Entry

PAGE_SIZE = 1000
"""How many bodies are read at a time: they are large, and what is amended holds up writers."""


@dataclass(frozen=True, slots=True)
class ArrivalPosition:
    """A place in the order of arrival of a source's events: the arrival in whole microseconds, and the sequence."""

    arrived_us: int = -1
    sequence: int = 0

    @classmethod
    def of_event(cls, event: Event) -> ArrivalPosition:
        """An event's place."""
        return cls(to_micros(event.arrived_at), event.sequence)


class ReplayStore(Protocol):
    """The bodies of a ledger. Every method may raise `exporter.domain.errors.StoreError`."""

    def read_with_bodies(self, source: str, after: ArrivalPosition, limit: int = PAGE_SIZE) -> list[AcceptedEvent]:
        """A source's events with their bodies past a place, in the order of arrival."""

    def newest_before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        """A source's newest events of those that arrived before an instant, in the order of arrival."""

    def count_events(self, source: str) -> int:
        """How many events a source has."""

    def resolve_quarantined(self, pairs: Sequence[tuple[QuarantinedBody, Entry]]) -> list[bool | None]:
        """Let each quarantined body be what it is understood as now, all of them or, where it raises, none.

        Events and test calls leave the quarantine; what is not understood stays, with its new reason.

        Returns:
            For each whether it was new; None where it had left the quarantine meanwhile.
        """

    def amend(self, events: Sequence[Event], *, last: bool) -> None:
        """Let stored events mean what these of the same sequence say.

        Until ``last`` is true, readers are not told; from then on they fold everything again.
        """


def all_with_bodies(archive: ReplayStore, source: str) -> Iterator[AcceptedEvent]:
    """All of a source's events with their bodies, in the order of arrival."""
    place = ArrivalPosition()
    while page := archive.read_with_bodies(source, place):
        yield from page
        place = ArrivalPosition.of_event(page[-1].event)
