"""Finds the events of an export in SQLite, by indexes that are divided into blocks.

In an index of (request id, sequence), each export grows at its own place, so that every event changes
another page, which SQLite then writes twice. In an index of (block, request id, sequence), where a block is
16,384 sequences, only the pages of the last block change. An event costs half the time, and with 10 million
stored no more than with 10,000. A lookup then has to search every block, about 3 µs each; for a request id,
only the blocks between its first and last event, which `exporter.ledger.schema.request_ids` has.

    sequence     1 … 16,383      16,384 … 32,767     32,768 …
    block        0               1                   2
    index        [a …][b …]      [a …][b …]          [a …][b …]   <- only these pages change
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, text

from exporter.ledger.contract import PAGE_SIZE
from exporter.ledger.rows import EVENT_COLUMNS
from exporter.ledger.schema import BLOCK_BITS, events, request_ids
from exporter.ledger.sql.event_queries import SMALL_PAGE, aggregate_columns, fetch_from_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Select

    from exporter.domain.events import Event
    from exporter.domain.exports import Selection
    from exporter.ledger.sql.database import Database


def _as_columns(sql: str) -> Select[Any]:
    return aggregate_columns(text(sql).columns(*EVENT_COLUMNS))


_NAMES = ", ".join(f"events.{column.name}" for column in EVENT_COLUMNS)
_BLOCK = f"events.sequence >> {BLOCK_BITS}"
_RANGE = "events.sequence > :after AND events.sequence <= :upto"

# SQLite does not reorder a cross join: it takes block after block, and finds the events of each by the index.
_BLOCKS_QUERY = """
    WITH RECURSIVE blocks (block) AS (SELECT :first UNION ALL SELECT block + 1 FROM blocks WHERE block < :last)
    SELECT {names} FROM blocks CROSS JOIN events
    ON {block} = blocks.block AND events.source = :source AND events.{column} = :wanted AND {range}
    ORDER BY events.sequence {order} LIMIT :most
"""
# The plus keeps SQLite from an index by source, whose rows it would have to sort for every page.
_SOURCE_QUERY = """
    SELECT {names} FROM events WHERE +events.source = :source AND {range}
    ORDER BY events.sequence {order} LIMIT :most
"""


def _statements(order: str) -> dict[str | None, Select[Any]]:
    """The statements that find the events with one value of a column, or all of a source."""
    parts = {"names": _NAMES, "block": _BLOCK, "range": _RANGE, "order": order}
    in_blocks: dict[str | None, Select[Any]] = {
        column: _as_columns(_BLOCKS_QUERY.format(column=column, **parts)) for column in ("request_id", "group_key")
    }
    return {**in_blocks, None: _as_columns(_SOURCE_QUERY.format(**parts))}


_FORWARDS, _BACKWARDS = _statements("ASC"), _statements("DESC")
_IDS_QUERY = _as_columns(f"""
    WITH RECURSIVE places (request_id, block, last) AS (
        SELECT request_id, first_sequence >> {BLOCK_BITS}, last_sequence >> {BLOCK_BITS} FROM request_ids
        WHERE source = :source AND request_id IN (SELECT value FROM json_each(:wanted))
        UNION ALL SELECT request_id, block + 1, last FROM places WHERE block < last
    )
    SELECT {_NAMES} FROM places CROSS JOIN events
    ON {_BLOCK} = places.block AND events.source = :source AND events.request_id = places.request_id
    AND events.sequence <= :upto
""")  # noqa: S608 - our own

# Two subqueries: for minimum and maximum in one, SQLite would read the whole table.
_SEQUENCE_RANGE: Select[Any] = select(
    select(func.min(events.c.sequence)).scalar_subquery().label("first"),
    select(func.max(events.c.sequence)).scalar_subquery().label("last"),
)
_ID_SEQUENCE_RANGE: Select[Any] = select(
    request_ids.c.first_sequence.label("first"), request_ids.c.last_sequence.label("last")
).where(request_ids.c.source == bindparam("source"), request_ids.c.request_id == bindparam("wanted"))


class SqliteLookup:
    """Finds events up to a sequence, page by page; each page may raise a `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forwards(self, selection: Selection, upto: int) -> Iterator[list[Event]]:
        """Candidates for a selection, in sequence order; the caller still has to match them."""
        column, wanted = _most_selective(selection)
        first, last = self._sequence_range(selection.source, column, wanted, upto)
        blocks = 1
        while first <= last:
            to = min(last, ((first >> BLOCK_BITS) + blocks << BLOCK_BITS) - 1)
            page = self._page(_FORWARDS[column], selection.source, wanted, (first, to), PAGE_SIZE)
            yield page
            first, blocks = (page[-1].sequence + 1, 1) if len(page) == PAGE_SIZE else (to + 1, blocks * 2)

    def backwards(self, selection: Selection, upto: int) -> Iterator[list[Event]]:
        """As `forwards`, newest first, in small pages."""
        column, wanted = _most_selective(selection)
        first, last = self._sequence_range(selection.source, column, wanted, upto)
        blocks = 1
        while first <= last:
            since = max(first, (last >> BLOCK_BITS) - blocks + 1 << BLOCK_BITS)
            page = self._page(_BACKWARDS[column], selection.source, wanted, (since, last), SMALL_PAGE)
            yield page
            last, blocks = (page[-1].sequence - 1, 1) if len(page) == SMALL_PAGE else (since - 1, blocks * 2)

    def read_ids(self, source: str, ids: Sequence[str], upto: int) -> list[Event]:
        """All events of these request ids, in any order."""
        return fetch_from_columns(self._database, _IDS_QUERY, source=source, wanted=json.dumps(ids), upto=upto)

    def _sequence_range(self, source: str, column: str | None, wanted: str | None, upto: int) -> tuple[int, int]:
        """The first and last sequence that events with this value in a column may have."""
        query = _ID_SEQUENCE_RANGE.params(source=source, wanted=wanted) if column == "request_id" else _SEQUENCE_RANGE
        for row in self._database.rows(query):
            if row.first is not None:
                return row.first, min(row.last, upto)
        return 1, 0

    def _page(
        self, query: Select[Any], source: str, wanted: str | None, between: tuple[int, int], most: int
    ) -> list[Event]:
        first, last = between
        blocks = {"first": first >> BLOCK_BITS, "last": last >> BLOCK_BITS}
        return fetch_from_columns(
            self._database, query, source=source, wanted=wanted, after=first - 1, upto=last, most=most, **blocks
        )


def _most_selective(selection: Selection) -> tuple[str | None, str | None]:
    """The column of a selection that fewest other events match, and its value; (None, None) for a whole source."""
    if selection.request_id is not None:
        return "request_id", selection.request_id
    if selection.group_key is not None:
        return "group_key", selection.group_key
    return None, None
