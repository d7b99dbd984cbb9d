"""Appends entries to SQLite, drops those that are stored already, and needs few statements for many rows.

Python's driver releases the interpreter's lock for every step of a statement, and beside a busy thread
each step waits up to a switch interval to get it back. So a batch becomes a few statements of many rows.
Their row counts are small or powers of two, so that the prepared statements are reused.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from exporter.ledger.duplicates import UNIQUE_KEYS, find_inserted
from exporter.ledger.rows import refuse_ignored
from exporter.ledger.schema import delivery_counters, events, quarantine

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine.interfaces import DBAPICursor

    from exporter.ledger.duplicates import InsertedKeys
    from exporter.ledger.rows import Batch, Rows

MAX_ROWS = 512
"""The most rows in one statement; SQLite since 3.32 allows 32,766 values."""
EXACT_ROWS = 32
"""Up to this many rows go into one statement: 15 rows in one take 40 µs less than in four."""

_UPSERT = (
    " ON CONFLICT (source, kind, reason, epoch) DO UPDATE SET"
    " total = total + excluded.total, last_arrived_us = max(last_arrived_us, excluded.last_arrived_us)"
)


def append(cursor: DBAPICursor, batch: Batch) -> list[bool]:
    """Insert the entries that are not stored yet, within a transaction; for each, whether it was new."""
    inserted = find_inserted(
        batch.entries,
        _insert_unless_stored(cursor, events, batch.events),
        _insert_unless_stored(cursor, quarantine, batch.quarantined),
    )
    counts = batch.counter_rows(inserted)
    refuse_ignored(_insert(cursor, delivery_counters, counts, _UPSERT), len(counts))
    return inserted


def fits_one_statement(batch: Batch) -> bool:
    """Whether `append_in_one_statement` accepts the batch."""
    return batch.has_only_events and 0 < len(batch.events) <= EXACT_ROWS


def append_in_one_statement(cursor: DBAPICursor, batch: Batch) -> bool:
    """Insert a few events by one statement, which is its own transaction.

    That saves the most common commit three statements, each of which waits for the interpreter's lock
    beside a scrape.

    Returns:
        False, with nothing changed, if one of the events was stored already; the caller then uses `append`.
    """
    try:
        cursor.execute(_statement(events, len(batch.events), ""), list(chain.from_iterable(batch.events)))
    except cursor.connection.IntegrityError:
        return False
    refuse_ignored(cursor.rowcount, len(batch.events))
    return True


def _insert_unless_stored(cursor: DBAPICursor, table: Table, rows: Rows) -> InsertedKeys | None:
    count = _insert(cursor, table, rows, " ON CONFLICT DO NOTHING")
    if count == len(rows):
        return None
    _refuse_ignored_rows(cursor, table, rows)
    # Sequences only grow, so the rows just inserted have the highest ones. They come back as one value,
    # because each row would be a step.
    cursor.execute(
        "SELECT group_concat(hex(source) || ' ' || hex(digest))"  # noqa: S608 - our own
        f" FROM (SELECT source, digest FROM {table.name} ORDER BY sequence DESC LIMIT ?)",
        (count,),
    )
    ((keys,),) = cursor.fetchall()
    pairs = (key.split(" ") for key in (keys or "").split(",") if key)
    return Counter((bytes.fromhex(source).decode(), bytes.fromhex(digest)) for source, digest in pairs)


def _refuse_ignored_rows(cursor: DBAPICursor, table: Table, rows: Rows) -> None:
    """Check that rows that were not inserted are stored already."""
    keys = UNIQUE_KEYS[table.name]
    places = [_names(table).index(key) for key in keys]
    equal = " AND ".join(f"{table.name}.{key} = given.{key}" for key in keys)
    for at in range(0, len(rows), MAX_ROWS):
        part = rows[at : at + MAX_ROWS]
        values = ", ".join([f"({', '.join('?' * len(keys))})"] * len(part))
        cursor.execute(
            f"WITH given ({', '.join(keys)}) AS (VALUES {values})"  # noqa: S608 - our own
            f" SELECT count(*) FROM given WHERE EXISTS (SELECT 1 FROM {table.name} WHERE {equal})",
            [row[place] for row in part for place in places],
        )
        ((stored,),) = cursor.fetchall()
        refuse_ignored(stored, len(part))


def _insert(cursor: DBAPICursor, table: Table, rows: Rows, conflict: str) -> int:
    """Insert rows; returns how many it inserted or updated."""
    count = at = 0
    while at < len(rows):
        left = len(rows) - at
        size = left if left <= EXACT_ROWS else min(MAX_ROWS, 1 << left.bit_length() - 1)
        cursor.execute(_statement(table, size, conflict), list(chain.from_iterable(rows[at : at + size])))
        count += cursor.rowcount
        at += size
    return count


@cache
def _statement(table: Table, size: int, conflict: str) -> str:
    names = _names(table)
    values = ", ".join([f"({', '.join('?' * len(names))})"] * size)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {values}{conflict}"  # noqa: S608 - our own


def _names(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name != "sequence"]
