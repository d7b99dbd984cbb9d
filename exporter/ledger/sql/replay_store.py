"""What a replay needs of a ledger in a database; `exporter.ledger.replay_store` has the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, select, tuple_, update

from exporter.domain.events import QuarantinedBody
from exporter.ledger.contract import AcceptedEvent, TestCallReceived
from exporter.ledger.instants import to_micros
from exporter.ledger.replay_store import PAGE_SIZE
from exporter.ledger.rows import EVENT_COLUMNS, columns_from_rows, event_row, events_from_columns
from exporter.ledger.schema import events, metadata_table, quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from exporter.domain.events import Event
    from exporter.ledger.contract import Entry
    from exporter.ledger.replay_store import ArrivalPosition
    from exporter.ledger.sql.database import Database

REPLAY_GENERATION = "replay_generation"
REPLAY_IN_PROGRESS = "replay_in_progress"
"""The fact that a replay amended events and has not raised the replay generation yet."""

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
        query = select(*EVENT_COLUMNS, events.c.body).where(
            events.c.source == source, position > (after.arrived_us, after.sequence)
        )
        rows = self._database.rows(query.order_by(events.c.arrived_us, events.c.sequence).limit(limit))
        page = events_from_columns(columns_from_rows([row[:-1] for row in rows]))
        return [AcceptedEvent(event, bytes(row.body)) for event, row in zip(page, rows, strict=True)]

    def newest_before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        """A source's newest events before an instant."""
        query = select(*EVENT_COLUMNS).where(events.c.source == source, events.c.arrived_us < to_micros(arrived_at))
        order = (events.c.arrived_us.desc(), events.c.sequence.desc())
        rows = self._database.rows(query.order_by(*order).limit(limit))
        return events_from_columns(columns_from_rows(rows))[::-1]

    def count_events(self, source: str) -> int:
        """The number of a source's events."""
        rows = self._database.rows(select(func.count()).select_from(events).where(events.c.source == source))
        return int(rows[0][0])

    def resolve_quarantined(self, pairs: Sequence[tuple[QuarantinedBody, Entry]]) -> list[bool | None]:
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
            for old, new in present:
                if isinstance(new, QuarantinedBody) and (old.reason, old.detail) != (new.reason, new.detail):
                    row = update(quarantine).where(quarantine.c.sequence == old.sequence)
                    connection.execute(row.values(reason=new.reason, detail=new.detail))
        outcomes: dict[int, bool] = dict(zip(resolved, inserted, strict=True))
        return [outcomes.get(old.sequence, False) if old.sequence in still_quarantined else None for old, _ in pairs]

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
            stored_metadata = {row.name: row.value for row in connection.execute(select(metadata_table))}
            if values:
                connection.execute(statement, values)
            if last and (values or REPLAY_IN_PROGRESS in stored_metadata):
                connection.execute(
                    delete(metadata_table).where(metadata_table.c.name.in_([REPLAY_GENERATION, REPLAY_IN_PROGRESS]))
                )
                number = int(stored_metadata.get(REPLAY_GENERATION, "0")) + 1
                connection.execute(metadata_table.insert(), [{"name": REPLAY_GENERATION, "value": str(number)}])
            elif values and REPLAY_IN_PROGRESS not in stored_metadata:
                connection.execute(metadata_table.insert(), [{"name": REPLAY_IN_PROGRESS, "value": "yes"}])
