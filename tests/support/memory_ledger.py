"""A ledger in memory: the contract of `exporter.ledger.contract` in the fewest lines, for tests without a disk."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.domain.epochs import GIVEN, Epoch, StoredEpoch
from exporter.domain.events import DeliveryCounter, Event, Outage, QuarantinedBody
from exporter.domain.exports import Selection
from exporter.domain.terms import TermsChange, in_effect
from exporter.ledger.contract import HEARTBEAT_TIMEOUT, PAGE_SIZE, AcceptedEvent, Entry
from memory_bodies import MemoryBodyStore
from memory_checkpoints import MemoryCheckpointStore
from memory_landings import MemoryLandingStore
from memory_replay import MemoryReplayStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.domain.decisions import Decision
    from exporter.domain.terms import Terms


class MemoryLedger:
    """An `exporter.ledger.contract.Ledger` that holds everything in lists."""

    def __init__(self) -> None:
        self._ledger_id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self.stored: list[AcceptedEvent] = []
        self._last_sequence = 0
        self.checkpoints = MemoryCheckpointStore(self)
        self.bodies = MemoryBodyStore(self)
        self.landings = MemoryLandingStore()
        self.replay_store = MemoryReplayStore(self)
        self._quarantined: list[QuarantinedBody] = []
        self._stored_digests: set[tuple[type, str, bytes]] = set()
        self._counters: dict[tuple[str, str, str, int], tuple[DeliveryCounter, Epoch]] = {}
        self._declared: dict[tuple[str, str], tuple[float, Epoch]] = {}
        self._terms: dict[tuple[str, str], list[tuple[float, Terms, Epoch]]] = {}
        self._decisions: list[tuple[Decision, Epoch]] = []
        self._heartbeats: list[tuple[str, float, float, int]] = []
        self._replay_generation = 0
        self._epochs: list[StoredEpoch] = []
        self._last_backup = 0.0, GIVEN

    def submit(self, entries: Sequence[Entry]) -> Callable[[], list[bool]]:
        return lambda: self.append(entries)

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        with self._lock:
            return [self._insert(entry) for entry in entries]

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        return [stored.event for stored in self.stored if stored.event.sequence > after][:limit]

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        return (
            event for event in self.read(0, self._last_sequence) if event.sequence <= upto and selection.matches(event)
        )

    def read_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        ids = set(request_ids)
        return [event for event in self.select(Selection(source), upto) if event.request_id in ids]

    def select_newest_first(self, selection: Selection, upto: int) -> Iterator[Event]:
        return reversed([*self.select(selection, upto)])

    def newest(
        self, source: str | None = None, limit: int = 100, after: int | None = None, before: int | None = None
    ) -> list[Event]:
        events = [stored.event for stored in self.stored if source in {None, stored.event.source}]
        if after is not None:
            return [event for event in events if event.sequence > after][:limit]
        position = {each.event.sequence: (each.event.arrived_at, each.event.sequence) for each in self.stored}
        if before is not None:
            end = position.get(before, (0.0, 0))
            events = [event for event in events if position[event.sequence] < end]
        return sorted(events, key=lambda event: position[event.sequence], reverse=True)[:limit]

    def event_sources(self) -> list[str]:
        return sorted({stored.event.source for stored in self.stored})

    def body(self, sequence: int) -> bytes | None:
        return next((stored.body for stored in self.stored if stored.event.sequence == sequence), None)

    def quarantine(
        self,
        limit: int = 100,
        source: str | None = None,
        after: int | None = None,
        before: int | None = None,
        reason: str | None = None,
    ) -> list[QuarantinedBody]:
        bodies = [
            self._dated_body(body)
            for body in self._quarantined
            if source in {None, body.source}
            and reason in {None, body.reason}
            and (before is None or body.sequence < before)
        ]
        return (bodies[::-1] if after is None else [body for body in bodies if body.sequence > after])[:limit]

    def _dated_body(self, body: QuarantinedBody) -> QuarantinedBody:
        offset_us = {stored.id: stored.offset_us for stored in self._epochs}.get(body.epoch.id, 0)
        arrived_at = self._dated(body.arrived_at, body.epoch)
        return replace(body, arrived_at=arrived_at, epoch=Epoch(body.epoch.id, offset_us))

    def quarantine_counts(self) -> Mapping[str, int]:
        return Counter(body.source for body in self._quarantined)

    def delivery_counters(self) -> list[DeliveryCounter]:
        counters: dict[tuple[str, str, str], DeliveryCounter] = {}
        for (*key, _), (counter, epoch) in self._counters.items():
            arrived_at = self._dated(counter.last_arrived_at, epoch)
            other = counters.get((key[0], key[1], key[2]))
            count, last = (other.count, other.last_arrived_at) if other else (0, arrived_at)
            counters[key[0], key[1], key[2]] = replace(
                counter, count=counter.count + count, last_arrived_at=max(last, arrived_at)
            )
        return [counters[key] for key in sorted(counters)]

    def uncount(self, body: QuarantinedBody) -> None:
        counter, epoch = self._counters.pop((body.source, "quarantined", body.reason, body.epoch.id))
        if counter.count > 1:
            self._counters[body.source, "quarantined", body.reason, body.epoch.id] = (
                replace(counter, count=counter.count - 1),
                epoch,
            )

    def record_declarations(
        self, exports: Iterable[tuple[str, str]], now: float, epoch: Epoch = GIVEN
    ) -> Mapping[tuple[str, str], float]:
        for export in exports:
            self._declared.setdefault(export, (now, epoch))
        return self.declaration_times()

    def declaration_times(self) -> Mapping[tuple[str, str], float]:
        return {export: self._dated(declared_at, epoch) for export, (declared_at, epoch) in self._declared.items()}

    def record_terms(self, terms: Mapping[tuple[str, str], Terms], now: float, epoch: Epoch = GIVEN) -> None:
        for key, each in terms.items():
            loaded = self._terms.setdefault(key, [])
            if not loaded or loaded[-1][1] != each:
                loaded.append((now, each, epoch))

    def declared_terms(self) -> Mapping[tuple[str, str], Sequence[TermsChange]]:
        return {
            key: in_effect(TermsChange(self._dated(changed_at, epoch), each) for changed_at, each, epoch in loaded)
            for key, loaded in self._terms.items()
        }

    def record_heartbeat(self, instance_id: str, now: float, epoch: Epoch = GIVEN) -> None:
        now -= epoch.offset_us / 1e6
        rows = [index for index, row in enumerate(self._heartbeats) if (row[0], row[3]) == (instance_id, epoch.id)]
        if rows and now - self._heartbeats[rows[-1]][2] <= HEARTBEAT_TIMEOUT:
            self._heartbeats[rows[-1]] = (instance_id, self._heartbeats[rows[-1]][1], now, epoch.id)
        else:
            self._heartbeats.append((instance_id, now, now, epoch.id))
        self._epochs = [
            replace(stored, last_us=round(now * 1e6)) if stored.id == epoch.id else stored for stored in self._epochs
        ]

    @property
    def heartbeats(self) -> list[tuple[str, float, float]]:
        """The instance, and its first and last heartbeat in a row."""
        offsets = {0: 0.0} | {epoch.id: epoch.offset_us / 1e6 for epoch in self._epochs}
        return [
            (name, started + offsets[epoch], seen + offsets[epoch]) for name, started, seen, epoch in self._heartbeats
        ]

    def outages(self) -> list[Outage]:
        outages: list[Outage] = []
        last_seen = float("inf")
        for _, started, seen in sorted(self.heartbeats, key=lambda row: row[1]):
            if started - last_seen > HEARTBEAT_TIMEOUT:
                outages.append(Outage(last_seen, started))
            last_seen = seen if last_seen == float("inf") else max(last_seen, seen)
        return outages

    def record_backup(self, now: float, epoch: Epoch = GIVEN) -> None:
        self._last_backup = now, epoch

    def last_backup(self) -> float:
        now, epoch = self._last_backup
        return self._dated(now, epoch) if now else 0

    def reference_time(self) -> float | None:
        return None

    def begin_epoch(self, boot_id: str, clock_us: int, offset_us: int, *, renew: bool = False) -> Epoch:
        newest = [epoch for epoch in self._epochs if epoch.boot_id == boot_id][-1:]
        if not newest or renew:
            newest = [StoredEpoch(len(self._epochs) + 1, boot_id, offset_us, offset_us, offset_us, clock_us, clock_us)]
            self._epochs += newest
        return Epoch(newest[0].id, newest[0].offset_us)

    def epochs(self) -> list[StoredEpoch]:
        return self._epochs

    def correct_epochs(self, offsets: Mapping[int, int], *, measured: bool = False) -> None:
        for index, epoch in enumerate(self._epochs):
            offset_us = offsets.get(epoch.id, epoch.offset_us)
            measured_us = offset_us if measured and epoch.id in offsets else epoch.measured_us
            self._epochs[index] = replace(epoch, offset_us=offset_us, measured_us=measured_us)
        self.raise_replay_generation()

    def raise_replay_generation(self) -> None:
        self._replay_generation += 1

    def finish_dating(self, epoch: int, offset_us: int) -> None:
        self._epochs = [
            replace(stored, dated_us=offset_us) if stored.id == epoch else stored for stored in self._epochs
        ]

    def _dated(self, instant: float, epoch: Epoch) -> float:
        now = {stored.id: stored.offset_us for stored in self._epochs}.get(epoch.id, 0)
        return instant + (now - epoch.offset_us) / 1e6

    def append_decision(self, decision: Decision, epoch: Epoch = GIVEN) -> None:
        self._decisions.append((replace(decision, sequence=len(self._decisions) + 1), epoch))

    def decisions(self, after: int = 0) -> list[Decision]:
        return [self._dated_decision(decision, epoch) for decision, epoch in self._decisions[after:]]

    def _dated_decision(self, decision: Decision, epoch: Epoch) -> Decision:
        decided_at = self._dated(decision.decided_at, epoch)
        until = decided_at + decision.lasts if decision.lasts else decision.until
        return replace(decision, decided_at=decided_at, until=until)

    def replay_generation(self) -> int:
        return self._replay_generation

    def last_sequence(self) -> int:
        return self._last_sequence

    def has_all(self, sequences: Sequence[int]) -> bool:
        """Return whether no event of these sequences was purged."""
        return set(sequences) <= {stored.event.sequence for stored in self.stored}

    def remove(self, sequences: Sequence[int]) -> None:
        removed = {stored.event.sequence: stored.event for stored in self.stored if stored.event.sequence in sequences}
        self.stored = [stored for stored in self.stored if stored.event.sequence not in removed]
        self._stored_digests -= {(AcceptedEvent, event.source, event.digest) for event in removed.values()}

    def remove_quarantined(self, sequences: Sequence[int]) -> int:
        removed = [body for body in self._quarantined if body.sequence in sequences]
        self._quarantined = [body for body in self._quarantined if body not in removed]
        self._stored_digests -= {(QuarantinedBody, body.source, body.digest) for body in removed}
        return len(removed)

    def ledger_id(self) -> str:
        return self._ledger_id

    def without_checkpoint(self) -> MemoryLedger:
        """Return a view of the same events without their checkpoint."""
        ledger = copy(self)
        ledger.checkpoints = self.checkpoints.without_checkpoint()
        return ledger

    def checks(self) -> list[tuple[bool, str]]:
        return []

    def close(self) -> None:
        pass

    def _insert(self, entry: Entry) -> bool:
        if isinstance(entry, AcceptedEvent):
            event = entry.event
            if not self._is_new(AcceptedEvent, event.source, event.digest):
                return self._count(event.source, "duplicate", "", event.arrived_at, entry.epoch)
            self._last_sequence += 1
            self.stored.append(entry._replace(event=event._replace(sequence=self._last_sequence)))
        elif isinstance(entry, QuarantinedBody):
            if not self._is_new(QuarantinedBody, entry.source, entry.digest):
                return self._count(entry.source, "duplicate", "", entry.arrived_at, entry.epoch)
            self._quarantined.append(replace(entry, sequence=len(self._quarantined) + 1))
            self._count(entry.source, "quarantined", entry.reason, entry.arrived_at, entry.epoch)
        else:
            self._count(entry.source, "test_call", "", entry.arrived_at, entry.epoch)
        return True

    def _is_new(self, kind: type, source: str, digest: bytes) -> bool:
        is_new = (kind, source, digest) not in self._stored_digests
        self._stored_digests.add((kind, source, digest))
        return is_new

    def _count(self, source: str, kind: str, label: str, now: float, epoch: Epoch) -> bool:
        """Add one to a counter; return False, which is what `append` returns for a duplicate."""
        key = source, kind, label, epoch.id
        counter, counted_in = self._counters.get(key, (DeliveryCounter(source, kind, label, 0, now), epoch))
        last = max(self._dated(counter.last_arrived_at, counted_in), self._dated(now, epoch))
        self._counters[key] = (
            replace(counter, count=counter.count + 1, last_arrived_at=last),
            Epoch(epoch.id, {stored.id: stored.offset_us for stored in self._epochs}.get(epoch.id, 0)),
        )
        return False
