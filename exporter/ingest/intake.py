"""From one authenticated body to the ledger: decode, interpret, date, append."""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from exporter.domain import event_time
from exporter.domain.events import Announcement, Event, Quarantined
from exporter.ingest import json_objects
from exporter.ingest.vendors import clevertap
from exporter.ledger.contract import Received, TestCalled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from exporter.domain.exports import Source
    from exporter.ledger.contract import Entry, Ledger


OLDER = "older_than_retention"
"""The reason for quarantine that is none of the vendor's: events of that time were pruned."""
REASONS = (*clevertap.REASONS, OLDER)
"""Why a body may be in quarantine."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local texts have no zone


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a body, once all of it is on disk."""

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    test_calls: int = 0

    @property
    def is_test(self) -> bool:
        """Whether the body was the vendor's test call and nothing else."""
        return self.test_calls > 0 and self.accepted + self.duplicates + self.quarantined == 0


class Intake:
    """The way in, for all sources of one process.

    Args:
        ledger: where events are kept.
        most_event_bytes: the size limit of one object.
    """

    def __init__(self, ledger: Ledger, most_event_bytes: int) -> None:
        self.retention = math.inf
        """How many seconds old an event may be when it arrives; to be set once events were pruned,
        since then nobody knows of an older one whether it was there before."""
        self._ledger = ledger
        self._most_event_bytes = most_event_bytes
        self._settled: dict[str, event_time.SettledOffset] = {}
        self._lock = threading.Lock()

    def recall(self, sources: Iterable[Source]) -> None:
        """Look up what the ledger knows of these sources, so that `prepare` need not.

        Raises:
            StoreError: the ledger cannot be read.
        """
        for source in sources:
            if source.zone is None:
                self._settled_of(source)

    def settle(self, source: Source, settled: event_time.SettledOffset) -> None:
        """Take this for what a source on ``auto`` has settled on, instead of what the ledger's newest events show."""
        with self._lock:
            self._settled[source.slug] = settled

    def take(self, source: Source, body: bytes, arrived_at: float) -> Receipt:
        """Keep what ``body`` says; when this returns, it is on disk.

        Raises:
            PayloadError: the body is nothing that could be kept.
            StoreError: it could not be stored; it should be sent again.
        """
        entries = self.prepare(source, body, arrived_at)
        return self.receipt(source, entries, self._ledger.append(entries) if entries else [])

    def prepare(self, source: Source, body: bytes, arrived_at: float) -> list[Entry]:
        """What of ``body`` is to be kept; it reads the ledger only of a source not recalled.

        Args:
            source: whose webhook it came to.
            body: an object or a list of objects, as it arrived.
            arrived_at: Unix seconds, of which microseconds are kept.

        Raises:
            PayloadError: the body is nothing that could be kept.
        """
        arrived_at = round(arrived_at, 6)
        # Local clocks are at most 14 hours ahead of UTC; the rest is for clocks that are wrong.
        latest = _EPOCH + timedelta(1, arrived_at)
        objects = json_objects.decode(body, self._most_event_bytes)
        settled = self._settled_of(source).value if source.zone is None else None
        oldest = arrived_at - self.retention
        readings: dict[datetime, event_time.Reading] = {}  # the events of a list are often of the same few seconds
        entries: list[Entry] = []
        for each in objects:
            said = clevertap.interpret(each, latest)
            if not isinstance(said, Announcement):
                entries.append(_no_event(source.slug, arrived_at, said, each.raw))
                continue
            reading = readings.get(said.local_time)
            if reading is None:
                reading = event_time.read(said.local_time, arrived_at, source.zone, settled)
                readings[said.local_time] = reading
            event = Event(  # not by name, which takes twice as long
                source.slug,
                said.request_id,
                said.partner,
                said.data_type,
                said.status,
                said.frequency,
                said.local_time,
                said.digest,
                arrived_at,
                reading.occurred_at,
                reading.utc_offset,
                reading.skewed,
            )
            entries.append(kept_or_too_old(Received(event, each.raw), oldest))
        return entries

    def submit(self, entries: list[Entry]) -> Future[list[bool]]:
        """Begin to keep them, as `Ledger.submit` does."""
        return self._ledger.submit(entries)

    def receipt(self, source: Source, entries: list[Entry], fresh: list[bool]) -> Receipt:
        """What became of ``entries``, and what their arrival teaches.

        Args:
            source: whose they are.
            entries: as `prepare` made them.
            fresh: the ledger's answer to them.
        """
        accepted = quarantined = duplicates = test_calls = 0
        events = []
        for entry, new in zip(entries, fresh, strict=True):
            test_calls += isinstance(entry, TestCalled)
            if not new:
                duplicates += 1
            elif isinstance(entry, Received):
                accepted += 1
                events.append(entry.event)
            elif isinstance(entry, Quarantined):
                quarantined += 1
        if source.zone is None:
            settled = self._settled_of(source)
            with self._lock:
                for event in events:
                    settled.add(event.local_time, event.arrived_at)
        return Receipt(accepted, duplicates, quarantined, test_calls)

    def _settled_of(self, source: Source) -> event_time.SettledOffset:
        with self._lock:
            found = self._settled.get(source.slug)
            if found is None:
                # More than five, since one late delivery among them unsettles nothing.
                known = reversed(self._ledger.newest(source.slug, 4 * event_time.EVIDENCE))
                found = event_time.SettledOffset((event.local_time, event.arrived_at) for event in known)
                self._settled[source.slug] = found
            return found


def kept_or_too_old(received: Received, oldest: float) -> Received | Quarantined:
    """An event that happened before ``oldest`` goes to quarantine: it may have been counted, and removed since."""
    event = received.event
    if event.occurred_at >= oldest:
        return received
    detail = "it happened before store.retention began; it may have been counted, and removed since"
    return _quarantined(event.source, event.arrived_at, OLDER, detail, received.body)


def _no_event(
    source: str, arrived_at: float, said: clevertap.TestCall | clevertap.NotUnderstood, body: bytes
) -> TestCalled | Quarantined:
    if isinstance(said, clevertap.TestCall):
        return TestCalled(source, arrived_at)
    return _quarantined(source, arrived_at, said.reason, said.detail, body)


def _quarantined(source: str, arrived_at: float, reason: str, detail: str, body: bytes) -> Quarantined:
    return Quarantined(source, arrived_at, reason, detail, body, hashlib.sha256(body).digest()[:16])
