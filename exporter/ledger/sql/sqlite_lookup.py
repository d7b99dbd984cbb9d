"""The events of an export in SQLite, whose indexes are divided into blocks.

An index of (request id, sequence) has one place for each export, so that with every event another
page of it changes, and has to be written twice. In an index of (block, request id, sequence), where
a block is 16,384 sequences, only the pages of the last block change, however many events are
stored: an event costs half of the time, and with 10 million of them no more than with 10,000.
A lookup asks every block then, some 3 µs each; for a request id only those between its first and
its last event, which `exporter.ledger.schema.request_ids` knows.
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

# A cross join is not reordered: the blocks come first, and the index finds what is in each.
_BLOCKS_QUERY = """
    WITH RECURSIVE blocks (block) AS (SELECT :first UNION ALL SELECT block + 1 FROM blocks WHERE block < :last)
    SELECT {names} FROM blocks CROSS JOIN events
    ON {block} = blocks.block AND events.source = :source AND events.{column} = :wanted AND {range}
    ORDER BY events.sequence {order} LIMIT :most
"""
# In the order of sequences, and not by an index that has the source, since everything of it would be sorted each time.
_SOURCE_QUERY = """
    SELECT {names} FROM events WHERE +events.source = :source AND {range}
    ORDER BY events.sequence {order} LIMIT :most
"""


def _statements(order: str) -> dict[str | None, Select[Any]]:
    """The statements that look for one value of a column, or for all of a source."""
    given = {"names": _NAMES, "block": _BLOCK, "range": _RANGE, "order": order}
    in_blocks: dict[str | None, Select[Any]] = {
        column: _as_columns(_BLOCKS_QUERY.format(column=column, **given)) for column in ("request_id", "group_key")
    }
    return {**in_blocks, None: _as_columns(_SOURCE_QUERY.format(**given))}


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

# Two questions, since both at once would be answered by reading everything.
_SEQUENCE_RANGE: Select[Any] = select(
    select(func.min(events.c.sequence)).scalar_subquery().label("first"),
    select(func.max(events.c.sequence)).scalar_subquery().label("last"),
)
_ID_SEQUENCE_RANGE: Select[Any] = select(
    request_ids.c.first_sequence.label("first"), request_ids.c.last_sequence.label("last")
).where(request_ids.c.source == bindparam("source"), request_ids.c.request_id == bindparam("wanted"))


class SqliteLookup:
    """Looks up what is in the ledger up to a sequence, page by page; each page may raise a `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forwards(self, selection: Selection, upto: int) -> Iterator[list[Event]]:
        """The events that may belong to a selection, in the order of their sequence."""
        column, wanted = _most_selective(selection)
        first, last = self._sequence_range(selection.source, column, wanted, upto)
        blocks = 1
        while first <= last:
            to = min(last, ((first >> BLOCK_BITS) + blocks << BLOCK_BITS) - 1)
            page = self._page(_FORWARDS[column], selection.source, wanted, (first, to), PAGE_SIZE)
            yield page
            first, blocks = (page[-1].sequence + 1, 1) if len(page) == PAGE_SIZE else (to + 1, blocks * 2)

    def backwards(self, selection: Selection, upto: int) -> Iterator[list[Event]]:
        """The same, the last one first, a few at a time."""
        column, wanted = _most_selective(selection)
        first, last = self._sequence_range(selection.source, column, wanted, upto)
        blocks = 1
        while first <= last:
            since = max(first, (last >> BLOCK_BITS) - blocks + 1 << BLOCK_BITS)
            page = self._page(_BACKWARDS[column], selection.source, wanted, (since, last), SMALL_PAGE)
            yield page
            last, blocks = (page[-1].sequence - 1, 1) if len(page) == SMALL_PAGE else (since - 1, blocks * 2)

    def read_ids(self, source: str, wanted: Sequence[str], upto: int) -> list[Event]:
        """All events of some request ids, in any order."""
        return fetch_from_columns(self._database, _IDS_QUERY, source=source, wanted=json.dumps(wanted), upto=upto)

    def _sequence_range(self, source: str, column: str | None, wanted: str | None, upto: int) -> tuple[int, int]:
        """From which to which sequence there may be events with a value in a column."""
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
    """The column, and its value, that the fewest events of a selection share with others."""
    if selection.request_id is not None:
        return "request_id", selection.request_id
    if selection.group_key is not None:
        return "group_key", selection.group_key
    return None, None
