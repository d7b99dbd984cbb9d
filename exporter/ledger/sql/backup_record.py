"""Records in a database when the newest backup of it was complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import epochs, metadata_table
from exporter.ledger.sql.checked_writes import insert_rows

if TYPE_CHECKING:
    from exporter.domain.epochs import Epoch
    from exporter.ledger.sql.database import Database

LAST_BACKUP = "last_backup"
"""The fact in ``metadata``: the id of an epoch, and microseconds on its clock."""

_VALUE = select(metadata_table.c.value).where(metadata_table.c.name == LAST_BACKUP)
_OFFSETS = select(epochs.c.id, epochs.c.offset_us)


def record_backup(database: Database, now: float, epoch: Epoch) -> None:
    """Record that a backup was complete at ``now``, in Unix seconds.

    Raises:
        StoreError: the database failed.
    """
    insert = database.insert(metadata_table)
    upsert = insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value})
    with database.writing("backup") as connection:
        row = {"name": LAST_BACKUP, "value": f"{epoch.id} {to_micros(now) - epoch.offset_us}"}
        insert_rows(connection, upsert, [row])


def read_last_backup(database: Database) -> float:
    """Return when the newest recorded backup was complete, in Unix seconds; 0 for none.

    Raises:
        StoreError: the database failed.
    """
    rows = database.cached_query(_VALUE)
    if not rows:
        return 0.0
    epoch, clock_us = map(int, rows[0][0].split())
    return from_micros(clock_us + dict(database.cached_query(_OFFSETS))[epoch])
