"""A `exporter.ledger.body_store.BodyStore` in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select

from exporter.domain.events import RefusedBody
from exporter.ledger.body_store import MAX_REFUSED, QuarantineGroup
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import epochs, quarantine, refused_bodies
from exporter.ledger.sql.checked_writes import insert_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Table

    from exporter.ledger.body_store import BodySelection
    from exporter.ledger.sql.database import Database

OPERATION = "bodies"
"""The name of the transactions in the metrics."""


class SqlBodyStore:
    """The bodies in a database that became no event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def quarantine_groups(self) -> list[QuarantineGroup]:
        """The quarantined bodies by source and reason."""
        table, arrived_us = quarantine.c, quarantine.c.arrived_us + epochs.c.offset_us
        query = (
            select(
                table.source,
                table.reason,
                func.count().label("number"),
                func.min(arrived_us).label("first_us"),
                func.max(arrived_us).label("last_us"),
            )
            .join(epochs, epochs.c.id == table.epoch)
            .group_by(table.source, table.reason)
        )
        groups = [
            QuarantineGroup(row.source, row.reason, row.number, from_micros(row.first_us), from_micros(row.last_us))
            for row in self._database.rows(query)
        ]
        return sorted(groups, key=lambda group: (-group.last_arrived_at, group.source, group.reason))

    def add_refused(self, bodies: Sequence[RefusedBody]) -> None:
        """Add refused bodies, and remove the oldest ones."""
        rows = [
            {
                "source": body.source,
                "arrived_us": to_micros(body.arrived_at),
                "status": body.status,
                "detail": body.detail,
                "size": body.size,
                "body": body.body,
            }
            for body in bodies
        ]
        table = refused_bodies.c
        with self._database.writing(OPERATION) as connection:
            insert_rows(connection, insert(refused_bodies), rows)
            for source in sorted({body.source for body in bodies}):
                newest = select(table.sequence).where(table.source == source).order_by(table.sequence.desc())
                oldest_kept = newest.limit(1).offset(MAX_REFUSED - 1).scalar_subquery()
                connection.execute(delete(refused_bodies).where(table.source == source, table.sequence < oldest_kept))

    def refused(
        self, limit: int = MAX_REFUSED, source: str | None = None, before: int | None = None
    ) -> list[RefusedBody]:
        """Refused bodies, newest first."""
        query = select(refused_bodies).order_by(refused_bodies.c.sequence.desc()).limit(limit)
        if source is not None:
            query = query.where(refused_bodies.c.source == source)
        if before is not None:
            query = query.where(refused_bodies.c.sequence < before)
        return [
            RefusedBody(
                source=row.source,
                arrived_at=from_micros(row.arrived_us),
                status=row.status,
                detail=row.detail,
                size=row.size,
                body=bytes(row.body),
                sequence=row.sequence,
            )
            for row in self._database.rows(query)
        ]

    def prune_refused(self, before: float, limit: int) -> int:
        """Remove refused bodies that arrived before an instant."""
        table = refused_bodies.c
        old = select(table.sequence).where(table.arrived_us < to_micros(before)).order_by(table.sequence).limit(limit)
        sequences = [row.sequence for row in self._database.rows(old)]
        if sequences:
            with self._database.writing("prune") as connection:
                connection.execute(delete(refused_bodies).where(table.sequence.in_(sequences)))
        return len(sequences)

    def count(self, selection: BodySelection) -> int:
        """The number of selected bodies."""
        table, conditions = _selected(selection)
        return int(self._database.rows(select(func.count()).select_from(table).where(*conditions))[0][0])

    def delete(self, selection: BodySelection) -> int:
        """Remove the selected bodies for good."""
        table, conditions = _selected(selection)
        with self._database.writing(OPERATION) as connection:
            return connection.execute(delete(table).where(*conditions)).rowcount


def _selected(selection: BodySelection) -> tuple[Table, list[ColumnElement[Any]]]:
    table = refused_bodies if selection.refused else quarantine
    conditions: list[ColumnElement[Any]] = []
    if selection.sequences is not None:
        conditions.append(table.c.sequence.in_(selection.sequences))
    if selection.source is not None:
        conditions.append(table.c.source == selection.source)
    if selection.reason is not None:
        conditions.append(table.c.reason == selection.reason)
    return table, conditions
