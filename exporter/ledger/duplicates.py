"""Drops duplicates: an event or a quarantined body that is stored already is counted, and not stored again.

A sender repeats a delivery when it has missed the response, and replicas may get the same event at the same time. So
the database decides, within the transaction of the append: `UNIQUE_KEYS` are unique indexes, and the ``append`` modules
of SQLite and PostgreSQL insert only rows whose key is not stored. They return the keys that they inserted, from which
`find_inserted` finds for each entry whether it was new.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.domain.events import QuarantinedBody
from exporter.ledger.contract import AcceptedEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.ledger.contract import Entry

# An event's digest covers its local time, so that a key has one row for each source and digest. With the local time
# before the digest, the index grows at its end, and a batch writes few of its pages.
UNIQUE_KEYS = {"events": ("source", "local_seconds", "digest"), "quarantine": ("source", "digest")}
"""The columns that identify a row, by table."""

InsertedKeys = Counter[tuple[str, bytes]]
"""The (source, digest) pairs that were inserted, each once."""


def find_inserted(
    entries: Sequence[Entry], events: InsertedKeys | None, quarantined: InsertedKeys | None
) -> list[bool]:
    """Return for each entry whether it was new; of equal entries, the first was.

    Args:
        entries: the entries of one transaction, in order.
        events: the events that were inserted, which this function consumes; None if all were.
        quarantined: the quarantined bodies, likewise.
    """
    if events is None and quarantined is None:
        return [True] * len(entries)
    return [_was_inserted(entry, events, quarantined) for entry in entries]


def _was_inserted(entry: Entry, events: InsertedKeys | None, quarantined: InsertedKeys | None) -> bool:
    if isinstance(entry, AcceptedEvent):
        return events is None or events.pop((entry.event.source, entry.event.digest), 0) > 0
    if isinstance(entry, QuarantinedBody):
        return quarantined is None or quarantined.pop((entry.source, entry.digest), 0) > 0
    return True
