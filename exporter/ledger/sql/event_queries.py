"""Reads events from a database, in SQLite as one JSON array per column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from exporter.ledger.rows import EVENT_COLUMNS, columns_from_rows, events_from_columns
from exporter.ledger.schema import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select
    from sqlalchemy.sql.expression import TextualSelect

    from exporter.domain.events import Event
    from exporter.ledger.sql.database import Database

SMALL_PAGE = 200
"""Events in a page for a caller that rarely needs a second page."""

_DIGEST = [column.name for column in EVENT_COLUMNS].index("digest")


def fetch_events(database: Database, query: Select[Any], **values: object) -> list[Event]:
    """Run a query of `EVENT_COLUMNS`.

    Raises:
        StoreError: the database failed.
    """
    if database.is_sqlite:
        return fetch_from_columns(database, aggregate_columns(query), **values)
    return events_from_columns(columns_from_rows(database.rows(query, **values)))


def fetch_from_columns(database: Database, query: Select[Any], **values: object) -> list[Event]:
    """Run a query that `aggregate_columns` returned.

    Raises:
        StoreError: the database failed.
    """
    [row] = database.rows(query, **values)
    return _events_from_json(row)


def aggregate_columns(query: Select[Any] | TextualSelect) -> Select[Any]:
    """Make a query return one value per column: in SQLite, each row costs a handover of the interpreter's lock."""
    inner = query.subquery()
    values = (func.hex(column) if column.name == "digest" else column for column in inner.c)
    return select(*map(func.json_group_array, values))


_PAGE: Select[Any] = (
    select(*EVENT_COLUMNS)
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("most"))
)
_PAGE_AS_COLUMNS = aggregate_columns(_PAGE)
"""Built once, because building it takes longer than finding that there is no new event."""


def read_page(database: Database, after: int, most: int) -> list[Event]:
    """Up to ``most`` events after a sequence, in sequence order.

    Raises:
        StoreError: the database failed.
    """
    if database.is_sqlite:
        [row] = database.cached_query(_PAGE_AS_COLUMNS, after=after, most=most)
        return _events_from_json(row)
    return fetch_events(database, _PAGE, after=after, most=most)


def _events_from_json(row: Sequence[str]) -> list[Event]:
    columns = [json.loads(text) for text in row]
    columns[_DIGEST] = list(map(bytes.fromhex, columns[_DIGEST]))
    return events_from_columns(columns)
