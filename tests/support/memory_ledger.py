"""A ledger in memory: the contract of `exporter.ledger.contract` in the fewest lines, for tests without a disk."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.domain.events import DeliveryCounter, Event, Outage, QuarantinedBody
from exporter.domain.exports import Selection
from exporter.ledger.contract import HEARTBEAT_TIMEOUT, PAGE_SIZE, AcceptedEvent, Entry
from memory_bodies import MemoryBodyStore
from memory_checkpoints import MemoryCheckpointStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.domain.decisions import Decision


class MemoryLedger:
    """An `exporter.ledger.contract.Ledger` that holds everything in lists."""

    def __init__(self) -> None:
        self._ledger_id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._events: list[AcceptedEvent] = []
        self._last_sequence = 0
        self.checkpoints = MemoryCheckpointStore(self)
        self.bodies = MemoryBodyStore(self)
        self._quarantined: list[QuarantinedBody] = []
        self._stored_digests: set[tuple[type, str, bytes]] = set()
        self._counters: dict[tuple[str, str, str], DeliveryCounter] = {}
        self._declared: dict[tuple[str, str], float] = {}
        self._decisions: list[Decision] = []
        self.heartbeats: list[tuple[str, float, float]] = []

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        with self._lock:
            return [self._insert(entry) for entry in entries]

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        return [stored.event for stored in self._events if stored.event.sequence > after][:limit]

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        return (
            event for event in self.read(0, self._last_sequence) if event.sequence <= upto and selection.matches(event)
        )

    def read_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        ids = set(request_ids)
        return [event for event in self.select(Selection(source), upto) if event.request_id in ids]

    def select_newest_first(self, selection: Selection, upto: int) -> Iterator[Event]:
        return reversed([*self.select(selection, upto)])

    def newest(self, source: str | None = None, limit: int = 100, after: int | None = None) -> list[Event]:
        events = [stored.event for stored in self._events if source in {None, stored.event.source}]
        if after is not None:
            return [event for event in events if event.sequence > after][:limit]
        return sorted(events, key=lambda event: (event.arrived_at, event.sequence), reverse=True)[:limit]

    def body(self, sequence: int) -> bytes | None:
        return next((stored.body for stored in self._events if stored.event.sequence == sequence), None)

    def quarantine(
        self, limit: int = 100, source: str | None = None, after: int | None = None
    ) -> list[QuarantinedBody]:
        bodies = [body for body in self._quarantined if source in {None, body.source}]
        return (bodies[::-1] if after is None else [body for body in bodies if body.sequence > after])[:limit]

    def quarantine_counts(self) -> Mapping[str, int]:
        return Counter(body.source for body in self._quarantined)

    def delivery_counters(self) -> list[DeliveryCounter]:
        return [self._counters[key] for key in sorted(self._counters)]

    def record_declarations(self, exports: Iterable[tuple[str, str]], now: float) -> Mapping[tuple[str, str], float]:
        for export in exports:
            self._declared.setdefault(export, now)
        return dict(self._declared)

    def declaration_times(self) -> Mapping[tuple[str, str], float]:
        return dict(self._declared)

    def record_heartbeat(self, instance_id: str, now: float) -> None:
        rows = [index for index, (name, _, _) in enumerate(self.heartbeats) if name == instance_id]
        if rows and now - self.heartbeats[rows[-1]][2] <= HEARTBEAT_TIMEOUT:
            self.heartbeats[rows[-1]] = (instance_id, self.heartbeats[rows[-1]][1], now)
        else:
            self.heartbeats.append((instance_id, now, now))

    def outages(self) -> list[Outage]:
        outages: list[Outage] = []
        last_seen = float("inf")
        for _, started, seen in sorted(self.heartbeats, key=lambda row: row[1]):
            if started - last_seen > HEARTBEAT_TIMEOUT:
                outages.append(Outage(last_seen, started))
            last_seen = seen if last_seen == float("inf") else max(last_seen, seen)
        return outages

    def append_decision(self, decision: Decision) -> None:
        self._decisions.append(replace(decision, sequence=len(self._decisions) + 1))

    def decisions(self, after: int = 0) -> list[Decision]:
        return self._decisions[after:]

    def replay_generation(self) -> int:
        return 0

    def last_sequence(self) -> int:
        return self._last_sequence

    def remove(self, sequences: Sequence[int]) -> None:
        removed = {stored.event.sequence: stored.event for stored in self._events if stored.event.sequence in sequences}
        self._events = [stored for stored in self._events if stored.event.sequence not in removed]
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
                return self._count(event.source, "duplicate", "", event.arrived_at)
            self._last_sequence += 1
            self._events.append(AcceptedEvent(replace(event, sequence=self._last_sequence), entry.body))
        elif isinstance(entry, QuarantinedBody):
            if not self._is_new(QuarantinedBody, entry.source, entry.digest):
                return self._count(entry.source, "duplicate", "", entry.arrived_at)
            self._quarantined.append(replace(entry, sequence=len(self._quarantined) + 1))
            self._count(entry.source, "quarantined", entry.reason, entry.arrived_at)
        else:
            self._count(entry.source, "test_call", "", entry.arrived_at)
        return True

    def _is_new(self, kind: type, source: str, digest: bytes) -> bool:
        is_new = (kind, source, digest) not in self._stored_digests
        self._stored_digests.add((kind, source, digest))
        return is_new

    def _count(self, source: str, kind: str, label: str, now: float) -> bool:
        """Add one to a counter; return False, which is what `append` returns for a duplicate."""
        counter = self._counters.get((source, kind, label), DeliveryCounter(source, kind, label, 0, 0))
        self._counters[source, kind, label] = replace(
            counter, count=counter.count + 1, last_arrived_at=max(counter.last_arrived_at, now)
        )
        return False
