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
from exporter.ledger.schema import UNFINISHED, facts, heads, metadata, watches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from exporter.ledger.sql.database import Database

ROWS = 1000
"""How many rows are copied in one transaction; a row may have a body of 64 KiB."""

LISTENING_WITHIN = 30.0
"""Seconds since a heartbeat in which somebody is taken to listen."""

GROWING = [each for each in metadata.sorted_tables if each.autoincrement_column is not None]
"""Tables whose rows never change: they are copied from where the copy ends."""

CHANGING = [each for each in metadata.sorted_tables if each not in GROWING and each is not facts]
"""Tables that are copied anew each time."""

_NUMBERED_BY_HEADS = ("events", "quarantine")
_COUNTERS = table("sqlite_sequence", column("name"), column("seq", Integer))


def listened(database: Database, now: float) -> float:
    """How many seconds ago the newest heartbeat of an exporter was."""
    seen = database.rows(select(func.max(watches.c.seen_us)))[0][0]
    return now - (seen or 0) / 1e6


def begin(source: Database, target: Database) -> bool:
    """Mark the target as the unfinished copy of the source.

    Returns:
        Whether it goes on with a copy that was begun before.

    Raises:
        StoreRefusedError: the target has a ledger of its own, or is the copy of another.
    """
    marks = target.rows(select(facts.c.value).where(facts.c.name == UNFINISHED))
    if marks:
        if marks[0].value != source.identity:
            message = "TO is an unfinished copy of another ledger; finish that, or give a new database"
            raise StoreRefusedError(message)
        return True
    for each in GROWING:
        count = _count(target, each)
        if count:
            message = f"TO has a ledger of its own ({count} {each.name}); give a new database"
            raise StoreRefusedError(message)
    mark(source, target)
    return False


def mark(source: Database, target: Database) -> None:
    """Say in the target that it is not to be used yet, and what it is a copy of."""
    with target.writing("copy") as connection:
        connection.execute(facts.insert(), {"name": UNFINISHED, "value": source.identity})


def rows_of(database: Database) -> int:
    """How many rows there are to copy."""
    return sum(_count(database, each) for each in GROWING + CHANGING)


def copy(source: Database, target: Database) -> Iterator[int]:
    """Copy what the target does not have; yields the number of rows of each step.

    Raises:
        StoreError: what one of the databases said; another call goes on from there.
    """
    for each in GROWING:
        after = _last(target, each)
        skipped = source.rows(select(func.count()).select_from(each).where(each.c.sequence <= after))[0][0]
        yield int(skipped)
        for page in _pages(source, each, after):
            with target.writing("copy") as connection:
                connection.execute(each.insert(), _values(page))
            yield len(page)
        with target.writing("copy") as connection:
            _set_head(target, connection, each, _head(source, each))
    for each in CHANGING:
        everything = _everything(source, each)
        with target.writing("copy") as connection:
            connection.execute(delete(each))
            for first in range(0, len(everything), ROWS):
                connection.execute(each.insert(), _values(everything[first : first + ROWS]))
        yield len(everything)


def differences(source: Database, target: Database) -> Iterator[str | int]:
    """Compare every row; yields the number of rows that are the same, and a sentence on each table that differs.

    Raises:
        StoreError: what one of the databases said.
    """
    for each in GROWING:
        for page, other in zip_longest(_pages(source, each, 0), _pages(target, each, 0), fillvalue=()):
            if page != other:
                yield _difference(each, page, other)
                break
            yield len(page)
        if _head(source, each) != _head(target, each):
            yield f"{each.name}: the next sequence differs"
    for each in CHANGING:
        ours, theirs = _everything(source, each), _everything(target, each)
        yield len(ours) if ours == theirs else _difference(each, ours, theirs)


def finish(source: Database, target: Database) -> None:
    """Give the target the source's identity, and take the mark away: sequences mean the same in both."""
    known = source.rows(select(facts))
    with target.writing("copy") as connection:
        connection.execute(delete(facts))
        connection.execute(facts.insert(), _values(known))


def _count(database: Database, each: Table) -> int:
    return int(database.rows(select(func.count()).select_from(each))[0][0])


def _last(database: Database, each: Table) -> int:
    return int(database.rows(select(func.coalesce(func.max(each.c.sequence), 0)))[0][0])


def _pages(database: Database, each: Table, after: int) -> Iterator[Sequence[Row[Any]]]:
    query = select(each).order_by(each.c.sequence).limit(ROWS)
    while page := database.rows(query.where(each.c.sequence > after)):
        yield page
        after = page[-1].sequence


def _everything(database: Database, each: Table) -> list[Row[Any]]:
    """Sorted here, since two databases may sort text differently."""
    return sorted(database.rows(select(each)), key=lambda row: _key(each, row))


def _values(rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - public, but for the name


def _difference(each: Table, ours: Sequence[Row[Any]], theirs: Sequence[Row[Any]]) -> str:
    mine, others = ({_key(each, row): row for row in rows} for rows in (ours, theirs))
    key = min(key for key in mine.keys() | others.keys() if mine.get(key) != others.get(key))
    place = ", ".join(f"{column.name} {value!r}" for column, value in zip(each.primary_key, key, strict=True))
    what = "is missing in TO" if key not in others else "is missing in FROM" if key not in mine else "differs"
    return f"{each.name}: the row with {place} {what}"


def _key(each: Table, row: Row[Any]) -> tuple[Any, ...]:
    return tuple(row._mapping[column.name] for column in each.primary_key)  # noqa: SLF001 - public, but for the name


def _head(database: Database, each: Table) -> int:
    """The newest sequence that was ever given, also where its row is gone."""
    if database.is_sqlite:
        given = select(_COUNTERS.c.seq).where(_COUNTERS.c.name == each.name)
    elif each.name in _NUMBERED_BY_HEADS:
        given = select(heads.c.sequence).where(heads.c.name == each.name)
    else:
        given = select(func.pg_sequence_last_value(_own_sequence(each)))
    found = database.rows(given)
    return int(found[0][0] or 0) if found else 0


def _set_head(database: Database, connection: Connection, each: Table, head: int) -> None:
    if database.is_sqlite:
        connection.execute(delete(_COUNTERS).where(_COUNTERS.c.name == each.name))
        connection.execute(_COUNTERS.insert(), {"name": each.name, "seq": head})
    elif each.name in _NUMBERED_BY_HEADS:
        connection.execute(update(heads).where(heads.c.name == each.name).values(sequence=head))
    else:
        # The least that a sequence can say is that 1 was not given yet.
        connection.execute(select(func.setval(_own_sequence(each), max(head, 1), head > 0)))


def _own_sequence(each: Table) -> ColumnElement[Any]:
    return cast(func.pg_get_serial_sequence(each.name, "sequence"), REGCLASS)
