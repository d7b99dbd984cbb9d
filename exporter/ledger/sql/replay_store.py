"""The bodies of a ledger in a database; see `exporter.ledger.replay_store`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, select, tuple_, update

from exporter.domain.events import Quarantined
from exporter.ledger.contract import Received, TestCalled
from exporter.ledger.replay_store import PAGE
from exporter.ledger.rows import EVENT_COLUMNS, columns_of, events_of, micros, row_of
from exporter.ledger.schema import events, facts, quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from exporter.domain.events import Event
    from exporter.ledger.contract import Entry
    from exporter.ledger.replay_store import Place
    from exporter.ledger.sql.database import Database

EPOCH = "epoch"
AMENDING = "amending"
"""The fact that some events were amended, and readers not yet told."""

_AMENDED = ("request_id", "partner", "data_type", "status", "frequency", "group_key", "local_seconds")
_AMENDED_TIMES = ("occurred_us", "utc_offset", "skewed")


class SqlArchive:
    """A `exporter.ledger.replay_store.Archive` in a database.

    Args:
        database: open.
        append: keeps entries within a transaction; for each whether it was new.
    """

    def __init__(self, database: Database, append: Callable[[Connection, list[Entry]], list[bool]]) -> None:
        self._database = database
        self._append = append

    def received(self, source: str, after: Place, limit: int = PAGE) -> list[Received]:
        """A source's events with their bodies."""
        place = tuple_(events.c.arrived_us, events.c.sequence)
        query = select(*EVENT_COLUMNS, events.c.body).where(
            events.c.source == source, place > (after.arrived_us, after.sequence)
        )
        rows = self._database.rows(query.order_by(events.c.arrived_us, events.c.sequence).limit(limit))
        found = events_of(columns_of([row[:-1] for row in rows]))
        return [Received(event, bytes(row.body)) for event, row in zip(found, rows, strict=True)]

    def before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        """A source's newest events before an instant."""
        query = select(*EVENT_COLUMNS).where(events.c.source == source, events.c.arrived_us < micros(arrived_at))
        order = (events.c.arrived_us.desc(), events.c.sequence.desc())
        rows = self._database.rows(query.order_by(*order).limit(limit))
        return events_of(columns_of(rows))[::-1]

    def count(self, source: str) -> int:
        """How many events a source has."""
        found = self._database.rows(select(func.count()).select_from(events).where(events.c.source == source))
        return int(found[0][0])

    def resolve(self, pairs: Sequence[tuple[Quarantined, Entry]]) -> list[bool | None]:
        """Let each quarantined body be what it is understood as now."""
        with self._database.writing("replay") as connection:
            wanted = [old.sequence for old, _ in pairs]
            query = select(quarantine.c.sequence).where(quarantine.c.sequence.in_(wanted))
            there = set(connection.execute(query).scalars())
            present = [(old, new) for old, new in pairs if old.sequence in there]
            understood = [(old, new) for old, new in present if isinstance(new, (Received, TestCalled))]
            fresh = self._append(connection, [new for _, new in understood]) if understood else []
            gone = [old.sequence for old, _ in understood]
            connection.execute(delete(quarantine).where(quarantine.c.sequence.in_(gone)))
            for old, new in present:
                if isinstance(new, Quarantined) and (old.reason, old.detail) != (new.reason, new.detail):
                    row = update(quarantine).where(quarantine.c.sequence == old.sequence)
                    connection.execute(row.values(reason=new.reason, detail=new.detail))
        answers: dict[int, bool] = dict(zip(gone, fresh, strict=True))
        return [answers.get(old.sequence, False) if old.sequence in there else None for old, _ in pairs]

    def amend(self, changed: Sequence[Event], *, last: bool) -> None:
        """Let stored events mean what these say."""
        names = [column.name for column in events.c if column.name not in {"sequence", "body"}]
        rows = [dict(zip(names, row_of(each), strict=False)) for each in changed]
        values = [
            {f"new_{name}": row[name] for name in (*_AMENDED, *_AMENDED_TIMES)} | {"at": each.sequence}
            for row, each in zip(rows, changed, strict=True)
        ]
        statement = update(events).where(events.c.sequence == bindparam("at"))
        statement = statement.values({name: bindparam(f"new_{name}") for name in (*_AMENDED, *_AMENDED_TIMES)})
        with self._database.writing("replay") as connection:
            known = {row.name: row.value for row in connection.execute(select(facts))}
            if values:
                connection.execute(statement, values)
            if last and (values or AMENDING in known):
                connection.execute(delete(facts).where(facts.c.name.in_([EPOCH, AMENDING])))
                number = int(known.get(EPOCH, "0")) + 1
                connection.execute(facts.insert(), [{"name": EPOCH, "value": str(number)}])
            elif values and AMENDING not in known:
                connection.execute(facts.insert(), [{"name": AMENDING, "value": "yes"}])
