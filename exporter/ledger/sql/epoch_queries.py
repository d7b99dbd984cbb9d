"""The epochs of stamps in a database; `exporter.domain.epochs` explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, text, update

from exporter.domain.epochs import Epoch, StoredEpoch
from exporter.ledger.schema import epochs, metadata_table
from exporter.ledger.sql.checked_writes import change_rows, insert_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from exporter.ledger.sql.database import Database

REPLAY_GENERATION = "replay_generation"

_EPOCHS = (
    select(
        epochs.c.id,
        epochs.c.boot_id,
        epochs.c.measured_us,
        epochs.c.offset_us,
        epochs.c.dated_us,
        epochs.c.first_us,
        epochs.c.last_us,
    )
    .where(epochs.c.id > 0)
    .order_by(epochs.c.id)
)
_SERVER_TIME = select(func.extract("epoch", func.clock_timestamp()))


def reference_time(database: Database) -> float | None:
    """PostgreSQL's time in Unix seconds; None for SQLite."""
    return None if database.is_sqlite else float(database.rows(_SERVER_TIME)[0][0])


def read_epochs(database: Database) -> list[StoredEpoch]:
    """All epochs but that of given instants, in order."""
    return [StoredEpoch(*row) for row in database.cached_query(_EPOCHS)]


def begin_epoch(database: Database, boot_id: str, clock_us: int, offset_us: int, *, renew: bool) -> Epoch:
    """Return the newest epoch of a boot, or a new one."""
    with database.writing("epoch") as connection:
        if not database.is_sqlite:
            # Two replicas that start together would take the same id.
            connection.execute(text("LOCK TABLE epochs IN EXCLUSIVE MODE"))
        of_boot = select(epochs.c.id, epochs.c.offset_us).where(epochs.c.boot_id == boot_id)
        newest = connection.execute(of_boot.order_by(epochs.c.id.desc()).limit(1)).first()
        if newest is not None and not renew:
            return Epoch(*newest)
        number = int(connection.execute(select(func.max(epochs.c.id))).scalar_one()) + 1
        row = StoredEpoch(number, boot_id, offset_us, offset_us, offset_us, clock_us, clock_us)
        insert_rows(connection, insert(epochs), [{column.name: getattr(row, column.name) for column in epochs.c}])
    return Epoch(number, offset_us)


def correct_epochs(database: Database, offsets: Mapping[int, int], *, measured: bool) -> None:
    """Give epochs other offsets, and raise the replay generation."""
    with database.writing("epoch") as connection:
        for number, offset_us in offsets.items():
            values = {"offset_us": offset_us} | ({"measured_us": offset_us} if measured else {})
            change_rows(connection, update(epochs).where(epochs.c.id == number).values(values), 1)
        raise_replay_generation(connection)


def raise_replay_generation(connection: Connection) -> None:
    """Make readers fold all events again."""
    fact = metadata_table.c.name == REPLAY_GENERATION
    stored = connection.execute(select(metadata_table.c.value).where(fact)).scalar()
    connection.execute(delete(metadata_table).where(fact))
    row = {"name": REPLAY_GENERATION, "value": str(int(stored or 0) + 1)}
    insert_rows(connection, metadata_table.insert(), [row])
