"""The ledger: the only truth, and what every implementation of it guarantees.

1. What `Ledger.append` returned for is on disk,
   and survives a crash of the process and of the machine. What it raised for may or may not be
   there; the sender has to try again.
2. The same announcement is there once per source, however often and from wherever it is appended.
3. Events become visible to `Ledger.read` in the order of their sequence, and none later below a
   sequence that a reader has already seen.
4. Sequences begin at 1. Nothing is ever changed, but by a replay, which `Ledger.replay_generation` tells.

The contract suite in ``tests/ledger/test_contract.py`` holds every implementation to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from exporter.domain.events import Event, QuarantinedBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.domain.decisions import Decision
    from exporter.domain.events import DeliveryCounter, Outage
    from exporter.domain.exports import Selection
    from exporter.ledger.checkpoint_store import CheckpointStore

PAGE_SIZE = 10_000
"""How many events are read at a time, so that a reader never holds up a writer for long."""
HEARTBEAT_TIMEOUT = 30.0
"""Seconds after its newest heartbeat until an exporter counts as stopped: an outage begins at that heartbeat."""


@dataclass(frozen=True, slots=True)
class AcceptedEvent:
    """An event together with the body that announced it."""

    event: Event
    body: bytes


@dataclass(frozen=True, slots=True)
class TestCallReceived:
    """A vendor's test call, such as it makes when someone creates the webhook."""

    source: str
    arrived_at: float


Entry = AcceptedEvent | QuarantinedBody | TestCallReceived


class Ledger(Protocol):
    """Where events are kept, for several threads. Every method may raise `exporter.domain.errors.StoreError`."""

    @property
    def checkpoints(self) -> CheckpointStore:
        """What is stored of the fold beside them."""

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Keep all of ``entries`` or, where it raises, acknowledge none.

        Callers that wait at the same time may share a commit.

        Returns:
            For each whether it was new; an event or a quarantined body that is not is counted
            as a duplicate.
        """

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        """Events past a sequence, in the order of their sequence; fewer than ``limit`` at the end."""

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The events of a selection up to a sequence, in the order of their sequence."""

    def read_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        """The events of many request ids up to a sequence, in any order."""

    def select_newest_first(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The same, the last one first; what is not asked for is not read."""

    def newest(self, source: str | None = None, limit: int = 100, after: int | None = None) -> list[Event]:
        """The events that arrived last, the newest first; or those past a sequence in its order."""

    def body(self, sequence: int) -> bytes | None:
        """The body of an event, as it arrived."""

    def quarantine(
        self, limit: int = 100, source: str | None = None, after: int | None = None
    ) -> list[QuarantinedBody]:
        """What was not understood: the newest first, or what is past a sequence in its order."""

    def quarantine_counts(self) -> Mapping[str, int]:
        """How many bodies of each source are still in quarantine."""

    def delivery_counters(self) -> list[DeliveryCounter]:
        """What is counted and not kept as an event."""

    def record_declarations(self, exports: Iterable[tuple[str, str]], now: float) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared, which is now for those that are new."""

    def declaration_times(self) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared."""

    def record_heartbeat(self, instance_id: str, now: float) -> None:
        """Note that the exporter named ``instance_id`` is there to listen at ``now``."""

    def outages(self) -> list[Outage]:
        """When no exporter was there to listen, between two heartbeats, in order."""

    def append_decision(self, decision: Decision) -> None:
        """Append a decision to the log of them."""

    def decisions(self, after: int = 0) -> list[Decision]:
        """The decisions past a sequence of the log, in its order."""

    def replay_generation(self) -> int:
        """How often stored events were amended by a replay; when it grows, everything has to be folded again."""

    def last_sequence(self) -> int:
        """The sequence of the newest event; 0 while there is none. Cheap: the health check."""

    def ledger_id(self) -> str:
        """A random text that came with this ledger and tells it from any other; no I/O.

        It changes while the ledger is open, when another is put in its place: a backup, say. Then
        the sequences that a reader knows mean other events, so that it has to forget everything and
        read from 0. Ask before and after a read: what was read is of that ledger if both are equal.
        """

    def checks(self) -> list[tuple[bool, str]]:
        """For people: a sentence each on what keeps it, and whether that is as it should be."""

    def close(self) -> None:
        """Commit what was submitted, and give everything back; nothing may be called afterwards."""
