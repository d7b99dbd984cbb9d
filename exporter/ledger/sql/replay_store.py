"""What a replay needs of a ledger in a database; `exporter.ledger.replay_store` has the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, select, tuple_, update

from exporter.domain.epochs import Epoch
from exporter.domain.events import QuarantinedBody
from exporter.ledger.contract import AcceptedEvent, TestCallReceived
from exporter.ledger.instants import to_micros
from exporter.ledger.replay_store import PAGE_SIZE
from exporter.ledger.rows import EVENT_COLUMNS, columns_from_rows, event_row, events_from_columns
from exporter.ledger.schema import delivery_counters, epochs, events, metadata_table, quarantine
from exporter.ledger.sql.epoch_queries import raise_replay_generation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from exporter.domain.events import Event
    from exporter.ledger.contract import Entry
    from exporter.ledger.replay_store import ArrivalPosition
    from exporter.ledger.sql.database import Database

ARRIVALS_PER_TRANSACTION = 10_000
"""How many events one transaction looks at to date their arrivals again, so that no webhook waits for long."""
REPLAY_IN_PROGRESS = "replay_in_progress"
"""The fact that a replay or a purge changed the events and has not raised the replay generation yet."""

_AMENDED_COLUMNS = ("request_id", "partner", "data_type", "status", "frequency", "group_key", "local_seconds")
_AMENDED_TIME_COLUMNS = ("occurred_us", "utc_offset", "skewed", "offset_in_text")


class SqlReplayStore:
    """A `exporter.ledger.replay_store.ReplayStore` in a database.

    Args:
        database: open.
        append: stores entries within a transaction; returns for each whether it was new.
    """

    def __init__(self, database: Database, append: Callable[[Connection, list[Entry]], list[bool]]) -> None:
        self._database = database
        self._append = append

    def read_with_bodies(self, source: str, after: ArrivalPosition, limit: int = PAGE_SIZE) -> list[AcceptedEvent]:
        """A source's events with their bodies."""
        position = tuple_(events.c.arrived_us, events.c.sequence)
        query = select(*EVENT_COLUMNS, events.c.body, events.c.epoch, events.c.arrived_us, events.c.clock_us).where(
            events.c.source == source, position > (after.arrived_us, after.sequence)
        )
        rows = self._database.rows(query.order_by(events.c.arrived_us, events.c.sequence).limit(limit))
        page = events_from_columns(columns_from_rows([row[: len(EVENT_COLUMNS)] for row in rows]))
        return [
            AcceptedEvent(event, bytes(row.body), Epoch(row.epoch, row.arrived_us - row.clock_us))
            for event, row in zip(page, rows, strict=True)
        ]

    def newest_before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        """A source's newest events before an instant."""
        query = select(*EVENT_COLUMNS).where(events.c.source == source, events.c.arrived_us < to_micros(arrived_at))
        order = (events.c.arrived_us.desc(), events.c.sequence.desc())
        rows = self._database.rows(query.order_by(*order).limit(limit))
        return events_from_columns(columns_from_rows(rows))[::-1]

    def newest_in_epoch(self, source: str, epoch: int, limit: int) -> list[tuple[Event, int]]:
        """The newest events of a source in an epoch, with their arrivals on its clock."""
        last = select(func.max(events.c.sequence)).scalar_subquery()
        query = select(*EVENT_COLUMNS, events.c.clock_us).where(
            events.c.sequence > last - ARRIVALS_PER_TRANSACTION, events.c.source == source, events.c.epoch == epoch
        )
        rows = self._database.rows(query.order_by(events.c.sequence.desc()).limit(limit))
        page = events_from_columns(columns_from_rows([row[: len(EVENT_COLUMNS)] for row in rows]))
        return [(event, row.clock_us) for event, row in zip(page, rows, strict=True)]

    def count_events(self, source: str) -> int:
        """The number of a source's events."""
        rows = self._database.rows(select(func.count()).select_from(events).where(events.c.source == source))
        return int(rows[0][0])

    def resolve_quarantined(
        self, pairs: Sequence[tuple[QuarantinedBody, Entry]], *, uncount: bool = False
    ) -> list[bool | None]:
        """Replace quarantined bodies by what the parser makes of them now."""
        with self._database.writing("replay") as connection:
            sequences = [old.sequence for old, _ in pairs]
            query = select(quarantine.c.sequence).where(quarantine.c.sequence.in_(sequences))
            still_quarantined = set(connection.execute(query).scalars())
            present = [(old, new) for old, new in pairs if old.sequence in still_quarantined]
            parsed = [(old, new) for old, new in present if isinstance(new, (AcceptedEvent, TestCallReceived))]
            inserted = self._append(connection, [new for _, new in parsed]) if parsed else []
            resolved = [old.sequence for old, _ in parsed]
            connection.execute(delete(quarantine).where(quarantine.c.sequence.in_(resolved)))
            if uncount:
                for old, _ in parsed:
                    self._uncount(connection, old)
            for old, new in present:
                if isinstance(new, QuarantinedBody) and (old.reason, old.detail) != (new.reason, new.detail):
                    row = update(quarantine).where(quarantine.c.sequence == old.sequence)
                    connection.execute(row.values(reason=new.reason, detail=new.detail))
        outcomes: dict[int, bool] = dict(zip(resolved, inserted, strict=True))
        return [outcomes.get(old.sequence, False) if old.sequence in still_quarantined else None for old, _ in pairs]

    def move_arrivals(self, epoch: int, offset_us: int, after: int) -> tuple[int, int]:
        """Date the arrivals of the next events of an epoch by another offset."""
        last = int(self._database.rows(select(func.coalesce(func.max(events.c.sequence), 0)))[0][0])
        upto = min(after + ARRIVALS_PER_TRANSACTION, last)
        arrived_us = events.c.clock_us + offset_us
        in_page = events.c.sequence.between(after + 1, upto)
        with self._database.writing("replay") as connection:
            moved = connection.execute(
                update(events)
                .where(in_page, events.c.epoch == epoch, events.c.arrived_us != arrived_us)
                .values(arrived_us=arrived_us)
            ).rowcount
            if moved:
                mark_in_progress(self._database, connection)
        return moved, upto if upto < last else 0

    def finish_dating(self, epoch: int, offset_us: int) -> None:
        """Record that all events of an epoch are dated by an offset."""
        with self._database.writing("replay") as connection:
            connection.execute(update(epochs).where(epochs.c.id == epoch).values(dated_us=offset_us))

    def _uncount(self, connection: Connection, body: QuarantinedBody) -> None:
        """Count a quarantined body as if it had never been quarantined."""
        counter = delivery_counters.c
        key = (
            counter.source == body.source,
            counter.kind == "quarantined",
            counter.reason == body.reason,
            counter.epoch == body.epoch.id,
        )
        connection.execute(update(delivery_counters).where(*key).values(total=counter.total - 1))
        connection.execute(delete(delivery_counters).where(*key, counter.total <= 0))

    def amend(self, changed: Sequence[Event], *, last: bool) -> None:
        """Overwrite stored events with these, which have the same sequences."""
        names = [column.name for column in events.c if column.name not in {"sequence", "body"}]
        rows = [dict(zip(names, event_row(event), strict=False)) for event in changed]
        values = [
            {f"new_{name}": row[name] for name in (*_AMENDED_COLUMNS, *_AMENDED_TIME_COLUMNS)} | {"at": event.sequence}
            for row, event in zip(rows, changed, strict=True)
        ]
        statement = update(events).where(events.c.sequence == bindparam("at"))
        statement = statement.values(
            {name: bindparam(f"new_{name}") for name in (*_AMENDED_COLUMNS, *_AMENDED_TIME_COLUMNS)}
        )
        with self._database.writing("replay") as connection:
            if values:
                connection.execute(statement, values)
                mark_in_progress(self._database, connection)
            if last:
                unmark = delete(metadata_table).where(metadata_table.c.name == REPLAY_IN_PROGRESS)
                if connection.execute(unmark).rowcount:
                    raise_replay_generation(connection)


def mark_in_progress(database: Database, connection: Connection) -> None:
    """Record that the last call of `SqlReplayStore.amend` has to raise the replay generation."""
    insert = database.insert(metadata_table).on_conflict_do_nothing()
    connection.execute(insert, [{"name": REPLAY_IN_PROGRESS, "value": "yes"}])
