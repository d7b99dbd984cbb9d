"""Folds beside the ledger in its database; see `exporter.ledger.checkpoint_store` for what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import bindparam, delete, func, select

from exporter.ledger.checkpoint_store import Checkpoint, Pruned
from exporter.ledger.schema import bases, checkpoint_rows, checkpoints, events, heads, prunings, quarantine, watches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from exporter.ledger.sql.database import Database

Item = TypeVar("Item")

_FOLD = "fold"
_EVENTS = "events"
_SOME = 500
"""How many keys a statement names at the most."""
_CHECKPOINT = select(
    checkpoints.c.revision,
    checkpoints.c.sequence,
    checkpoints.c.fingerprint,
    checkpoints.c.pruned,
    checkpoints.c.owner,
).where(checkpoints.c.name == _FOLD)
_ROWS = (
    select(checkpoint_rows.c.key, checkpoint_rows.c.state)
    .where(checkpoint_rows.c.key > bindparam("after"))
    .order_by(checkpoint_rows.c.key)
    .limit(bindparam("most"))
)
_PRUNING = select(prunings.c.revision, prunings.c.events, prunings.c.last_sequence).where(prunings.c.name == _EVENTS)


class SqlFolds:
    """A `exporter.ledger.checkpoint_store.Folds` in an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint."""
        rows = self._database.rows(_CHECKPOINT)
        return Checkpoint(**rows[0]._mapping) if rows else None  # noqa: SLF001 - public in spite of its name

    def rows(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """The rows of the checkpoint past a key."""
        return self._database.usual(_ROWS, after=after, most=limit)

    def write(self, known: int, new: Checkpoint, rows: Mapping[str, str | None], *, anew: bool = False) -> bool:
        """Write rows, and remove those that are None."""
        with self._database.writing("checkpoint") as connection:
            self._only_writer(connection)
            found = connection.execute(_CHECKPOINT.with_for_update()).all()
            if (found[0].revision if found else 0) != known:
                return False
            self._put(
                connection,
                checkpoints,
                "name",
                [
                    {
                        "name": _FOLD,
                        "revision": new.revision,
                        "sequence": new.sequence,
                        "fingerprint": new.fingerprint,
                        "pruned": new.pruned,
                        "owner": new.owner,
                    }
                ],
            )
            if anew:
                connection.execute(delete(checkpoint_rows))
            gone = [key for key, text in rows.items() if text is None]
            for some in _parts(gone):
                connection.execute(delete(checkpoint_rows).where(checkpoint_rows.c.key.in_(some)))
            kept: list[dict[str, object]] = [
                {"key": key, "state": text} for key, text in rows.items() if text is not None
            ]
            self._put(connection, checkpoint_rows, "key", kept)
        return True

    def owner_seen(self) -> float:
        """The newest heartbeat of the owner of the checkpoint."""
        query = select(func.coalesce(func.max(watches.c.seen_us), 0)).where(
            watches.c.watch == checkpoints.c.owner, checkpoints.c.name == _FOLD
        )
        return float(self._database.rows(query)[0][0]) / 1e6

    def pruned(self) -> Pruned:
        """What was pruned."""
        rows = self._database.usual(_PRUNING)
        return Pruned(*rows[0]) if rows else Pruned()

    def bases(self, after: int = 0) -> Sequence[tuple[str, str]]:
        """The bases that were written past a revision of pruning."""
        rows = self._database.rows(select(bases.c.key, bases.c.state).where(bases.c.revision > after))
        return [(row.key, row.state) for row in rows]

    def base(self, key: str) -> str | None:
        """The base under a key."""
        rows = self._database.rows(select(bases.c.state).where(bases.c.key == key))
        return rows[0].state if rows else None

    def prune(
        self,
        known: Pruned,
        sequences: Sequence[int],
        new_bases: Mapping[str, str],
        upto: int,
        disturbed_by: Callable[[str, str, float], bool],
    ) -> bool:
        """Remove events, and keep what they amount to."""
        new = Pruned(known.revision + 1, known.events + len(sequences), max(known.last_sequence, *sequences))
        with self._database.writing("prune") as connection:
            self._only_writer(connection)
            rows = connection.execute(_PRUNING.with_for_update()).all()
            if (Pruned(*rows[0]) if rows else Pruned()) != known:
                return False
            since = select(events.c.source, events.c.request_id, events.c.occurred_us).where(events.c.sequence > upto)
            if any(
                disturbed_by(row.source, row.request_id, row.occurred_us / 1e6) for row in connection.execute(since)
            ):
                return False
            for some in _parts(sequences):
                connection.execute(delete(events).where(events.c.sequence.in_(some)))
            texts = [{"key": key, "revision": new.revision, "state": text} for key, text in new_bases.items()]
            self._put(connection, bases, "key", texts)
            told = {"revision": new.revision, "events": new.events, "last_sequence": new.last_sequence}
            self._put(connection, prunings, "name", [{"name": _EVENTS, **told}])
        return True

    def prune_quarantine(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` quarantined bodies that arrived before an instant."""
        old = select(quarantine.c.sequence).where(quarantine.c.arrived_us < _micros(before))
        sequences = [row.sequence for row in self._database.rows(old.order_by(quarantine.c.sequence).limit(limit))]
        if sequences:
            with self._database.writing("prune") as connection:
                connection.execute(delete(quarantine).where(quarantine.c.sequence.in_(sequences)))
        return len(sequences)

    def _only_writer(self, connection: Connection) -> None:
        """Keep all others from writing until the end of the transaction; in SQLite every one does."""
        if not self._database.is_sqlite:
            connection.execute(select(heads.c.name).order_by(heads.c.name).with_for_update())

    def _put(self, connection: Connection, table: Table, key: str, rows: Sequence[dict[str, object]]) -> None:
        if rows:
            insert = self._database.insert(table)
            others = {name: insert.excluded[name] for name in rows[0] if name != key}
            connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=others), rows)


def _parts(items: Sequence[Item]) -> list[Sequence[Item]]:
    return [items[at : at + _SOME] for at in range(0, len(items), _SOME)]


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
