"""Converts entries to rows of the tables, before any lock, and columns back to events."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from exporter.domain.errors import StoreError
from exporter.domain.event_time import LOCAL_EPOCH
from exporter.domain.events import Event, QuarantinedBody
from exporter.ledger.contract import AcceptedEvent
from exporter.ledger.instants import MICROSECONDS, to_micros
from exporter.ledger.schema import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.epochs import Epoch
    from exporter.ledger.contract import Entry

Rows = list[tuple[object, ...]]
EVENT_COLUMNS = [column for column in events.c if column.name not in {"body", "group_key", "epoch", "clock_us"}]
"""The columns that an `Event` is read from, in the order that `events_from_columns` expects."""

_EPOCH_DAY = LOCAL_EPOCH.toordinal()


def refuse_ignored(written: int, expected: int) -> None:
    """Refuse to commit rows that the database ignored, such as by a trigger: they would be acknowledged and lost.

    Args:
        written: how many rows were written, or are stored.
        expected: how many have to be.

    Raises:
        StoreError: fewer were.
    """
    if written < expected:
        message = f"the database ignored what was written: {written} of {expected} rows are stored; see `doctor`"
        raise StoreError(message)


class Batch:
    """The entries of one transaction.

    Attributes:
        entries: the entries, in order.
        events: rows of the accepted events, in order, with all columns of the table but the sequence.
        quarantined: rows of the quarantined bodies, likewise.
        has_only_events: all entries are events, so that no counter changes if all are new.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.events: Rows = [
            (*event_row(entry.event), bytearray(entry.body), *_stamp(entry.event.arrived_at, entry.epoch))
            for entry in entries
            if isinstance(entry, AcceptedEvent)
        ]
        self.quarantined: Rows = [quarantine_row(entry) for entry in entries if isinstance(entry, QuarantinedBody)]
        self.has_only_events = len(self.events) == len(entries)

    def counter_rows(self, inserted: list[bool]) -> Rows:
        """What to add to ``delivery_counters``: source, kind, reason, epoch, count and newest arrival."""
        if self.has_only_events and all(inserted):
            return []
        counts: Counter[tuple[str, str, str, int]] = Counter()
        last: dict[tuple[str, str, str, int], int] = {}
        for entry, was_new in zip(self.entries, inserted, strict=True):
            counter_key = _counter_key(entry, new=was_new)
            if counter_key is not None:
                epoch_id, clock_us = _stamp(_arrived_at(entry), entry.epoch)
                key = (*counter_key, epoch_id)
                counts[key] += 1
                last[key] = max(last.get(key, clock_us), clock_us)
        return [(*key, count, last[key]) for key, count in sorted(counts.items())]


def events_from_columns(columns: Sequence[Sequence[object]]) -> list[Event]:
    """Events from the columns of `EVENT_COLUMNS`; equal texts share one object, because they repeat."""
    sequence, source, digest, *texts, local, arrived, occurred, offset, skewed, offset_in_text = columns
    interned: dict[object, object] = {}
    return list(
        map(
            Event,
            *(map(interned.setdefault, column, column) for column in (source, *texts)),
            [LOCAL_EPOCH + timedelta(0, seconds) for seconds in local],  # type: ignore[arg-type]
            digest,
            [micros / MICROSECONDS for micros in arrived],  # type: ignore[operator]
            [micros / MICROSECONDS for micros in occurred],  # type: ignore[operator]
            offset,
            map(bool, skewed),
            map(bool, offset_in_text),
            sequence,
        )
    )


def _counter_key(entry: Entry, *, new: bool) -> tuple[str, str, str] | None:
    if isinstance(entry, AcceptedEvent):
        return None if new else (entry.event.source, "duplicate", "")
    if isinstance(entry, QuarantinedBody):
        return (entry.source, "quarantined", entry.reason) if new else (entry.source, "duplicate", "")
    return entry.source, "test_call", ""


def _arrived_at(entry: Entry) -> float:
    return entry.event.arrived_at if isinstance(entry, AcceptedEvent) else entry.arrived_at


def _stamp(instant: float, epoch: Epoch) -> tuple[int, int]:
    """An instant as the id of its epoch, and the microseconds on the clock of that epoch."""
    return epoch.id, to_micros(instant) - epoch.offset_us


def event_row(event: Event) -> tuple[object, ...]:
    """An event's columns but its sequence, body and epoch.

    The values have types that SQLite's driver binds directly. For bytes and bool it first looks for an
    adapter, which takes most of a microsecond each.
    """
    local = event.local_time
    return (
        event.source,
        bytearray(event.digest),
        event.request_id,
        event.partner,
        event.data_type,
        event.status,
        event.frequency,
        event.group_key,
        (local.toordinal() - _EPOCH_DAY) * 86400 + local.hour * 3600 + local.minute * 60 + local.second,
        to_micros(event.arrived_at),
        to_micros(event.occurred_at),
        event.utc_offset,
        int(event.skewed),
        int(event.offset_in_text),
    )


def quarantine_row(entry: QuarantinedBody) -> tuple[object, ...]:
    """A quarantined body's columns but its sequence, in the order of the table."""
    epoch_id, clock_us = _stamp(entry.arrived_at, entry.epoch)
    return entry.source, entry.digest, clock_us, entry.reason, entry.detail, entry.body, epoch_id


def columns_from_rows(rows: Iterable[Sequence[object]]) -> list[Sequence[object]]:
    """Turn rows of `EVENT_COLUMNS` into columns."""
    return list(zip(*rows, strict=True)) or [()] * len(EVENT_COLUMNS)
