"""Removes what a source received in a window from a database: events, quarantined and refused bodies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, delete, func, select, update

from exporter.ledger.instants import to_micros
from exporter.ledger.schema import delivery_counters, epochs, events, quarantine, refused_bodies
from exporter.ledger.sql.checked_writes import change_rows
from exporter.ledger.sql.checkpoint_store import lock_out_writers
from exporter.ledger.sql.decisions import append_decision
from exporter.ledger.sql.replay_store import mark_in_progress

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from exporter.domain.epochs import Epoch
    from exporter.domain.purges import Window
    from exporter.ledger.sql.database import Database

ROWS_PER_TRANSACTION = 500
"""How many rows one transaction removes, so that no webhook waits for long."""


class PurgeCounts(NamedTuple):
    """How many rows a purge removes."""

    events: int
    quarantined: int
    refused: int


class SqlPurgeStore:
    """The rows of a database that a purge removes. Every method may raise `exporter.domain.errors.StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, window: Window) -> PurgeCounts:
        """The number of rows in a window."""
        quarantined = select(func.count()).select_from(quarantine).join(epochs, epochs.c.id == quarantine.c.epoch)
        queries = (
            select(func.count()).select_from(events).where(_in_window(events, window)),
            quarantined.where(_in_window(quarantine, window)),
            select(func.count()).select_from(refused_bodies).where(_in_window(refused_bodies, window)),
        )
        return PurgeCounts(*(int(self._database.rows(query)[0][0]) for query in queries))

    def remove(self, window: Window, by: str, why: str, decided_at: float, epoch: Epoch) -> PurgeCounts:
        """Record the decision, and then remove all rows in the window, a few in each transaction.

        Afterwards `exporter.ledger.replay_store.ReplayStore.amend` has to be called with ``last``, so that readers
        fold all events again. If a process is killed in between, the same purge once more finishes it.

        Counters of quarantined bodies lose those that are removed. Nobody knows when duplicates and test calls were
        received, so they stay counted; the last one counts as received at the beginning of the window at the latest.

        Args:
            window: what to remove.
            by: who decided.
            why: the reason given.
            decided_at: Unix seconds.
            epoch: of ``decided_at``.

        Returns:
            How many rows it removed.
        """
        with self._database.writing("purge") as connection:
            append_decision(connection, window.decision(decided_at, by, why), epoch)
            mark_in_progress(self._database, connection)
        removed = PurgeCounts(
            self._remove_rows(events, window),
            self._remove_quarantined(window),
            self._remove_rows(refused_bodies, window),
        )
        self._correct_last_arrivals(window)
        return removed

    def _remove_rows(self, table: Table, window: Window) -> int:
        """Remove the rows of a table whose arrivals are Unix time."""
        some = select(table.c.sequence).where(_in_window(table, window)).limit(ROWS_PER_TRANSACTION)
        removed = 0
        while True:
            with self._database.writing("purge") as connection:
                lock_out_writers(self._database, connection)
                count = connection.execute(delete(table).where(table.c.sequence.in_(some))).rowcount
            removed += count
            if count < ROWS_PER_TRANSACTION:
                return removed

    def _remove_quarantined(self, window: Window) -> int:
        """Remove quarantined bodies, and count them as if they had never been quarantined."""
        some = select(quarantine.c.sequence, quarantine.c.reason, quarantine.c.epoch)
        some = some.join(epochs, epochs.c.id == quarantine.c.epoch).where(_in_window(quarantine, window))
        counter = delivery_counters.c
        removed = 0
        while True:
            with self._database.writing("purge") as connection:
                lock_out_writers(self._database, connection)  # no replay takes one of them out meanwhile
                rows = connection.execute(some.limit(ROWS_PER_TRANSACTION).with_for_update(of=quarantine)).all()
                sequences = [row.sequence for row in rows]
                change_rows(connection, delete(quarantine).where(quarantine.c.sequence.in_(sequences)), len(rows))
                for (reason, epoch), count in Counter((row.reason, row.epoch) for row in rows).items():
                    key = (
                        counter.source == window.source,
                        counter.kind == "quarantined",
                        counter.reason == reason,
                        counter.epoch == epoch,
                    )
                    connection.execute(update(delivery_counters).where(*key).values(total=counter.total - count))
                    connection.execute(delete(delivery_counters).where(*key, counter.total <= 0))
            removed += len(rows)
            if len(rows) < ROWS_PER_TRANSACTION:
                return removed

    def _correct_last_arrivals(self, window: Window) -> None:
        """Let no counter of the source say that its last delivery was received in the window."""
        counter = delivery_counters.c
        newest_left = (
            select(func.max(quarantine.c.arrived_us))
            .where(
                counter.kind == "quarantined",
                quarantine.c.source == counter.source,
                quarantine.c.reason == counter.reason,
                quarantine.c.epoch == counter.epoch,
            )
            .correlate(delivery_counters)
            .scalar_subquery()
        )
        offset_us = select(epochs.c.offset_us).where(epochs.c.id == counter.epoch).scalar_subquery()
        since_us, until_us = to_micros(window.since), to_micros(window.until)
        arrived_us = counter.last_arrived_us + offset_us
        in_window = and_(counter.source == window.source, arrived_us >= since_us, arrived_us < until_us)
        last_arrived_us = func.coalesce(newest_left, since_us - offset_us)
        with self._database.writing("purge") as connection:
            connection.execute(update(delivery_counters).where(in_window).values(last_arrived_us=last_arrived_us))


def _in_window(table: Table, window: Window) -> ColumnElement[bool]:
    """Whether a row of a table was received in a window; a query of the quarantine has to join the epochs."""
    arrived_us = table.c.arrived_us + epochs.c.offset_us if table is quarantine else table.c.arrived_us
    since_us, until_us = to_micros(window.since), to_micros(window.until)
    return and_(table.c.source == window.source, arrived_us >= since_us, arrived_us < until_us)
