"""Ledgers as an exporter has them after a long time, made in minutes and kept for the next run.

The first runs of every export come in by the exporter's own way. The later ones are the last of
those with other times, put in by SQL: the same rows, in the same order, in the same tables and
indexes, and some of them are held against what the exporter would have made of their bodies. Then
an exporter folds it all and leaves its checkpoint, as after any stop.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import made_up
import processes
from alembic.script import ScriptDirectory

from exporter.ingest.intake import Intake
from exporter.ledger import migrations
from exporter.ledger.rows import Batch
from exporter.ledger.schema import events as table
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite import file

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKEN_RUNS = 2
"""How many runs of each export come in by the exporter's own way."""
COMPARED = 500
FOLD_SECONDS = 3600.0
ROWS_IN_A_COMMIT = 100_000

_COLUMNS = [column.name for column in table.c if column.name != "sequence"]
_LATER = {
    "digest": "digest_of(said || ?3)",
    "local_seconds": "local_seconds + ?1",
    "arrived_us": "arrived_us + ?1 * 1000000",
    "occurred_us": "occurred_us + ?1 * 1000000",
    "body": "CAST(replace(CAST(body AS TEXT), ?2, ?4) AS BLOB)",
}
_ANOTHER_TURN = (
    f"INSERT INTO events ({', '.join(_COLUMNS)})"  # noqa: S608 - our own
    f" SELECT {', '.join(_LATER.get(name, name) for name in _COLUMNS)} FROM turns WHERE turn = ?5 ORDER BY sequence"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where files lie.

    Attributes:
        folder: of what is measured, gone afterwards.
        kept: of ledgers for the next run.
    """

    folder: Path
    kept: Path


@dataclass(frozen=True, slots=True)
class Kept:
    """A ledger that was made, and is not changed by what is measured.

    Attributes:
        since: when the first run of every export began.
        made_at: when it was made.
        fill_seconds: how long that took.
        fold_seconds: how long the first exporter took to fold all of it.
    """

    path: Path
    events: int
    exports: int
    since: int
    made_at: str = ""
    fill_seconds: float = 0
    fold_seconds: float = 0


def kept(folder: Path, events: int, exports: int, room: int) -> Kept:
    """The ledger of so many events, made if it is not there; folded by the exporter as it is now.

    Args:
        folder: where it is kept.
        events: how many, twice as many as the exports, or a multiple of that.
        exports: how many.
        room: how many runs of each export fit in between its last one and now.
    """
    head = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()
    path = folder / f"kept-{head}-{exports}-{events}.db"
    told = path.with_suffix(".json")
    if told.exists():
        known = Kept(path, **json.loads(told.read_text("utf-8")))
        fold(known)  # nothing is new but what a newer release might want to fold again
        return known
    for left in folder.glob(f"{path.name}*"):
        left.unlink()
    made = Kept(path, events, exports, made_up.began(events // exports // 2 + room))
    began = time.perf_counter()
    fill(made)
    filled = time.perf_counter() - began
    made = Kept(
        path, events, exports, made.since, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", round(filled, 1), fold(made)
    )
    facts = asdict(made)
    del facts["path"]
    told.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    return made


@contextmanager
def copied(ledger: Kept, folder: Path) -> Iterator[Path]:
    """A copy to measure with, as a stopped exporter leaves a ledger; on disk before anything begins."""
    path = folder / f"copy-{ledger.exports}-{ledger.events}.db"
    shutil.copyfile(ledger.path, path)
    processes.sync(path)
    try:
        yield path
    finally:
        for left in folder.glob(f"{path.name}*"):
            left.unlink()


def fold(ledger: Kept) -> float:
    """Let an exporter fold what is not yet in the checkpoint; seconds until it was ready."""
    before = _checkpoint(ledger.path)[0]
    with processes.exporter(ledger.path, ledger.exports, patience=FOLD_SECONDS) as server:
        while True:
            revision, fingerprint, sequence = _checkpoint(ledger.path)
            if revision > before and (fingerprint or not ledger.events):
                break
            time.sleep(processes.POLL_SECONDS)
    if sequence != ledger.events or Path(f"{ledger.path}-wal").exists():
        message = f"{ledger.path}: the checkpoint ends at {sequence} instead of {ledger.events}, or a log is left"
        raise RuntimeError(message)
    return server.ready_after


def fill(ledger: Kept) -> None:
    """Make all events.

    Raises:
        RuntimeError: they are not what the exporter would have made of their bodies.
    """
    taken = min(ledger.events, TAKEN_RUNS * 2 * ledger.exports)
    made_up.fill_ledger(ledger.path, taken, ledger.exports, ledger.since)
    if ledger.events > taken:
        with closing(file.connect(ledger.path, "rw")) as connection:
            _multiply(connection, ledger)
    with closing(file.connect(ledger.path, "ro")) as connection:
        _compare(connection, ledger)


def _multiply(connection: Any, ledger: Kept) -> None:  # noqa: ANN401 - of either driver
    run, taken = 2 * ledger.exports, TAKEN_RUNS * 2 * ledger.exports
    more, rest = divmod(ledger.events - taken, run)
    if rest:
        message = f"{ledger.events} events are not the same number of runs for each of {ledger.exports} exports"
        raise ValueError(message)
    for setting in ("synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {setting}")
    connection.create_function("digest_of", 1, _digest, deterministic=True)
    connection.execute(
        "CREATE TEMP TABLE turns AS SELECT *, (sequence - 1) / ?1 % 2 AS turn,"
        " lower(concat_ws(char(31), request_id, partner, data_type, status, 'Every 4 hours', '')) AS said"
        " FROM events WHERE sequence > ?2",
        (ledger.exports, taken - run),
    )
    at_once = max(1, ROWS_IN_A_COMMIT // run)
    for number in range(1, more + 1):
        if number % at_once == 1 or at_once == 1:
            connection.execute("BEGIN IMMEDIATE")
        for turn in (0, 1):
            first = taken - run + turn * ledger.exports
            old, new = (
                made_up.text_at(made_up.occurred_at(place, ledger.exports, ledger.since))
                for place in (first, first + number * run)
            )
            connection.execute(_ANOTHER_TURN, (number * made_up.INTERVAL, old, new.lower(), new, turn))
        if number % at_once == 0 or number == more:
            connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _digest(said: str) -> bytes:
    return hashlib.sha256(said.encode()).digest()[:16]


def _compare(connection: Any, ledger: Kept) -> None:  # noqa: ANN401 - of either driver
    """Hold some events against what the exporter makes of the same bodies."""
    [(count, last)] = connection.execute("SELECT count(*), coalesce(max(sequence), 0) FROM events").fetchall()
    with closing(SqlLedger(f"sqlite:///{ledger.path}")) as own:
        intake = Intake(own, 65536)
        chance = random.Random(7)  # noqa: S311 - any of them will do
        some = range(ledger.events) if ledger.events <= COMPARED else chance.sample(range(last), COMPARED)
        for number in some:
            happened = made_up.occurred_at(number, ledger.exports, ledger.since)
            body = made_up.event(number, ledger.exports, ledger.since)
            [wanted] = Batch(intake.prepare(made_up.SOURCE, body, happened + 2)).events
            query = f"SELECT {', '.join(_COLUMNS)} FROM events WHERE sequence = ?"  # noqa: S608 - our own
            [found] = connection.execute(query, (number + 1,)).fetchall()
            if found != wanted:
                message = f"event {number} is {found} and should be {wanted}"
                raise RuntimeError(message)
    if count != ledger.events or last != ledger.events:
        message = f"{count} events up to {last} instead of {ledger.events}"
        raise RuntimeError(message)


def _checkpoint(path: Path) -> tuple[int, str, int]:
    """Revision, fingerprint and last sequence of the checkpoint; the first is 0 where there is none."""
    with closing(file.connect(path, "ro")) as connection:
        rows = connection.execute("SELECT revision, fingerprint, last_sequence FROM checkpoint_header").fetchall()
    return tuple(rows[0]) if rows else (0, "", 0)
