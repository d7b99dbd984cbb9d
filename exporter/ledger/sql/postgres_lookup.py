"""The events of an export in PostgreSQL, by an index of request ids and one of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from exporter.ledger.contract import PAGE_SIZE
from exporter.ledger.rows import EVENT_COLUMNS
from exporter.ledger.schema import events
from exporter.ledger.sql.event_queries import SMALL_PAGE, fetch_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Select

    from exporter.domain.events import Event
    from exporter.domain.exports import Selection
    from exporter.ledger.sql.database import Database


class PostgresLookup:
    """Finds events up to a sequence, page by page; each page may raise a `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forwards(self, selection: Selection, upto: int) -> Iterator[list[Event]]:
        """Candidates for a selection, in sequence order; the caller still has to match them."""
        query = (
            _selection_query(selection).where(events.c.sequence <= upto).order_by(events.c.sequence).limit(PAGE_SIZE)
        )
        after = 0
        while page := fetch_events(self._database, query.where(events.c.sequence > after)):
            yield page
            after = page[-1].sequence

    def backwards(self, selection: Selection, upto: int) -> Iterator[list[Event]]:
        """As `forwards`, newest first, in small pages."""
        query = _selection_query(selection).order_by(events.c.sequence.desc()).limit(SMALL_PAGE)
        while page := fetch_events(self._database, query.where(events.c.sequence <= upto)):
            yield page
            upto = page[-1].sequence - 1

    def read_ids(self, source: str, ids: Sequence[str], upto: int) -> list[Event]:
        """All events of these request ids, in any order."""
        query = select(*EVENT_COLUMNS).where(events.c.source == source, events.c.sequence <= upto)
        return fetch_events(self._database, query.where(events.c.request_id.in_(ids)))


def _selection_query(selection: Selection) -> Select[Any]:
    query = select(*EVENT_COLUMNS).where(events.c.source == selection.source)
    if selection.request_id is not None:
        query = query.where(events.c.request_id == selection.request_id)
    if selection.group_key is not None:
        query = query.where(events.c.group_key == selection.group_key)
    return query
