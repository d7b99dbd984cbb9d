"""What a replay needs of a ledger beside what every reader of it does: the bodies, and to amend what they meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.domain.events import Event, Quarantined
    from exporter.ledger.contract import Entry, Received

PAGE = 1000
"""How many bodies are read at a time: they are large, and what is amended holds up writers."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of arrival of a source's events: the arrival in whole microseconds, and the sequence."""

    arrived_us: int = -1
    sequence: int = 0

    @classmethod
    def of(cls, event: Event) -> Place:
        """An event's place."""
        return cls(round(event.arrived_at * 1e6), event.sequence)


class Archive(Protocol):
    """The bodies of a ledger. Every method may raise `exporter.domain.errors.StoreError`."""

    def received(self, source: str, after: Place, limit: int = PAGE) -> list[Received]:
        """A source's events with their bodies past a place, in the order of arrival."""

    def before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        """A source's newest events of those that arrived before an instant, in the order of arrival."""

    def count(self, source: str) -> int:
        """How many events a source has."""

    def resolve(self, pairs: Sequence[tuple[Quarantined, Entry]]) -> list[bool | None]:
        """Let each quarantined body be what it is understood as now, all of them or, where it raises, none.

        Events and test calls leave the quarantine; what is not understood stays, with its new reason.

        Returns:
            For each whether it was new; None where it had left the quarantine meanwhile.
        """

    def amend(self, events: Sequence[Event], *, last: bool) -> None:
        """Let stored events mean what these of the same sequence say.

        Until ``last`` is true, readers are not told; from then on they fold everything again.
        """


def everything(archive: Archive, source: str) -> Iterator[Received]:
    """All of a source's events with their bodies, in the order of arrival."""
    place = Place()
    while page := archive.received(source, place):
        yield from page
        place = Place.of(page[-1].event)
