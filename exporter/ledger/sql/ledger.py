"""The ledger in SQLite or PostgreSQL; `exporter.ledger.contract` has its guarantees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from exporter.domain.epochs import GIVEN, Epoch
from exporter.domain.events import DeliveryCounter, Outage, QuarantinedBody
from exporter.ledger.access import Access
from exporter.ledger.contract import HEARTBEAT_TIMEOUT, PAGE_SIZE
from exporter.ledger.group_commit import GroupCommit
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.postgres import append as postgres_append
from exporter.ledger.rows import EVENT_COLUMNS, Batch, refuse_ignored
from exporter.ledger.schema import (
    declared_exports,
    delivery_counters,
    epochs,
    events,
    heartbeats,
    metadata_table,
    quarantine,
)
from exporter.ledger.sql import decisions, declared_terms
from exporter.ledger.sql.backup_record import read_last_backup, record_backup
from exporter.ledger.sql.body_store import SqlBodyStore
from exporter.ledger.sql.checked_writes import change_rows, insert_rows
from exporter.ledger.sql.checkpoint_store import SqlCheckpointStore
from exporter.ledger.sql.database import Database
from exporter.ledger.sql.epoch_queries import (
    REPLAY_GENERATION,
    begin_epoch,
    correct_epochs,
    read_epochs,
    reference_time,
)
from exporter.ledger.sql.event_queries import fetch_events, read_page
from exporter.ledger.sql.landing_store import SqlLandingStore
from exporter.ledger.sql.postgres_lookup import PostgresLookup
from exporter.ledger.sql.purge_store import SqlPurgeStore
from exporter.ledger.sql.replay_store import SqlReplayStore
from exporter.ledger.sql.sqlite_lookup import SqliteLookup
from exporter.ledger.sqlite import append as sqlite_append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

    from sqlalchemy import Select
    from sqlalchemy.engine.interfaces import DBAPICursor

    from exporter.domain.decisions import Decision
    from exporter.domain.epochs import StoredEpoch
    from exporter.domain.events import Event
    from exporter.domain.exports import Selection
    from exporter.domain.terms import Terms, TermsChange
    from exporter.ledger.contract import Entry
    from exporter.ledger.sql.database import OperationObserver

_MAX_IDS_PER_QUERY = 500


def _sources() -> Select[Any]:
    """The sources that have events, by hops through an index; a DISTINCT would read all of it."""
    first = select(func.min(events.c.source).label("source")).cte("sources", recursive=True)
    following = select(func.min(events.c.source)).where(events.c.source > first.c.source).scalar_subquery()
    every = first.union_all(select(following).where(first.c.source.is_not(None)))
    return select(every.c.source).where(every.c.source.is_not(None))


_SOURCES = _sources()
_COUNTERS = (
    select(
        delivery_counters.c.source,
        delivery_counters.c.kind,
        delivery_counters.c.reason,
        func.sum(delivery_counters.c.total),
        func.max(delivery_counters.c.last_arrived_us + epochs.c.offset_us),
    )
    .join(epochs, epochs.c.id == delivery_counters.c.epoch)
    .group_by(delivery_counters.c.source, delivery_counters.c.kind, delivery_counters.c.reason)
)
_DECLARATIONS = select(
    declared_exports.c.source, declared_exports.c.name, declared_exports.c.first_declared_us + epochs.c.offset_us
).join(epochs, epochs.c.id == declared_exports.c.epoch)
_STARTED_US = heartbeats.c.started_us + epochs.c.offset_us
_HEARTBEATS = (
    select(_STARTED_US, heartbeats.c.last_seen_us + epochs.c.offset_us)
    .join(epochs, epochs.c.id == heartbeats.c.epoch)
    .order_by(_STARTED_US)
)
_REPLAY_GENERATION = select(metadata_table.c.value).where(metadata_table.c.name == REPLAY_GENERATION)
_LAST_SEQUENCE = select(func.coalesce(func.max(events.c.sequence), 0))


class SqlLedger:
    """A `exporter.ledger.contract.Ledger` in a database.

    Args:
        url: SQLAlchemy's URL, ``sqlite:///path`` or ``postgresql+psycopg://…``.
        observe: called after every operation with its name, its seconds, and whether it failed.
        driver: the DB-API module for a SQLite file; by default the one with the newest SQLite.
        unfinished: accept an unfinished copy.
        access: what it is opened for.

    Raises:
        StoreRefusedError: it cannot be opened, or another release wrote it.
    """

    def __init__(
        self,
        url: str,
        observe: OperationObserver = lambda *_: None,
        driver: ModuleType | None = None,
        *,
        unfinished: bool = False,
        access: Access = Access.CREATE,
    ) -> None:
        self._database = Database(url, observe, driver, unfinished=unfinished, access=access)
        self.checkpoints = SqlCheckpointStore(self._database)
        self.bodies = SqlBodyStore(self._database)
        self.landings = SqlLandingStore(self._database)
        self._lookup = (SqliteLookup if self._database.is_sqlite else PostgresLookup)(self._database)
        self._instances: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._commits = GroupCommit(self._commit)

    def submit(self, entries: Sequence[Entry]) -> Callable[[], list[bool]]:
        """Submit entries for the next commit."""
        return self._commits.submit(list(entries))

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Submit entries, and wait until they are on disk."""
        return self.submit(entries)()

    def _commit(self, entries: list[Entry]) -> list[bool]:
        batch = Batch(entries)
        if self._database.is_sqlite and sqlite_append.fits_one_statement(batch):
            with self._database.appending(begin=False) as cursor:
                if sqlite_append.append_in_one_statement(cursor, batch):
                    return [True] * len(entries)
        with self._database.appending() as cursor:
            return self._append(cursor, batch)

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        """Events after a sequence."""
        return read_page(self._database, after, limit)

    def select(self, selection: Selection, upto: int) -> Iterator[Event]:
        """The events of a selection up to a sequence."""
        return _matching(selection, self._lookup.forwards(selection, upto))

    def read_ids(self, source: str, request_ids: Iterable[str], upto: int) -> list[Event]:
        """The events of many request ids up to a sequence."""
        ids = sorted(request_ids)
        chunks = [ids[at : at + _MAX_IDS_PER_QUERY] for at in range(0, len(ids), _MAX_IDS_PER_QUERY)]
        return [event for chunk in chunks for event in self._lookup.read_ids(source, chunk, upto)]

    def select_newest_first(self, selection: Selection, upto: int) -> Iterator[Event]:
        """As `select`, newest first."""
        return _matching(selection, self._lookup.backwards(selection, upto))

    def newest(
        self, source: str | None = None, limit: int = 100, after: int | None = None, before: int | None = None
    ) -> list[Event]:
        """The latest arrivals, or the events after a sequence."""
        at, arrived_us = events.c.sequence, events.c.arrived_us
        if after is not None:
            query = select(*EVENT_COLUMNS).where(at > after)
            if source is not None:
                # The concatenation keeps the database from an index by source, whose rows it would have to sort.
                query = query.where(events.c.source.concat("") == source)
            return fetch_events(self._database, query.order_by(at).limit(limit))
        earlier = []
        if before is not None:
            rows = self._database.rows(select(arrived_us).where(at == before))
            if not rows:
                return []
            # The first condition is the second one without its "or", with which no index can be used.
            earlier = [arrived_us <= rows[0][0], (arrived_us < rows[0][0]) | (at < before)]
        sources = [source] if source is not None else self.event_sources()
        events_found: list[Event] = []
        for slug in sources:
            query = select(*EVENT_COLUMNS).where(events.c.source == slug, *earlier)
            events_found += fetch_events(self._database, query.order_by(arrived_us.desc(), at.desc()).limit(limit))
        return sorted(events_found, key=lambda event: (event.arrived_at, event.sequence), reverse=True)[:limit]

    def event_sources(self) -> list[str]:
        """The sources that have events."""
        return sorted(row.source for row in self._database.rows(_SOURCES))

    def body(self, sequence: int) -> bytes | None:
        """The body of an event."""
        rows = self._database.rows(select(events.c.body).where(events.c.sequence == sequence))
        return bytes(rows[0].body) if rows else None

    def quarantine(
        self,
        limit: int = 100,
        source: str | None = None,
        after: int | None = None,
        before: int | None = None,
        reason: str | None = None,
    ) -> list[QuarantinedBody]:
        """Quarantined bodies."""
        at = quarantine.c.sequence
        query = select(quarantine, epochs.c.offset_us).join(epochs, epochs.c.id == quarantine.c.epoch)
        query = query.order_by(at.desc() if after is None else at).limit(limit)
        if source is not None:
            query = query.where(quarantine.c.source == source)
        if reason is not None:
            query = query.where(quarantine.c.reason == reason)
        if after is not None:
            query = query.where(at > after)
        if before is not None:
            query = query.where(at < before)
        rows = self._database.rows(query)
        return [
            QuarantinedBody(
                source=row.source,
                arrived_at=from_micros(row.arrived_us + row.offset_us),
                reason=row.reason,
                detail=row.detail,
                body=bytes(row.body),
                digest=bytes(row.digest),
                sequence=row.sequence,
                epoch=Epoch(row.epoch, row.offset_us),
            )
            for row in rows
        ]

    def quarantine_counts(self) -> Mapping[str, int]:
        """The number of bodies in quarantine, by source."""
        query = select(quarantine.c.source, func.count().label("number")).group_by(quarantine.c.source)
        return {row.source: row.number for row in self._database.rows(query)}

    def delivery_counters(self) -> list[DeliveryCounter]:
        """The counters of deliveries that were not stored as events."""
        rows = sorted(self._database.cached_query(_COUNTERS))  # here, because a database may sort by locale
        return [
            DeliveryCounter(source, kind, reason, int(total), from_micros(last_arrived_us))
            for source, kind, reason, total, last_arrived_us in rows
        ]

    def record_declarations(
        self, exports: Iterable[tuple[str, str]], now: float, epoch: Epoch = GIVEN
    ) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared."""
        declared_us = to_micros(now) - epoch.offset_us
        rows = [
            {"source": source, "name": name, "first_declared_us": declared_us, "epoch": epoch.id}
            for source, name in exports
        ]
        if rows:
            with self._database.writing("declare") as connection:
                connection.execute(self._database.insert(declared_exports).on_conflict_do_nothing(), rows)
        times = self.declaration_times()
        refuse_ignored(sum((row["source"], row["name"]) in times for row in rows), len(rows))
        return times

    def declaration_times(self) -> Mapping[tuple[str, str], float]:
        """When each (source, name) was first declared."""
        rows = self._database.cached_query(_DECLARATIONS)
        return {(source, name): from_micros(declared) for source, name, declared in rows}

    def record_terms(self, terms: Mapping[tuple[str, str], Terms], now: float, epoch: Epoch = GIVEN) -> None:
        """Record the terms of declared exports."""
        declared_terms.record_terms(self._database, terms, now, epoch)

    def declared_terms(self) -> Mapping[tuple[str, str], Sequence[TermsChange]]:
        """When the terms of each export changed."""
        return declared_terms.read_terms(self._database)

    def record_heartbeat(self, instance_id: str, now: float, epoch: Epoch = GIVEN) -> None:
        """Record that an exporter is running; after `HEARTBEAT_TIMEOUT` without a heartbeat, in a new row."""
        insert = self._database.insert(heartbeats)
        upsert = insert.on_conflict_do_update(
            index_elements=["instance_id", "epoch", "started_us"], set_={"last_seen_us": insert.excluded.last_seen_us}
        )
        clock_us = to_micros(now) - epoch.offset_us
        with self._database.writing("heartbeat") as connection:
            # A database that replaced this one starts a new row.
            key = self.ledger_id(), instance_id, epoch.id
            started_us, last_seen_us = self._instances.get(key, (clock_us, clock_us))
            if clock_us - last_seen_us > to_micros(HEARTBEAT_TIMEOUT):
                started_us = clock_us
            row = {"instance_id": instance_id, "epoch": epoch.id, "started_us": started_us, "last_seen_us": clock_us}
            insert_rows(connection, upsert, [row])
            if epoch.id:
                change_rows(connection, update(epochs).where(epochs.c.id == epoch.id).values(last_us=clock_us), 1)
        self._instances[key] = (started_us, clock_us)

    def outages(self) -> list[Outage]:
        """The periods in which no exporter was running."""
        outages: list[Outage] = []
        newest_us: int | None = None
        for started_us, last_seen_us in self._database.cached_query(_HEARTBEATS):
            if newest_us is not None and started_us - newest_us > to_micros(HEARTBEAT_TIMEOUT):
                outages.append(Outage(from_micros(newest_us), from_micros(started_us)))
            newest_us = max(newest_us or 0, last_seen_us)
        return outages

    def record_backup(self, now: float, epoch: Epoch = GIVEN) -> None:
        """Record a backup that is complete."""
        record_backup(self._database, now, epoch)

    def last_backup(self) -> float:
        """When the newest recorded backup was complete."""
        return read_last_backup(self._database)

    def reference_time(self) -> float | None:
        """The server's time; None for SQLite."""
        return reference_time(self._database)

    def begin_epoch(self, boot_id: str, clock_us: int, offset_us: int, *, renew: bool = False) -> Epoch:
        """The newest epoch of a boot, or a new one."""
        return begin_epoch(self._database, boot_id, clock_us, offset_us, renew=renew)

    def epochs(self) -> list[StoredEpoch]:
        """All epochs but that of given instants."""
        return read_epochs(self._database)

    def correct_epochs(self, offsets: Mapping[int, int], *, measured: bool = False) -> None:
        """Give epochs other offsets."""
        correct_epochs(self._database, offsets, measured=measured)

    def append_decision(self, decision: Decision, epoch: Epoch = GIVEN) -> None:
        """Append a decision to the log of decisions."""
        with self._database.writing("decide") as connection:
            decisions.append_decision(connection, decision, epoch)

    def decisions(self, after: int = 0) -> list[Decision]:
        """The decisions after a sequence of the log."""
        return decisions.read_decisions(self._database, after)

    @property
    def replay_store(self) -> SqlReplayStore:
        """This ledger as a replay uses it."""
        return SqlReplayStore(
            self._database, lambda connection, entries: self._append(connection.connection.cursor(), Batch(entries))
        )

    @property
    def purge_store(self) -> SqlPurgeStore:
        """This ledger as a purge uses it."""
        return SqlPurgeStore(self._database)

    def replay_generation(self) -> int:
        """How many replays changed stored events."""
        rows = self._database.cached_query(_REPLAY_GENERATION)
        return int(rows[0][0]) if rows else 0

    def last_sequence(self) -> int:
        """The sequence of the newest event."""
        return int(self._database.cached_query(_LAST_SEQUENCE)[0][0])

    def ledger_id(self) -> str:
        """The random text that identifies this ledger."""
        return self._database.ledger_id

    def checks(self) -> list[tuple[bool, str]]:
        """Findings about the database, for people."""
        return self._database.checks()

    def close(self) -> None:
        """Commit what was submitted, and close all connections."""
        self._commits.close()
        self._database.close()

    def _append(self, cursor: DBAPICursor, batch: Batch) -> list[bool]:
        append = sqlite_append.append if self._database.is_sqlite else postgres_append.append
        return append(cursor, batch)


def _matching(selection: Selection, pages: Iterable[list[Event]]) -> Iterator[Event]:
    return (event for page in pages for event in page if selection.matches(event))
