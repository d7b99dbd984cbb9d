"""The ledger in SQLite or PostgreSQL, by URL; see `exporter.ledger` for what it guarantees."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from exporter.event_time import naive_timestamp
from exporter.group_commit import GroupCommit
from exporter.ledger import PAGE, Received
from exporter.model import Event, Gap, Quarantined, Tally
from exporter.sql_database import Database
from exporter.sql_schema import declarations, events, quarantine, tallies, watches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from sqlalchemy import Connection, Row, Select, Table

    from exporter.ledger import Entry
    from exporter.model import Selection
    from exporter.sql_database import Observer

BLIND_AFTER = 30.0
"""Seconds between two heartbeats from which nobody is taken to have listened."""

_MOST_IN_A_QUERY = 500
_FEW = 200
"""A page where the caller will hardly want more."""

_EVENT_COLUMNS = [column for column in events.c if column.name not in {"body", "group_key"}]


class SqlLedger:
    """A `exporter.ledger.Ledger` in a database.

    Args:
        url: ``sqlite:///path`` as SQLAlchemy writes it.
        observe: told of every operation: its name, how many seconds it took, whether it failed.

    Raises:
        StoreRefusedError: it cannot be opened, or a newer release wrote it.
    """

    def __init__(self, url: str, observe: Observer = lambda *_: None) -> None:
        self._database = Database(url, observe)
        self._began: dict[str, tuple[float, float]] = {}
        self._commits = GroupCommit(self._commit)

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Keep all of ``entries``, and come back when they are on disk."""
        return self.submit(entries).result()

    def submit(self, entries: Sequence[Entry]) -> Future[list[bool]]:
        """Keep all of ``entries`` soon; what waits at the same time shares a commit."""
        return self._commits.submit(list(entries))

    def _commit(self, entries: list[Entry]) -> list[bool]:
        with self._database.writing("append") as connection:
            fresh_events = self._insert_new(connection, events, map(_event_row, _of(entries, Received)))
            fresh_quarantined = self._insert_new(
                connection, quarantine, map(_quarantine_row, _of(entries, Quarantined))
            )
            fresh = [_was_new(entry, fresh_events, fresh_quarantined) for entry in entries]
            self._count(connection, entries, fresh)
        return fresh

    def read(self, after: int, limit: int = PAGE) -> list[Event]:
        """Events past a sequence."""
        query = select(*_EVENT_COLUMNS).where(events.c.sequence > after)
        return self._events(query.order_by(events.c.sequence).limit(limit))

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The events of a selection up to a sequence."""
        query = _selected(selection)
        after = 0
        while True:
            part = query.where(events.c.sequence > after, events.c.sequence <= upto)
            page = self._events(part.order_by(events.c.sequence).limit(PAGE))
            yield from (event for event in page if selection.fits(event))
            if len(page) < PAGE:
                return
            after = page[-1].sequence

    def of_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        """The events of many request ids up to a sequence."""
        query = select(*_EVENT_COLUMNS).where(events.c.source == source, events.c.sequence <= upto)
        wanted = sorted(request_ids)
        parts = [wanted[at : at + _MOST_IN_A_QUERY] for at in range(0, len(wanted), _MOST_IN_A_QUERY)]
        return [event for some in parts for event in self._events(query.where(events.c.request_id.in_(some)))]

    def recent(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The same, the last one first."""
        query = _selected(selection).order_by(events.c.sequence.desc()).limit(_FEW)
        while page := self._events(query.where(events.c.sequence <= upto)):
            yield from (event for event in page if selection.fits(event))
            upto = page[-1].sequence - 1

    def newest(self, source: str | None = None, limit: int = 100, after: int | None = None) -> list[Event]:
        """The events that arrived last, or those past a sequence."""
        query = select(*_EVENT_COLUMNS)
        if source is not None:
            query = query.where(events.c.source == source)
        if after is not None:
            return self._events(query.where(events.c.sequence > after).order_by(events.c.sequence).limit(limit))
        return self._events(query.order_by(events.c.arrived_us.desc(), events.c.sequence.desc()).limit(limit))

    def body(self, sequence: int) -> bytes | None:
        """The body of an event."""
        rows = self._database.rows(select(events.c.body).where(events.c.sequence == sequence))
        return bytes(rows[0].body) if rows else None

    def quarantine(self, limit: int = 100, source: str | None = None, after: int | None = None) -> list[Quarantined]:
        """What was not understood."""
        at = quarantine.c.sequence
        query = select(quarantine).order_by(at.desc() if after is None else at).limit(limit)
        if source is not None:
            query = query.where(quarantine.c.source == source)
        if after is not None:
            query = query.where(at > after)
        rows = self._database.rows(query)
        return [
            Quarantined(
                source=row.source,
                arrived_at=row.arrived_us / 1e6,
                reason=row.reason,
                detail=row.detail,
                body=bytes(row.body),
                digest=bytes(row.digest),
                sequence=row.sequence,
            )
            for row in rows
        ]

    def tallies(self) -> list[Tally]:
        """What is counted and not kept as an event."""
        rows = self._database.rows(select(tallies).order_by(tallies.c.source, tallies.c.kind, tallies.c.label))
        return [Tally(row.source, row.kind, row.label, row.total, row.last_us / 1e6) for row in rows]

    def declare(self, exports: Iterable[tuple[str, str]], now: float) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared."""
        rows = [{"source": source, "name": name, "declared_us": _micros(now)} for source, name in exports]
        if rows:
            with self._database.writing("declare") as connection:
                connection.execute(self._database.insert(declarations).on_conflict_do_nothing(), rows)
        return self.declared()

    def declared(self) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared."""
        rows = self._database.rows(select(declarations))
        return {(row.source, row.name): row.declared_us / 1e6 for row in rows}

    def beat(self, watch: str, now: float) -> None:
        """Note that ``watch`` is there; after a time away it begins anew."""
        began, seen = self._began.get(watch, (now, now))
        if now - seen > BLIND_AFTER:
            began = now
        row = {"watch": watch, "began_us": _micros(began), "seen_us": _micros(now)}
        insert = self._database.insert(watches)
        upsert = insert.on_conflict_do_update(
            index_elements=["watch", "began_us"], set_={"seen_us": insert.excluded.seen_us}
        )
        with self._database.writing("heartbeat") as connection:
            connection.execute(upsert, [row])
        self._began[watch] = (began, now)

    def gaps(self) -> list[Gap]:
        """When nobody listened."""
        gaps: list[Gap] = []
        seen: int | None = None
        for row in self._database.rows(select(watches.c.began_us, watches.c.seen_us).order_by(watches.c.began_us)):
            if seen is not None and row.began_us - seen > BLIND_AFTER * 1e6:
                gaps.append(Gap(seen / 1e6, row.began_us / 1e6))
            seen = max(seen or 0, row.seen_us)
        return gaps

    def last_sequence(self) -> int:
        """The sequence of the newest event."""
        return int(self._database.rows(select(func.coalesce(func.max(events.c.sequence), 0)))[0][0])

    def close(self) -> None:
        """Commit what was submitted, and close all connections."""
        self._commits.close()
        self._database.close()

    def _insert_new(
        self, connection: Connection, table: Table, rows: Iterable[dict[str, object]]
    ) -> Counter[tuple[object, object]]:
        """Insert what is not there yet; which (source, digest) pairs were new, each once."""
        given = list(rows)
        if not given:
            return Counter()
        insert = self._database.insert(table).on_conflict_do_nothing(index_elements=["source", "digest"])
        found = connection.execute(insert.returning(table.c.source, table.c.digest), given)
        return Counter((row.source, bytes(row.digest)) for row in found)

    def _count(self, connection: Connection, entries: list[Entry], fresh: list[bool]) -> None:
        counts: Counter[tuple[str, str, str]] = Counter()
        last: dict[tuple[str, str, str], float] = {}
        for entry, new in zip(entries, fresh, strict=True):
            key = _tally_key(entry, new=new)
            if key is not None:
                counts[key] += 1
                last[key] = max(last.get(key, 0), _arrived_at(entry))
        if not counts:
            return
        insert = self._database.insert(tallies)
        later = insert.excluded.last_us
        upsert = insert.on_conflict_do_update(
            index_elements=["source", "kind", "label"],
            set_={
                "total": tallies.c.total + insert.excluded.total,
                "last_us": func.max(tallies.c.last_us, later)
                if self._database.is_sqlite
                else func.greatest(tallies.c.last_us, later),
            },
        )
        rows = [
            {
                "source": source,
                "kind": kind,
                "label": label,
                "total": count,
                "last_us": _micros(last[source, kind, label]),
            }
            for (source, kind, label), count in sorted(counts.items())
        ]
        connection.execute(upsert, rows)

    def _events(self, query: Select[Any]) -> list[Event]:
        return [_event(row) for row in self._database.rows(query)]


def _selected(selection: Selection) -> Select[Any]:
    query = select(*_EVENT_COLUMNS).where(events.c.source == selection.source)
    if selection.request_id is not None:
        query = query.where(events.c.request_id == selection.request_id)
    if selection.group_key is not None:
        query = query.where(events.c.group_key == selection.group_key)
    return query


def _of(entries: Iterable[Entry], kind: type) -> list[Any]:
    return [entry for entry in entries if isinstance(entry, kind)]


def _was_new(
    entry: Entry, fresh_events: Counter[tuple[object, object]], fresh_quarantined: Counter[tuple[object, object]]
) -> bool:
    """Whether an entry is the one of its batch that was inserted; the first of equals is."""
    if isinstance(entry, Received):
        key, fresh = (entry.event.source, entry.event.digest), fresh_events
    elif isinstance(entry, Quarantined):
        key, fresh = (entry.source, entry.digest), fresh_quarantined
    else:
        return True
    return fresh.pop(key, 0) > 0


def _tally_key(entry: Entry, *, new: bool) -> tuple[str, str, str] | None:
    if isinstance(entry, Received):
        return None if new else (entry.event.source, "duplicate", "")
    if isinstance(entry, Quarantined):
        return (entry.source, "quarantined", entry.reason) if new else (entry.source, "duplicate", "")
    return entry.source, "test_call", ""


def _arrived_at(entry: Entry) -> float:
    return entry.event.arrived_at if isinstance(entry, Received) else entry.arrived_at


def _event_row(received: Received) -> dict[str, object]:
    event = received.event
    return {
        "source": event.source,
        "digest": event.digest,
        "request_id": event.request_id,
        "partner": event.partner,
        "data_type": event.data_type,
        "status": event.status,
        "frequency": event.frequency,
        "group_key": event.group_key,
        "local_seconds": int(naive_timestamp(event.local_time)),
        "arrived_us": _micros(event.arrived_at),
        "occurred_us": _micros(event.occurred_at),
        "utc_offset": event.utc_offset,
        "skewed": event.skewed,
        "body": received.body,
    }


def _quarantine_row(entry: Quarantined) -> dict[str, object]:
    return {
        "source": entry.source,
        "digest": entry.digest,
        "arrived_us": _micros(entry.arrived_at),
        "reason": entry.reason,
        "detail": entry.detail,
        "body": entry.body,
    }


def _event(row: Row[Any]) -> Event:
    return Event(
        source=row.source,
        request_id=row.request_id,
        partner=row.partner,
        data_type=row.data_type,
        status=row.status,
        frequency=row.frequency,
        local_time=datetime.fromtimestamp(row.local_seconds, UTC).replace(tzinfo=None),
        digest=bytes(row.digest),
        arrived_at=row.arrived_us / 1e6,
        occurred_at=row.occurred_us / 1e6,
        utc_offset=row.utc_offset,
        skewed=row.skewed,
        sequence=row.sequence,
    )


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
