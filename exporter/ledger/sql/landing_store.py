"""A `exporter.ledger.landing_store.LandingStore` in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from exporter.domain.landing import LandingCheck, RunKey
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.landing_store import LEASE_SECONDS
from exporter.ledger.schema import epochs, landing_checks, leases
from exporter.ledger.sql.checked_writes import change_rows, insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Row

    from exporter.domain.epochs import Epoch
    from exporter.ledger.sql.database import Database

OPERATION = "landing"
"""The name of the transactions in the metrics."""
LEASE = "landing"

_CHECKED_US = landing_checks.c.checked_us + epochs.c.offset_us
_CHECKS = (
    select(landing_checks, epochs.c.offset_us)
    .join(epochs, epochs.c.id == landing_checks.c.epoch)
    .order_by(landing_checks.c.sequence)
)
_NEWEST = select(func.max(landing_checks.c.sequence)).group_by(landing_checks.c.export_id, landing_checks.c.result)


class SqlLandingStore:
    """The checks in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, check: LandingCheck, epoch: Epoch) -> None:
        """Append a check."""
        table = landing_checks.c
        with self._database.writing(OPERATION) as connection:
            previous = select(func.max(table.total)).where(
                table.export_id == check.export_id, table.result == check.result
            )
            row = {
                "source": check.source,
                "export_id": check.export_id,
                "completed_us": to_micros(check.run.completed_at),
                "started_us": to_micros(check.run.started_at),
                "due_us": to_micros(check.due_at),
                "checked_us": to_micros(check.checked_at) - epoch.offset_us,
                "result": check.result,
                "objects": check.objects,
                "size": check.size,
                "newest_us": to_micros(check.newest),
                "detail": check.detail,
                "total": (connection.execute(previous).scalar() or 0) + 1,
                "epoch": epoch.id,
            }
            insert_rows(connection, insert(landing_checks), [row])

    def read_newest(self, limit: int) -> list[LandingCheck]:
        """The newest checks of each export."""
        table = landing_checks.c
        place = func.row_number().over(partition_by=table.export_id, order_by=table.sequence.desc())
        numbered = select(table.sequence, place.label("place")).subquery()
        newest = select(numbered.c.sequence).where(numbered.c.place <= limit)
        return _checks(self._database.rows(_CHECKS.where(table.sequence.in_(newest) | table.sequence.in_(_NEWEST))))

    def read(self, after: int) -> list[LandingCheck]:
        """The checks after a sequence."""
        return _checks(self._database.rows(_CHECKS.where(landing_checks.c.sequence > after)))

    def lease(self, instance_id: str, now: float, epoch: Epoch) -> bool:
        """Take or renew the lease."""
        row = {
            "name": LEASE,
            "owner_instance_id": instance_id,
            "renewed_us": to_micros(now) - epoch.offset_us,
            "epoch": epoch.id,
        }
        held = select(leases, epochs.c.offset_us).join(epochs, epochs.c.id == leases.c.epoch)
        held = held.where(leases.c.name == LEASE)
        with self._database.writing(OPERATION) as connection:
            connection.execute(self._database.insert(leases).on_conflict_do_nothing(), [row])
            current = connection.execute(held.with_for_update(of=leases)).one()
            age = now - from_micros(current.renewed_us + current.offset_us)
            # A renewal in the future comes from a clock that was wrong.
            if current.owner_instance_id != instance_id and abs(age) < LEASE_SECONDS:
                return False
            change_rows(connection, update(leases).where(leases.c.name == LEASE).values(row), 1)
            return True

    def prune(self, before: float, limit: int) -> int:
        """Remove old checks."""
        table = landing_checks.c
        old = (
            select(table.sequence)
            .join(epochs, epochs.c.id == table.epoch)
            .where(to_micros(before) > _CHECKED_US, table.sequence.not_in(_NEWEST))
            .order_by(table.sequence)
            .limit(limit)
        )
        sequences = [row.sequence for row in self._database.rows(old)]
        if sequences:
            with self._database.writing("prune") as connection:
                connection.execute(delete(landing_checks).where(table.sequence.in_(sequences)))
        return len(sequences)


def _checks(rows: Iterable[Row[Any]]) -> list[LandingCheck]:
    return [
        LandingCheck(
            source=row.source,
            export_id=row.export_id,
            run=RunKey(from_micros(row.completed_us), from_micros(row.started_us)),
            due_at=from_micros(row.due_us),
            checked_at=from_micros(row.checked_us + row.offset_us),
            result=row.result,
            objects=row.objects,
            size=row.size,
            newest=from_micros(row.newest_us),
            detail=row.detail,
            total=row.total,
            sequence=row.sequence,
        )
        for row in rows
    ]
