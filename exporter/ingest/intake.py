"""From one authenticated body to the ledger: decode, interpret, date, append."""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from exporter.domain import event_time
from exporter.domain.events import Event, ParsedEvent, QuarantinedBody
from exporter.ingest import json_objects
from exporter.ingest.vendors import registry
from exporter.ingest.vendors.adapter import TestCall, Unrecognised
from exporter.ledger.contract import AcceptedEvent, TestCallReceived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.exports import Source
    from exporter.ledger.contract import Entry, Ledger


OLDER_THAN_RETENTION = "older_than_retention"
"""The reason for quarantine that is none of the vendor's: events of that time were pruned."""

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
        self._offsets: dict[str, event_time.SettledOffset] = {}
        self._lock = threading.Lock()

    def load_offsets(self, sources: Iterable[Source]) -> None:
        """Look up what the ledger knows of these sources, so that `prepare` need not.

        Raises:
            StoreError: the ledger cannot be read.
        """
        for source in sources:
            if source.zone is None:
                self._offset_of(source)

    def set_offset(self, source: Source, settled: event_time.SettledOffset) -> None:
        """Take this for what a source on ``auto`` has settled on, instead of what the ledger's newest events show."""
        with self._lock:
            self._offsets[source.slug] = settled

    def ingest(self, source: Source, body: bytes, arrived_at: float) -> Receipt:
        """Keep what ``body`` says; when this returns, it is on disk.

        Raises:
            PayloadError: the body is nothing that could be kept.
            StoreError: it could not be stored; it should be sent again.
        """
        entries = self.prepare(source, body, arrived_at)
        return self.receipt_for(source, entries, self._ledger.append(entries) if entries else [])

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
        parse = registry.adapter_of(source).parse
        settled_offset = self._offset_of(source).offset if source.zone is None else None
        oldest = arrived_at - self.retention
        readings: dict[
            datetime, event_time.InterpretedTime
        ] = {}  # the events of a list are often of the same few seconds
        entries: list[Entry] = []
        for json_object in objects:
            parsed = parse(json_object, latest)
            if not isinstance(parsed, ParsedEvent):
                entries.append(_test_call_or_quarantined(source.slug, arrived_at, parsed, json_object.raw))
                continue
            reading = readings.get(parsed.local_time)
            if reading is None:
                reading = event_time.interpret_local_time(parsed.local_time, arrived_at, source.zone, settled_offset)
                readings[parsed.local_time] = reading
            event = Event(  # not by name, which takes twice as long
                source.slug,
                parsed.request_id,
                parsed.partner,
                parsed.data_type,
                parsed.status,
                parsed.frequency,
                parsed.local_time,
                parsed.digest,
                arrived_at,
                reading.occurred_at,
                reading.utc_offset,
                reading.skewed,
            )
            entries.append(quarantined_if_too_old(AcceptedEvent(event, json_object.raw), oldest))
        return entries

    def receipt_for(self, source: Source, entries: list[Entry], inserted: list[bool]) -> Receipt:
        """What became of ``entries``, and what their arrival teaches.

        Args:
            source: whose they are.
            entries: as `prepare` made them.
            inserted: the ledger's answer to them.
        """
        accepted = quarantined = duplicates = test_calls = 0
        events = []
        for entry, was_inserted in zip(entries, inserted, strict=True):
            test_calls += isinstance(entry, TestCallReceived)
            if not was_inserted:
                duplicates += 1
            elif isinstance(entry, AcceptedEvent):
                accepted += 1
                events.append(entry.event)
            elif isinstance(entry, QuarantinedBody):
                quarantined += 1
        if source.zone is None:
            offset = self._offset_of(source)
            with self._lock:
                for event in events:
                    offset.add(event.local_time, event.arrived_at)
        return Receipt(accepted, duplicates, quarantined, test_calls)

    def _offset_of(self, source: Source) -> event_time.SettledOffset:
        with self._lock:
            offset = self._offsets.get(source.slug)
            if offset is None:
                # More than five, since one late delivery among them unsettles nothing.
                newest_first = reversed(self._ledger.newest(source.slug, 4 * event_time.SETTLING_EVENTS))
                offset = event_time.SettledOffset((event.local_time, event.arrived_at) for event in newest_first)
                self._offsets[source.slug] = offset
            return offset


def quarantine_reasons() -> tuple[str, ...]:
    """Why a body may be in quarantine: a reason of one of the vendors, or its age."""
    reasons = dict.fromkeys(reason for adapter in registry.VENDORS.values() for reason in adapter.reasons)
    return (*reasons, OLDER_THAN_RETENTION)


def quarantined_if_too_old(accepted_event: AcceptedEvent, oldest: float) -> AcceptedEvent | QuarantinedBody:
    """An event that happened before ``oldest`` goes to quarantine: it may have been counted, and removed since."""
    event = accepted_event.event
    if event.occurred_at >= oldest:
        return accepted_event
    detail = "it happened before store.retention began; it may have been counted, and removed since"
    return _quarantined(event.source, event.arrived_at, OLDER_THAN_RETENTION, detail, accepted_event.body)


def _test_call_or_quarantined(
    source: str, arrived_at: float, parsed: TestCall | Unrecognised, body: bytes
) -> TestCallReceived | QuarantinedBody:
    if isinstance(parsed, TestCall):
        return TestCallReceived(source, arrived_at)
    return _quarantined(source, arrived_at, parsed.reason, parsed.detail, body)


def _quarantined(source: str, arrived_at: float, reason: str, detail: str, body: bytes) -> QuarantinedBody:
    return QuarantinedBody(source, arrived_at, reason, detail, body, hashlib.sha256(body).digest()[:16])
