"""Entries as rows of the ledger's tables, made before any lock is taken, and events out of columns."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from exporter.domain.events import Event, QuarantinedBody
from exporter.ledger.contract import AcceptedEvent
from exporter.ledger.instants import MICROSECONDS, to_micros
from exporter.ledger.schema import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.ledger.contract import Entry

Rows = list[tuple[object, ...]]
InsertedKeys = Counter[tuple[str, bytes]]
"""How often a (source, digest) was inserted: once, or not at all."""

EVENT_COLUMNS = [column for column in events.c if column.name not in {"body", "group_key"}]
"""What is read of an event, in the order that `events_from_columns` takes."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone
_EPOCH_DAY = _EPOCH.toordinal()


class Batch:
    """The entries of one transaction.

    Attributes:
        events: the rows of the received ones, in order, by the columns of the table but the sequence.
        quarantined: likewise.
        has_only_events: whether nothing is counted if all of them are new.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self.events: Rows = [
            (*event_row(each.event), bytearray(each.body)) for each in entries if isinstance(each, AcceptedEvent)
        ]
        self.quarantined: Rows = [quarantine_row(each) for each in entries if isinstance(each, QuarantinedBody)]
        self.has_only_events = len(self.events) == len(entries)

    def was_inserted(self, events: InsertedKeys | None, quarantined: InsertedKeys | None) -> list[bool]:
        """For each entry whether it was new; the first of equals is.

        Args:
            events: what was inserted of them; None for all.
            quarantined: likewise.
        """
        if events is None and quarantined is None:
            return [True] * len(self._entries)
        return [_was_inserted(entry, events, quarantined) for entry in self._entries]

    def counter_rows(self, inserted: list[bool]) -> Rows:
        """What is to be added to the tallies, by source, kind and label, with the newest arrival."""
        if self.has_only_events and all(inserted):
            return []
        counts: Counter[tuple[str, str, str]] = Counter()
        last: dict[tuple[str, str, str], float] = {}
        for entry, was_new in zip(self._entries, inserted, strict=True):
            key = _counter_key(entry, new=was_new)
            if key is not None:
                counts[key] += 1
                last[key] = max(last.get(key, 0), _arrived_at(entry))
        return [(*key, count, to_micros(last[key])) for key, count in sorted(counts.items())]


def events_from_columns(columns: Sequence[Sequence[object]]) -> list[Event]:
    """Events out of the columns of `EVENT_COLUMNS`; equal texts become one, since they repeat."""
    sequence, source, digest, *texts, local, arrived, occurred, offset, skewed = columns
    same: dict[object, object] = {}
    return list(
        map(
            Event,
            *(map(same.setdefault, each, each) for each in (source, *texts)),
            [_EPOCH + timedelta(0, each) for each in local],  # type: ignore[arg-type]
            digest,
            [each / MICROSECONDS for each in arrived],  # type: ignore[operator]
            [each / MICROSECONDS for each in occurred],  # type: ignore[operator]
            offset,
            map(bool, skewed),
            sequence,
        )
    )


def _was_inserted(entry: Entry, events: InsertedKeys | None, quarantined: InsertedKeys | None) -> bool:
    if isinstance(entry, AcceptedEvent):
        return events is None or events.pop((entry.event.source, entry.event.digest), 0) > 0
    if isinstance(entry, QuarantinedBody):
        return quarantined is None or quarantined.pop((entry.source, entry.digest), 0) > 0
    return True


def _counter_key(entry: Entry, *, new: bool) -> tuple[str, str, str] | None:
    if isinstance(entry, AcceptedEvent):
        return None if new else (entry.event.source, "duplicate", "")
    if isinstance(entry, QuarantinedBody):
        return (entry.source, "quarantined", entry.reason) if new else (entry.source, "duplicate", "")
    return entry.source, "test_call", ""


def _arrived_at(entry: Entry) -> float:
    return entry.event.arrived_at if isinstance(entry, AcceptedEvent) else entry.arrived_at


def event_row(event: Event) -> tuple[object, ...]:
    """The columns of an event but its sequence and its body.

    In types that SQLite's driver knows: of bytes and of truth it asks first whether somebody adapts
    them, which takes most of a microsecond each.
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
    )


def quarantine_row(entry: QuarantinedBody) -> tuple[object, ...]:
    """The columns of a quarantined body, in the order of the table but for its sequence."""
    return entry.source, entry.digest, to_micros(entry.arrived_at), entry.reason, entry.detail, entry.body


def columns_from_rows(rows: Iterable[Sequence[object]]) -> list[Sequence[object]]:
    """Rows of `EVENT_COLUMNS` turned into its columns."""
    return list(zip(*rows, strict=True)) or [()] * len(EVENT_COLUMNS)
