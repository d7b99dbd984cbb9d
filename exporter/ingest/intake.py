"""Stores one authenticated body: decodes it, has the vendor's adapter parse it, dates its events, appends them."""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from exporter.domain import event_time
from exporter.domain.epochs import GIVEN
from exporter.domain.events import Event, ParsedEvent, QuarantinedBody
from exporter.ingest import body_text, json_objects
from exporter.ingest.vendors import registry
from exporter.ingest.vendors.adapter import TestCall, Unrecognised
from exporter.ledger.contract import AcceptedEvent, TestCallReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.domain.epochs import Epoch
    from exporter.domain.exports import Source
    from exporter.ledger.contract import Entry, Ledger


OLDER_THAN_RETENTION = "older_than_retention"
"""The one reason for quarantine that comes from no vendor: events as old as this one were pruned."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How the objects of one body were stored, counted once all of them are on disk."""

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    test_calls: int = 0

    @property
    def is_test(self) -> bool:
        """True if the body was the vendor's test call and nothing else."""
        return self.test_calls > 0 and self.accepted + self.duplicates + self.quarantined == 0


class Intake:
    """Stores the bodies of every source of one process.

    Args:
        ledger: the ledger to append to.
        most_event_bytes: the size limit of one object, in bytes.
    """

    def __init__(self, ledger: Ledger, most_event_bytes: int) -> None:
        self._retention = math.inf
        self._ledger = ledger
        self._most_event_bytes = most_event_bytes
        self._offsets: dict[str, event_time.SettledOffset] = {}
        self._lock = threading.Lock()

    @property
    def retention(self) -> float:
        """How many seconds old an event may be when it arrives; infinite until `refuse_older_than` was called."""
        return self._retention

    def refuse_older_than(self, retention: float) -> None:
        """Quarantine an event that is more than ``retention`` seconds old when it arrives.

        Call it once events were pruned: whether an older event is a duplicate is no longer known.
        """
        self._retention = retention

    def load_offsets(self, sources: Iterable[Source]) -> None:
        """Read the UTC offsets of these sources from the ledger, so that `prepare` does not have to.

        Raises:
            StoreError: the ledger cannot be read.
        """
        for source in sources:
            if source.zone is None:
                self._offset_of(source)

    def set_offset(self, source: Source, settled: event_time.SettledOffset) -> None:
        """Date the events of a source on ``auto`` by ``settled`` instead of by the ledger's newest events."""
        with self._lock:
            self._offsets[source.slug] = settled

    def forget_offsets(self) -> None:
        """Read the UTC offsets of sources on ``auto`` from the ledger again, since its events were dated again."""
        with self._lock:
            self._offsets.clear()

    def ingest(
        self, source: Source, body: bytes, arrived_at: float, content_type: str = "", epoch: Epoch = GIVEN
    ) -> Receipt:
        """Store ``body``; it is on disk when this returns.

        Args:
            source: the source whose webhook received the body.
            body: as for `prepare`.
            arrived_at: Unix seconds.
            content_type: as for `prepare`.
            epoch: as for `prepare`.

        Raises:
            PayloadError: the body is neither a JSON object nor a list of them, or it is too large.
            StoreError: the ledger could not store it; the vendor should send it again.
        """
        return self.submit(source, self.prepare(source, body, arrived_at, content_type, epoch))()

    def submit(self, source: Source, entries: list[Entry]) -> Callable[[], Receipt]:
        """Submit the ``entries`` that `prepare` made to be stored together with others.

        Returns:
            A function to be called, which waits until they are on disk. It raises `StoreError` if the ledger could
            not store them; the vendor should send them again.
        """
        wait = self._ledger.submit(entries) if entries else list
        return lambda: self.receipt_for(source, entries, wait())

    def prepare(
        self, source: Source, body: bytes, arrived_at: float, content_type: str = "", epoch: Epoch = GIVEN
    ) -> list[Entry]:
        """Make the entries that store ``body``, one per object.

        It reads the ledger only for a source on ``auto`` that `load_offsets` has not loaded.

        Args:
            source: the source whose webhook received the body.
            body: a JSON object or a list of them, or what `body_text.to_utf8` makes that of.
            arrived_at: Unix seconds, rounded to microseconds.
            content_type: the header of the body; empty if it had none.
            epoch: the epoch of the arrival.

        Raises:
            PayloadError: the body is neither a JSON object nor a list of them, or it is too large.
            StoreError: the ledger cannot be read.
        """
        arrived_at = round(arrived_at, 6)
        # A local clock is at most 14 hours ahead of UTC; the other 10 allow for clocks that are wrong.
        latest = event_time.LOCAL_EPOCH + timedelta(1, arrived_at)
        objects = json_objects.decode(body_text.to_utf8(body, content_type), self._most_event_bytes)
        parse = registry.adapter_of(source).parse
        settled_offset = self._offset_of(source).offset if source.zone is None else None
        oldest = arrived_at - self._retention
        # The events of a list often share a few local times.
        interpreted_times: dict[tuple[datetime, int | None], event_time.InterpretedTime] = {}
        entries: list[Entry] = []
        for json_object in objects:
            parsed = parse(json_object, latest)
            if not isinstance(parsed, ParsedEvent):
                entries.append(_test_call_or_quarantined(source.slug, arrived_at, epoch, parsed, json_object.raw))
                continue
            local_time = parsed.local_time
            key = local_time, parsed.utc_offset
            interpreted = interpreted_times.get(key)
            if interpreted is None:
                interpreted = event_time.interpret_local_time(
                    local_time, arrived_at, source.zone, settled_offset, parsed.utc_offset
                )
                interpreted_times[key] = interpreted
            event = Event(  # positional: keyword arguments take twice as long
                source.slug,
                parsed.request_id,
                parsed.partner,
                parsed.data_type,
                parsed.status,
                parsed.frequency,
                local_time,
                parsed.digest,
                arrived_at,
                interpreted.occurred_at,
                interpreted.utc_offset,
                interpreted.skewed,
                parsed.utc_offset is not None,
            )
            entries.append(quarantined_if_too_old(AcceptedEvent(event, json_object.raw, epoch), oldest))
        return entries

    def receipt_for(self, source: Source, entries: list[Entry], inserted: list[bool]) -> Receipt:
        """Count how ``entries`` were stored, and let the new events settle the source's UTC offset.

        Args:
            source: the source of the entries.
            entries: the entries that `prepare` made.
            inserted: what the ledger's ``append`` returned for them: one flag per entry, false for a duplicate.
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
                    offset.add(event)
        return Receipt(accepted, duplicates, quarantined, test_calls)

    def _offset_of(self, source: Source) -> event_time.SettledOffset:
        with self._lock:
            offset = self._offsets.get(source.slug)
            if offset is None:
                # More than five, so that one late delivery among them does not unsettle the offset.
                newest_first = reversed(self._ledger.newest(source.slug, 4 * event_time.SETTLING_EVENTS))
                offset = event_time.SettledOffset(newest_first)
                self._offsets[source.slug] = offset
            return offset


def reason_meanings() -> dict[str, str]:
    """Why a body may be in quarantine: a sentence for each reason, those of all vendors and `OLDER_THAN_RETENTION`."""
    meanings = {reason: text for each in registry.VENDORS.values() for reason, text in each.reasons.items()}
    return meanings | {OLDER_THAN_RETENTION: "it happened before store.retention began, so it may have been counted"}


def quarantine_reasons() -> tuple[str, ...]:
    """Every reason for which a body may be in quarantine."""
    return tuple(reason_meanings())


def quarantined_if_too_old(accepted_event: AcceptedEvent, oldest: float) -> AcceptedEvent | QuarantinedBody:
    """Return the event, or a quarantined body if it happened before ``oldest`` (Unix seconds).

    Such an event may have been counted already and pruned since; storing it would count it twice.
    """
    event = accepted_event.event
    if event.occurred_at >= oldest:
        return accepted_event
    detail = "it happened before store.retention began; it may have been counted, and removed since"
    parsed = Unrecognised(OLDER_THAN_RETENTION, detail)
    return _quarantined(event.source, event.arrived_at, accepted_event.epoch, parsed, accepted_event.body)


def _test_call_or_quarantined(
    source: str, arrived_at: float, epoch: Epoch, parsed: TestCall | Unrecognised, body: bytes
) -> TestCallReceived | QuarantinedBody:
    if isinstance(parsed, TestCall):
        return TestCallReceived(source, arrived_at, epoch)
    return _quarantined(source, arrived_at, epoch, parsed, body)


def _quarantined(source: str, arrived_at: float, epoch: Epoch, parsed: Unrecognised, body: bytes) -> QuarantinedBody:
    digest = hashlib.sha256(body).digest()[:16]
    return QuarantinedBody(source, arrived_at, parsed.reason, parsed.detail, body, digest, epoch=epoch)
