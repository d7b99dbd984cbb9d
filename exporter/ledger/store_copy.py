"""A ledger copied table by table from one database into another, of the same kind or not.

A copy that was begun bears a mark until it is whole and was compared, so that it can go on after a
kill, and so that no exporter takes half a ledger for the whole.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, cast, column, delete, func, select, table, update
from sqlalchemy.dialects.postgresql import REGCLASS

from exporter.domain.errors import StoreRefusedError
from exporter.ledger.instants import from_micros
from exporter.ledger.schema import UNFINISHED_COPY_OF, heartbeats, metadata_table, sequence_heads, tables_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from exporter.ledger.sql.database import Database

ROWS_PER_TRANSACTION = 1000
"""How many rows are copied in one transaction; a row may have a body of 64 KiB."""

APPEND_ONLY_TABLES = [table_ for table_ in tables_metadata.sorted_tables if table_.autoincrement_column is not None]
"""Tables whose rows never change: they are copied from where the copy ends."""

MUTABLE_TABLES = [
    table_
    for table_ in tables_metadata.sorted_tables
    if table_ not in APPEND_ONLY_TABLES and table_ is not metadata_table
]
"""Tables that are copied anew each time."""

_NUMBERED_BY_SEQUENCE_HEADS = ("events", "quarantine")
_SQLITE_SEQUENCE = table("sqlite_sequence", column("name"), column("seq", Integer))


def heartbeat_age(database: Database, now: float) -> float:
    """How many seconds ago the newest heartbeat of an exporter was."""
    seen = database.rows(select(func.max(heartbeats.c.last_seen_us)))[0][0]
    return now - from_micros(seen or 0)


def begin_copy(source: Database, target: Database) -> bool:
    """Mark the target as the unfinished copy of the source.

    Returns:
        Whether it goes on with a copy that was begun before.

    Raises:
        StoreRefusedError: the target has a ledger of its own, or is the copy of another.
    """
    unfinished = target.rows(select(metadata_table.c.value).where(metadata_table.c.name == UNFINISHED_COPY_OF))
    if unfinished:
        if unfinished[0].value != source.ledger_id:
            message = "TO is an unfinished copy of another ledger; finish that, or give a new database"
            raise StoreRefusedError(message)
        return True
    for table_ in APPEND_ONLY_TABLES:
        count = _count_rows(target, table_)
        if count:
            message = f"TO has a ledger of its own ({count} {table_.name}); give a new database"
            raise StoreRefusedError(message)
    mark_unfinished(source, target)
    return False


def mark_unfinished(source: Database, target: Database) -> None:
    """Say in the target that it is not to be used yet, and what it is a copy of."""
    with target.writing("copy") as connection:
        connection.execute(metadata_table.insert(), {"name": UNFINISHED_COPY_OF, "value": source.ledger_id})


def count_rows(database: Database) -> int:
    """How many rows there are to copy."""
    return sum(_count_rows(database, table_) for table_ in APPEND_ONLY_TABLES + MUTABLE_TABLES)


def copy_rows(source: Database, target: Database) -> Iterator[int]:
    """Copy what the target does not have; yields the number of rows of each step.

    Raises:
        StoreError: what one of the databases said; another call goes on from there.
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
        everything = _sorted_rows(source, table_)
        with target.writing("copy") as connection:
            connection.execute(delete(table_))
            for first in range(0, len(everything), ROWS_PER_TRANSACTION):
                connection.execute(table_.insert(), _values(everything[first : first + ROWS_PER_TRANSACTION]))
        yield len(everything)


def compare_rows(source: Database, target: Database) -> Iterator[str | int]:
    """Compare every row; yields the number of rows that are the same, and a sentence on each table that differs.

    Raises:
        StoreError: what one of the databases said.
    """
    for table_ in APPEND_ONLY_TABLES:
        for page, other in zip_longest(_pages(source, table_, 0), _pages(target, table_, 0), fillvalue=()):
            if page != other:
                yield _difference(table_, page, other)
                break
            yield len(page)
        if _sequence_head(source, table_) != _sequence_head(target, table_):
            yield f"{table_.name}: the next sequence differs"
    for table_ in MUTABLE_TABLES:
        ours, theirs = _sorted_rows(source, table_), _sorted_rows(target, table_)
        yield len(ours) if ours == theirs else _difference(table_, ours, theirs)


def finish_copy(source: Database, target: Database) -> None:
    """Give the target the source's identity, and take the mark away: sequences mean the same in both."""
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
    """Sorted here, since two databases may sort text differently."""
    return sorted(database.rows(select(table_)), key=lambda row: _key(table_, row))


def _values(rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - public, but for the name


def _difference(table_: Table, ours: Sequence[Row[Any]], theirs: Sequence[Row[Any]]) -> str:
    mine, others = ({_key(table_, row): row for row in rows} for rows in (ours, theirs))
    key = min(key for key in mine.keys() | others.keys() if mine.get(key) != others.get(key))
    place = ", ".join(f"{column.name} {value!r}" for column, value in zip(table_.primary_key, key, strict=True))
    what = "is missing in TO" if key not in others else "is missing in FROM" if key not in mine else "differs"
    return f"{table_.name}: the row with {place} {what}"


def _key(table_: Table, row: Row[Any]) -> tuple[Any, ...]:
    return tuple(row._mapping[column.name] for column in table_.primary_key)  # noqa: SLF001 - public, but for the name


def _sequence_head(database: Database, table_: Table) -> int:
    """The newest sequence that was ever given, also where its row is gone."""
    if database.is_sqlite:
        given = select(_SQLITE_SEQUENCE.c.seq).where(_SQLITE_SEQUENCE.c.name == table_.name)
    elif table_.name in _NUMBERED_BY_SEQUENCE_HEADS:
        given = select(sequence_heads.c.last_sequence).where(sequence_heads.c.table_name == table_.name)
    else:
        given = select(func.pg_sequence_last_value(_postgres_sequence(table_)))
    found = database.rows(given)
    return int(found[0][0] or 0) if found else 0


def _set_sequence_head(database: Database, connection: Connection, table_: Table, head: int) -> None:
    if database.is_sqlite:
        connection.execute(delete(_SQLITE_SEQUENCE).where(_SQLITE_SEQUENCE.c.name == table_.name))
        connection.execute(_SQLITE_SEQUENCE.insert(), {"name": table_.name, "seq": head})
    elif table_.name in _NUMBERED_BY_SEQUENCE_HEADS:
        connection.execute(
            update(sequence_heads).where(sequence_heads.c.table_name == table_.name).values(last_sequence=head)
        )
    else:
        # The least that a sequence can say is that 1 was not given yet.
        connection.execute(select(func.setval(_postgres_sequence(table_), max(head, 1), head > 0)))


def _postgres_sequence(table_: Table) -> ColumnElement[Any]:
    return cast(func.pg_get_serial_sequence(table_.name, "sequence"), REGCLASS)
