"""Copies a ledger table by table into another database, of the same kind or not.

A copy is marked as unfinished until it is complete and compared. So it can be resumed after a kill, and no
exporter starts on half a ledger.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, cast, column, delete, func, select, table, update
from sqlalchemy.dialects.postgresql import REGCLASS

from exporter.domain.errors import StoreRefusedError
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import (
    UNFINISHED_COPY_OF,
    epochs,
    heartbeats,
    metadata_table,
    sequence_heads,
    tables_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from exporter.ledger.sql.database import Database

ROWS_PER_TRANSACTION = 1000
"""How many rows one transaction copies; a row may have a body of 64 KiB."""

APPEND_ONLY_TABLES = [table_ for table_ in tables_metadata.sorted_tables if table_.autoincrement_column is not None]
"""Tables whose rows never change; a resumed copy continues after the last row copied."""

MUTABLE_TABLES = [
    table_
    for table_ in tables_metadata.sorted_tables
    if table_ not in APPEND_ONLY_TABLES and table_ is not metadata_table
]
"""Tables that every copy replaces whole."""

_NUMBERED_BY_SEQUENCE_HEADS = ("events", "quarantine")
_SQLITE_SEQUENCE = table("sqlite_sequence", column("name"), column("seq", Integer))


def heartbeat_age(database: Database, now: float) -> float:
    """Seconds since the newest heartbeat of any exporter; one in the future comes from a clock that was wrong."""
    seen_us = heartbeats.c.last_seen_us + epochs.c.offset_us
    query = select(func.max(seen_us)).where(epochs.c.id == heartbeats.c.epoch, seen_us <= to_micros(now))
    last_seen_us = database.rows(query)[0][0]
    return now - from_micros(last_seen_us or 0)


def begin_copy(source: Database, target: Database) -> bool:
    """Mark the target as the unfinished copy of the source.

    Returns:
        Whether it resumes an earlier copy.

    Raises:
        StoreRefusedError: the target has a ledger of its own, or is a copy of another one.
    """
    unfinished = target.rows(select(metadata_table.c.value).where(metadata_table.c.name == UNFINISHED_COPY_OF))
    if unfinished:
        if unfinished[0].value != source.ledger_id:
            message = "TO is an unfinished copy of another store; finish that, or give a new database"
            raise StoreRefusedError(message)
        return True
    for table_ in APPEND_ONLY_TABLES:
        count = _count_rows(target, table_)
        if count:
            message = f"TO is not empty ({count} {table_.name}); give a new database"
            raise StoreRefusedError(message)
    mark_unfinished(source, target)
    return False


def mark_unfinished(source: Database, target: Database) -> None:
    """Record in the target that it is an unfinished copy, and of which ledger."""
    with target.writing("copy") as connection:
        connection.execute(metadata_table.insert(), {"name": UNFINISHED_COPY_OF, "value": source.ledger_id})


def count_rows(database: Database) -> int:
    """The number of rows to copy."""
    return sum(_count_rows(database, table_) for table_ in APPEND_ONLY_TABLES + MUTABLE_TABLES)


def copy_rows(source: Database, target: Database) -> Iterator[int]:
    """Copy the rows that the target lacks; yields the number of rows of each step.

    Raises:
        StoreError: one of the databases failed; another call resumes there.
    """
    for table_ in APPEND_ONLY_TABLES:
        after = _last_sequence(target, table_)
        skipped = source.rows(select(func.count()).select_from(table_).where(table_.c.sequence <= after))[0][0]
        yield int(skipped)
        for page in _pages(source, table_, after):
            with target.writing("copy") as connection:
                connection.execute(table_.insert(), _values(page))
            yield len(page)
        with target.writing("copy") as connection:
            _set_sequence_head(target, connection, table_, _sequence_head(source, table_))
    for table_ in MUTABLE_TABLES:
        rows = _sorted_rows(source, table_)
        with target.writing("copy") as connection:
            connection.execute(delete(table_))
            for first in range(0, len(rows), ROWS_PER_TRANSACTION):
                connection.execute(table_.insert(), _values(rows[first : first + ROWS_PER_TRANSACTION]))
        yield len(rows)


def compare_rows(source: Database, target: Database) -> Iterator[str | int]:
    """Compare every row; yields counts of equal rows, and a sentence for each table that differs.

    Raises:
        StoreError: one of the databases failed.
    """
    for table_ in APPEND_ONLY_TABLES:
        for source_page, target_page in zip_longest(_pages(source, table_, 0), _pages(target, table_, 0), fillvalue=()):
            if source_page != target_page:
                yield _difference(table_, source_page, target_page)
                break
            yield len(source_page)
        if _sequence_head(source, table_) != _sequence_head(target, table_):
            yield f"{table_.name}: the next sequence differs"
    for table_ in MUTABLE_TABLES:
        source_rows, target_rows = _sorted_rows(source, table_), _sorted_rows(target, table_)
        yield len(source_rows) if source_rows == target_rows else _difference(table_, source_rows, target_rows)


def finish_copy(source: Database, target: Database) -> None:
    """Remove the mark, and give the target the source's ledger id: sequences mean the same in both."""
    metadata_rows = source.rows(select(metadata_table))
    with target.writing("copy") as connection:
        connection.execute(delete(metadata_table))
        connection.execute(metadata_table.insert(), _values(metadata_rows))


def _count_rows(database: Database, table_: Table) -> int:
    return int(database.rows(select(func.count()).select_from(table_))[0][0])


def _last_sequence(database: Database, table_: Table) -> int:
    return int(database.rows(select(func.coalesce(func.max(table_.c.sequence), 0)))[0][0])


def _pages(database: Database, table_: Table, after: int) -> Iterator[Sequence[Row[Any]]]:
    query = select(table_).order_by(table_.c.sequence).limit(ROWS_PER_TRANSACTION)
    while page := database.rows(query.where(table_.c.sequence > after)):
        yield page
        after = page[-1].sequence


def _sorted_rows(database: Database, table_: Table) -> list[Row[Any]]:
    """All rows, sorted here because two databases may sort text differently."""
    return sorted(database.rows(select(table_)), key=lambda row: _key(table_, row))


def _values(rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - public, but for the name


def _difference(table_: Table, source_rows: Sequence[Row[Any]], target_rows: Sequence[Row[Any]]) -> str:
    """A sentence about the first row, by its key, that differs."""
    ours, theirs = ({_key(table_, row): row for row in rows} for rows in (source_rows, target_rows))
    key = min(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    place = ", ".join(f"{column.name} {value!r}" for column, value in zip(table_.primary_key, key, strict=True))
    problem = "is missing in TO" if key not in theirs else "is missing in FROM" if key not in ours else "differs"
    return f"{table_.name}: the row with {place} {problem}"


def _key(table_: Table, row: Row[Any]) -> tuple[Any, ...]:
    return tuple(row._mapping[column.name] for column in table_.primary_key)  # noqa: SLF001 - public, but for the name


def _sequence_head(database: Database, table_: Table) -> int:
    """The highest sequence that was ever assigned, even if its row was removed."""
    if database.is_sqlite:
        query = select(_SQLITE_SEQUENCE.c.seq).where(_SQLITE_SEQUENCE.c.name == table_.name)
    elif table_.name in _NUMBERED_BY_SEQUENCE_HEADS:
        query = select(sequence_heads.c.last_sequence).where(sequence_heads.c.table_name == table_.name)
    else:
        query = select(func.pg_sequence_last_value(_postgres_sequence(table_)))
    rows = database.rows(query)
    return int(rows[0][0] or 0) if rows else 0


def _set_sequence_head(database: Database, connection: Connection, table_: Table, head: int) -> None:
    if database.is_sqlite:
        connection.execute(delete(_SQLITE_SEQUENCE).where(_SQLITE_SEQUENCE.c.name == table_.name))
        connection.execute(_SQLITE_SEQUENCE.insert(), {"name": table_.name, "seq": head})
    elif table_.name in _NUMBERED_BY_SEQUENCE_HEADS:
        connection.execute(
            update(sequence_heads).where(sequence_heads.c.table_name == table_.name).values(last_sequence=head)
        )
    else:
        # A sequence cannot be set to 0; "1, not assigned yet" means the same.
        connection.execute(select(func.setval(_postgres_sequence(table_), max(head, 1), head > 0)))


def _postgres_sequence(table_: Table) -> ColumnElement[Any]:
    return cast(func.pg_get_serial_sequence(table_.name, "sequence"), REGCLASS)
