"""The ledger, the only source of truth, and what every implementation of it guarantees.

1. When `Ledger.append`, or the function that `Ledger.submit` returns, returns, its entries are on disk and survive a
   crash of the process and of the machine. If it raises, they may or may not be stored, and the sender has to try
   again.
2. A source's event is stored once, however often and through whichever process it is appended.
3. Events become visible to `Ledger.read` in the order of their sequences: after a reader has seen a
   sequence, no event appears below it.
4. Sequences start at 1. Only a replay changes stored events, and only a purge removes events that still count.
   Both raise `Ledger.replay_generation`.

The tests in ``tests/ledger`` that use ``every_ledger`` hold every implementation to this contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from exporter.domain.epochs import GIVEN, Epoch
from exporter.domain.events import Event, QuarantinedBody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.domain.decisions import Decision
    from exporter.domain.epochs import StoredEpoch
    from exporter.domain.events import DeliveryCounter, Outage
    from exporter.domain.exports import Selection
    from exporter.domain.terms import Terms, TermsChange
    from exporter.ledger.body_store import BodyStore
    from exporter.ledger.checkpoint_store import CheckpointStore
    from exporter.ledger.landing_store import LandingStore
    from exporter.ledger.replay_store import ReplayStore

PAGE_SIZE = 10_000
"""How many events one read returns at most, so that a reader never delays a writer for long."""
HEARTBEAT_TIMEOUT = 30.0
"""Seconds after its newest heartbeat until an exporter counts as stopped: an outage begins at that heartbeat."""


class AcceptedEvent(NamedTuple):
    """An event with the body that it was parsed from, and the epoch of its arrival."""

    event: Event
    body: bytes
    epoch: Epoch = GIVEN


@dataclass(frozen=True, slots=True)
class TestCallReceived:
    """A vendor's test call, such as it makes when someone creates the webhook."""

    source: str
    arrived_at: float
    epoch: Epoch = GIVEN


Entry = AcceptedEvent | QuarantinedBody | TestCallReceived


class Ledger(Protocol):
    """A store of events. Safe for several threads. Every method may raise `exporter.domain.errors.StoreError`."""

    @property
    def checkpoints(self) -> CheckpointStore:
        """The checkpoint and the baselines that are stored beside the events."""

    @property
    def bodies(self) -> BodyStore:
        """The bodies that became no event."""

    @property
    def replay_store(self) -> ReplayStore:
        """The ledger as a replay uses it."""

    @property
    def landings(self) -> LandingStore:
        """The checks whether files have landed."""

    def submit(self, entries: Sequence[Entry]) -> Callable[[], list[bool]]:
        """Submit ``entries`` to be stored together with others.

        Returns:
            A function to be called, which waits until all entries are stored durably. It returns for each entry
            whether it was new; an event or quarantined body that was not new counts as a duplicate. If it raises
            `StoreError`, none may be acknowledged.
        """

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Submit ``entries``, and wait until they are stored."""

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        """Events after a sequence, in sequence order; fewer than ``limit`` only at the end of the ledger."""

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The events of a selection up to and including a sequence, in sequence order."""

    def read_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        """The events of many request ids up to and including a sequence, in any order."""

    def select_newest_first(self, selection: Selection, upto: int) -> Iterator[Event]:
        """As `select`, newest first. It reads lazily, a few events at a time."""

    def newest(
        self, source: str | None = None, limit: int = 100, after: int | None = None, before: int | None = None
    ) -> list[Event]:
        """The latest arrivals, newest first.

        Args:
            source: the slug of the only source; None for all.
            limit: how many events at most.
            after: instead, the events after that sequence, in sequence order.
            before: only those that arrived before the event of that sequence; none if there is no such event.
        """

    def event_sources(self) -> list[str]:
        """The sources that have events, sorted."""

    def body(self, sequence: int) -> bytes | None:
        """The body of an event as it arrived; None if there is no such event."""

    def quarantine(
        self,
        limit: int = 100,
        source: str | None = None,
        after: int | None = None,
        before: int | None = None,
        reason: str | None = None,
    ) -> list[QuarantinedBody]:
        """Quarantined bodies, newest first, with ``before`` only those before that sequence.

        With ``after``, those after that sequence, in sequence order. With ``reason``, only those quarantined for it.
        """

    def quarantine_counts(self) -> Mapping[str, int]:
        """The number of bodies in quarantine, by source."""

    def delivery_counters(self) -> list[DeliveryCounter]:
        """The counters of deliveries that were not stored as events."""

    def record_declarations(
        self, exports: Iterable[tuple[str, str]], now: float, epoch: Epoch = GIVEN
    ) -> Mapping[tuple[str, str], float]:
        """Record declared exports by (source, name); returns when each was first declared, ``now`` for new ones.

        A source is recorded under `exporter.domain.exports.key_of_source`.
        """

    def declaration_times(self) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared."""

    def record_terms(self, terms: Mapping[tuple[str, str], Terms], now: float, epoch: Epoch = GIVEN) -> None:
        """Append the terms of declared exports by (source, name), where they differ from the newest ones of an export.

        To be called when a configuration is loaded, and not regularly: replicas with different configurations would
        overwrite each other's terms.
        """

    def declared_terms(self) -> Mapping[tuple[str, str], Sequence[TermsChange]]:
        """When the terms of each (source, name) changed, in chronological order; the first ones are those before."""

    def record_heartbeat(self, instance_id: str, now: float, epoch: Epoch = GIVEN) -> None:
        """Record that the exporter ``instance_id`` is running at ``now``."""

    def outages(self) -> list[Outage]:
        """The periods with no running exporter, in order: more than `HEARTBEAT_TIMEOUT` without a heartbeat."""

    def record_backup(self, now: float, epoch: Epoch = GIVEN) -> None:
        """Record that a backup of the store was complete at ``now``."""

    def last_backup(self) -> float:
        """When the newest recorded backup was complete, in Unix seconds; 0 if none is recorded."""

    def reference_time(self) -> float | None:
        """The time of the server that all replicas share, in Unix seconds; None if the machine's own clock counts."""

    def begin_epoch(self, boot_id: str, clock_us: int, offset_us: int, *, renew: bool = False) -> Epoch:
        """The newest epoch of a boot of this machine; it begins one if there is none.

        Args:
            boot_id: identifies the boot.
            clock_us: the clock of the boot now, in microseconds.
            offset_us: what to add to it to get Unix time, for a new epoch.
            renew: begin a new one in any case.
        """

    def epochs(self) -> list[StoredEpoch]:
        """All epochs, in the order in which they began, without the one of given instants."""

    def correct_epochs(self, offsets: Mapping[int, int], *, measured: bool = False) -> None:
        """Give epochs other offsets, by id, and raise `replay_generation`.

        Heartbeats, declarations, terms, decisions, counters and quarantined bodies are dated by them at once. Events
        are when `exporter.ingest.redating` dates them again.

        Args:
            offsets: by the id of the epoch.
            measured: whether the clocks of the epochs were measured just now.
        """

    def append_decision(self, decision: Decision, epoch: Epoch = GIVEN) -> None:
        """Append a decision to the log of decisions."""

    def decisions(self, after: int = 0) -> list[Decision]:
        """The decisions after a sequence of the log, in order."""

    def replay_generation(self) -> int:
        """How many replays and purges changed what is stored. When it grows, readers have to fold all events again."""

    def last_sequence(self) -> int:
        """The sequence of the newest event; 0 if there is none. Cheap enough for the health check."""

    def ledger_id(self) -> str:
        """A random text that identifies this ledger. No I/O.

        It changes if another database, such as a restored backup, replaces this one while it is open.
        Sequences then mean other events, so a reader has to drop its state and read from 0. A read
        belongs to the ledger whose id was the same before and after it.
        """

    def checks(self) -> list[tuple[bool, str]]:
        """Findings about the database, for people: for each, whether it is good, and a sentence."""

    def close(self) -> None:
        """Finish the commits that are waiting, and release all resources; no other call may follow."""
