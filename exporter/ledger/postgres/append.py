"""Appends many rows to PostgreSQL in few round trips, with sequences that become visible in order.

PostgreSQL's own sequences do not guarantee that: of two transactions, the one with the higher number may
commit first, and a reader would then skip the lower one forever. So a writer takes its numbers from a row
of ``sequence_heads`` that it locks until its commit. Row locks are all it needs, so a pooler may be between.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from exporter.ledger.duplicates import UNIQUE_KEYS, find_inserted
from exporter.ledger.rows import refuse_ignored
from exporter.ledger.schema import delivery_counters, events, quarantine

if TYPE_CHECKING:
    from sqlalchemy import Table

    from exporter.ledger.duplicates import InsertedKeys
    from exporter.ledger.rows import Batch, Rows

_TYPES = {"TEXT": "text", "BLOB": "bytea", "BIGINT": "bigint", "INTEGER": "integer", "BOOLEAN": "integer[]::boolean"}

_LOCK_HEADS = "SELECT table_name FROM sequence_heads ORDER BY table_name FOR UPDATE"
_UPSERT = (
    " ON CONFLICT (source, kind, reason, epoch) DO UPDATE SET total = delivery_counters.total + excluded.total,"
    " last_arrived_us = greatest(delivery_counters.last_arrived_us, excluded.last_arrived_us)"
)


def append(cursor: Any, batch: Batch) -> list[bool]:  # noqa: ANN401 - psycopg's
    """Insert the entries that are not stored yet, within a transaction; for each, whether it was new."""
    if batch.events or batch.quarantined:
        cursor.execute(_LOCK_HEADS)
    inserted = find_inserted(
        batch.entries,
        _insert_unless_stored(cursor, events, batch.events),
        _insert_unless_stored(cursor, quarantine, batch.quarantined),
    )
    counts = batch.counter_rows(inserted)
    if counts:
        names, values = _names(delivery_counters), _arrays(delivery_counters)
        cursor.execute(
            f"INSERT INTO delivery_counters ({names}) SELECT * FROM unnest({values}){_UPSERT}",  # noqa: S608 - our own
            [list(column) for column in zip(*counts, strict=True)],
        )
        refuse_ignored(cursor.rowcount, len(counts))
    return inserted


def _insert_unless_stored(cursor: Any, table: Table, rows: Rows) -> InsertedKeys | None:  # noqa: ANN401 - psycopg's
    if not rows:
        return None
    cursor.execute(_statement(table), [list(column) for column in zip(*rows, strict=True)])
    *keys, (missing, _) = cursor.fetchall()
    refuse_ignored(len(keys), int(missing))
    return None if len(keys) == len(rows) else Counter((source, bytes(digest)) for source, digest in keys)


@cache
def _statement(table: Table) -> str:
    """Insert the given rows that are not stored yet, the first of equal ones, numbered from the sequence head.

    It returns the keys of those that were inserted, and then how many should have been.
    """
    name, names, keys = table.name, _names(table), UNIQUE_KEYS[table.name]
    equal = " AND ".join(f"{name}.{key} = first.{key}" for key in keys)
    return (
        f"WITH given AS (SELECT * FROM unnest({_arrays(table)}) WITH ORDINALITY AS given ({names}, place)),"  # noqa: S608
        f" first AS (SELECT DISTINCT ON ({', '.join(keys)}) * FROM given ORDER BY {', '.join(keys)}, place),"
        f" missing AS (SELECT first.*, row_number() OVER (ORDER BY place) AS number FROM first"
        f" WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {equal})),"
        f" inserted AS (INSERT INTO {name} (sequence, {names})"
        f" SELECT (SELECT last_sequence FROM sequence_heads WHERE table_name = '{name}') + number, {names} FROM missing"
        " RETURNING source, digest),"
        " advanced AS (UPDATE sequence_heads SET last_sequence = last_sequence + (SELECT count(*) FROM missing)"
        f" WHERE table_name = '{name}')"
        " SELECT source, digest FROM inserted UNION ALL SELECT count(*)::text, NULL FROM missing"
    )


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.c if column.name != "sequence")


def _arrays(table: Table) -> str:
    return ", ".join(f"%s::{_TYPES[str(column.type)]}[]" for column in table.c if column.name != "sequence")
