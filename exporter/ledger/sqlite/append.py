"""Many rows into SQLite in few steps.

Python's driver gives up the interpreter's lock for every step of a statement, and beside a busy
thread it waits for it up to a switch interval each time. So a batch is a handful of statements of
many rows, whose numbers of rows are small or powers of two, so that they stay prepared.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from exporter.ledger.schema import delivery_counters, events, quarantine

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine.interfaces import DBAPICursor

    from exporter.ledger.rows import Batch, InsertedKeys, Rows

MAX_ROWS = 512
"""In one statement; SQLite since 3.32 takes 32,766 values."""
EXACT_ROWS = 32
"""Up to these one statement takes any number: 15 rows in one take 40 µs less than in four."""

_UPSERT = (
    " ON CONFLICT (source, kind, reason) DO UPDATE SET"
    " total = total + excluded.total, last_arrived_us = max(last_arrived_us, excluded.last_arrived_us)"
)


def append(cursor: DBAPICursor, batch: Batch) -> list[bool]:
    """Insert what is not there yet, within a transaction; for each entry whether it was new."""
    inserted = batch.was_inserted(
        _insert_unless_stored(cursor, events, batch.events),
        _insert_unless_stored(cursor, quarantine, batch.quarantined),
    )
    _insert(cursor, delivery_counters, batch.counter_rows(inserted), _UPSERT)
    return inserted


def fits_one_statement(batch: Batch) -> bool:
    """Whether `append_in_one_statement` can take it."""
    return batch.has_only_events and 0 < len(batch.events) <= EXACT_ROWS


def append_in_one_statement(cursor: DBAPICursor, batch: Batch) -> bool:
    """Insert a few events in a statement that is a transaction of its own.

    Three statements the less for a commit of what most often comes: beside a scrape each of them
    waits for the interpreter's lock.

    Returns:
        False, and nothing was done, where one of them was there already: give all to `append`.
    """
    try:
        cursor.execute(_statement(events, len(batch.events), ""), list(chain.from_iterable(batch.events)))
    except cursor.connection.IntegrityError:
        return False
    return True


def _insert_unless_stored(cursor: DBAPICursor, table: Table, rows: Rows) -> InsertedKeys | None:
    count = _insert(cursor, table, rows, " ON CONFLICT DO NOTHING")
    if count == len(rows):
        return None
    # Sequences only grow, so that the rows just inserted are those with the greatest. One value
    # for all of them, since each row would be a step.
    cursor.execute(
        "SELECT group_concat(hex(source) || ' ' || hex(digest))"  # noqa: S608 - our own
        f" FROM (SELECT source, digest FROM {table.name} ORDER BY sequence DESC LIMIT ?)",
        (count,),
    )
    ((keys,),) = cursor.fetchall()
    pairs = (each.split(" ") for each in (keys or "").split(",") if each)
    return Counter((bytes.fromhex(source).decode(), bytes.fromhex(digest)) for source, digest in pairs)


def _insert(cursor: DBAPICursor, table: Table, rows: Rows, conflict: str) -> int:
    """How many were inserted, or updated."""
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
    names = [column.name for column in table.c if column.name != "sequence"]
    values = ", ".join([f"({', '.join('?' * len(names))})"] * size)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {values}{conflict}"  # noqa: S608 - our own
