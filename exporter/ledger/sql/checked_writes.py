"""Writes rows to a database, and notices if it ignored some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.ledger.rows import refuse_ignored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Delete, Insert, Update


def insert_rows(connection: Connection, statement: Insert, rows: Sequence[Mapping[str, object]]) -> None:
    """Execute an insert, or an upsert, of at least one row.

    Raises:
        StoreError: the database ignored rows.
    """
    result = connection.execute(statement, rows, execution_options={"preserve_rowcount": True})
    refuse_ignored(result.rowcount, len(rows))


def change_rows(connection: Connection, statement: Update | Delete, count: int) -> None:
    """Execute a statement that changes or removes ``count`` rows.

    Raises:
        StoreError: the database ignored rows.
    """
    refuse_ignored(connection.execute(statement).rowcount, count)
