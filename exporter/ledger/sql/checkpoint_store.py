"""The checkpoint and the baselines in a database; `exporter.ledger.checkpoint_store` has the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import bindparam, delete, func, select

from exporter.ledger.checkpoint_store import Checkpoint, PruningState
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import (
    baselines,
    checkpoint_header,
    checkpoint_rows,
    epochs,
    events,
    heartbeats,
    quarantine,
    retention_log,
    sequence_heads,
)
from exporter.ledger.sql.checked_writes import change_rows, insert_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from exporter.ledger.sql.database import Database

Item = TypeVar("Item")

_CHECKPOINT_NAME = "current"
_EVENTS = "events"
_MAX_KEYS = 500
"""How many keys one statement names at most."""
_CHECKPOINT = select(
    checkpoint_header.c.revision,
    checkpoint_header.c.last_sequence,
    checkpoint_header.c.fingerprint,
    checkpoint_header.c.pruning_revision,
    checkpoint_header.c.owner_instance_id,
).where(checkpoint_header.c.name == _CHECKPOINT_NAME)
_ROWS = (
    select(checkpoint_rows.c.key, checkpoint_rows.c.document)
    .where(checkpoint_rows.c.key > bindparam("after"))
    .order_by(checkpoint_rows.c.key)
    .limit(bindparam("most"))
)
_PRUNING = select(retention_log.c.revision, retention_log.c.pruned_events, retention_log.c.last_sequence).where(
    retention_log.c.name == _EVENTS
)


class SqlCheckpointStore:
    """A `exporter.ledger.checkpoint_store.CheckpointStore` in an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load_header(self) -> Checkpoint | None:
        """The checkpoint's header."""
        rows = self._database.rows(_CHECKPOINT)
        if not rows:
            return None
        row = rows[0]
        return Checkpoint(
            revision=row.revision,
            last_sequence=row.last_sequence,
            fingerprint=row.fingerprint,
            pruning_revision=row.pruning_revision,
            owner=row.owner_instance_id,
        )

    def read_rows(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """Rows of the checkpoint after a key."""
        return self._database.cached_query(_ROWS, after=after, most=limit)

    def write_rows(
        self, expected_revision: int, new: Checkpoint, rows: Mapping[str, str | None], *, replace_all: bool = False
    ) -> bool:
        """Write rows and the new header in one transaction."""
        with self._database.writing("checkpoint") as connection:
            lock_out_writers(self._database, connection)
            current = connection.execute(_CHECKPOINT.with_for_update()).all()
            if (current[0].revision if current else 0) != expected_revision:
                return False
            self._upsert(
                connection,
                checkpoint_header,
                "name",
                [
                    {
                        "name": _CHECKPOINT_NAME,
                        "revision": new.revision,
                        "last_sequence": new.last_sequence,
                        "fingerprint": new.fingerprint,
                        "pruning_revision": new.pruning_revision,
                        "owner_instance_id": new.owner,
                    }
                ],
            )
            if replace_all:
                connection.execute(delete(checkpoint_rows))
            removed_keys = [key for key, text in rows.items() if text is None]
            for chunk in _chunks(removed_keys):
                connection.execute(delete(checkpoint_rows).where(checkpoint_rows.c.key.in_(chunk)))
            new_rows: list[dict[str, object]] = [
                {"key": key, "document": text} for key, text in rows.items() if text is not None
            ]
            self._upsert(connection, checkpoint_rows, "key", new_rows)
        return True

    def owner_heartbeat(self) -> float:
        """The newest heartbeat of the checkpoint's owner."""
        seen_us = func.max(heartbeats.c.last_seen_us + epochs.c.offset_us)
        query = select(func.coalesce(seen_us, 0)).where(
            epochs.c.id == heartbeats.c.epoch,
            heartbeats.c.instance_id == checkpoint_header.c.owner_instance_id,
            checkpoint_header.c.name == _CHECKPOINT_NAME,
        )
        return from_micros(self._database.rows(query)[0][0])

    def pruning_state(self) -> PruningState:
        """What retention has removed so far."""
        rows = self._database.cached_query(_PRUNING)
        return PruningState(*rows[0]) if rows else PruningState()

    def baselines(self, after: int = 0) -> Sequence[tuple[str, str]]:
        """The baselines written after a pruning revision."""
        rows = self._database.rows(select(baselines.c.key, baselines.c.document).where(baselines.c.revision > after))
        return [(row.key, row.document) for row in rows]

    def baseline(self, key: str) -> str | None:
        """The text of one baseline."""
        rows = self._database.rows(select(baselines.c.document).where(baselines.c.key == key))
        return rows[0].document if rows else None

    def prune(
        self,
        expected: PruningState,
        sequences: Sequence[int],
        new_baselines: Mapping[str, str],
        read_up_to: int,
        conflicts_with: Callable[[str, str, float], bool],
    ) -> bool:
        """Remove events, and store the baselines that replace them."""
        new = PruningState(
            expected.revision + 1, expected.pruned_events + len(sequences), max(expected.last_sequence, *sequences)
        )
        with self._database.writing("prune") as connection:
            lock_out_writers(self._database, connection)
            rows = connection.execute(_PRUNING.with_for_update()).all()
            if (PruningState(*rows[0]) if rows else PruningState()) != expected:
                return False
            since = select(events.c.source, events.c.request_id, events.c.occurred_us).where(
                events.c.sequence > read_up_to
            )
            for row in connection.execute(since):
                if conflicts_with(row.source, row.request_id, from_micros(row.occurred_us)):
                    return False
            stored = select(func.count()).select_from(events)
            found = [
                connection.execute(stored.where(events.c.sequence.in_(chunk))).scalar_one()
                for chunk in _chunks(sequences)
            ]
            if sum(found) < len(sequences):
                return False  # some were purged since they were read, and must not enter a baseline
            for chunk in _chunks(sequences):
                change_rows(connection, delete(events).where(events.c.sequence.in_(chunk)), len(chunk))
            texts = [{"key": key, "revision": new.revision, "document": text} for key, text in new_baselines.items()]
            self._upsert(connection, baselines, "key", texts)
            new_state = {
                "revision": new.revision,
                "pruned_events": new.pruned_events,
                "last_sequence": new.last_sequence,
            }
            self._upsert(connection, retention_log, "name", [{"name": _EVENTS, **new_state}])
        return True

    def prune_quarantine(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` quarantined bodies that arrived before an instant."""
        old = select(quarantine.c.sequence).join(epochs, epochs.c.id == quarantine.c.epoch)
        old = old.where(quarantine.c.arrived_us + epochs.c.offset_us < to_micros(before))
        sequences = [row.sequence for row in self._database.rows(old.order_by(quarantine.c.sequence).limit(limit))]
        if sequences:
            with self._database.writing("prune") as connection:
                connection.execute(delete(quarantine).where(quarantine.c.sequence.in_(sequences)))
        return len(sequences)

    def _upsert(self, connection: Connection, table: Table, key: str, rows: Sequence[dict[str, object]]) -> None:
        if rows:
            insert = self._database.insert(table)
            others = {name: insert.excluded[name] for name in rows[0] if name != key}
            insert_rows(connection, insert.on_conflict_do_update(index_elements=[key], set_=others), rows)


def lock_out_writers(database: Database, connection: Connection) -> None:
    """Block other writers until the transaction ends; in SQLite every transaction that writes does."""
    if not database.is_sqlite:
        connection.execute(select(sequence_heads.c.table_name).order_by(sequence_heads.c.table_name).with_for_update())


def _chunks(items: Sequence[Item]) -> list[Sequence[Item]]:
    return [items[at : at + _MAX_KEYS] for at in range(0, len(items), _MAX_KEYS)]
