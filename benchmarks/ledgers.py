"""Makes ledgers in minutes such as an exporter has after a long time, and keeps them for the next run.

The intake stores the first runs of every export. SQL copies the last of those with later times, in the same order into
the same tables and indexes, and some of the copies are compared with what the intake makes of their bodies. Then an
exporter folds all events and writes its checkpoint, as at any stop.
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

INGESTED_RUNS = 2
"""How many runs of each export the intake stores."""
COMPARED = 500
FOLD_SECONDS = 3600.0
ROWS_IN_A_COMMIT = 100_000

_COLUMNS = [column.name for column in table.c if column.name != "sequence"]
_LATER = {
    "digest": "digest_of(labels || ?3)",
    "local_seconds": "local_seconds + ?1",
    "arrived_us": "arrived_us + ?1 * 1000000",
    "occurred_us": "occurred_us + ?1 * 1000000",
    "clock_us": "clock_us + ?1 * 1000000",
    "body": "CAST(replace(CAST(body AS TEXT), ?2, ?4) AS BLOB)",
}
_ANOTHER_TURN = (
    f"INSERT INTO events ({', '.join(_COLUMNS)})"  # noqa: S608 - our own
    f" SELECT {', '.join(_LATER.get(name, name) for name in _COLUMNS)} FROM turns WHERE turn = ?5 ORDER BY sequence"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where files are.

    Attributes:
        folder: the temporary files of a measurement.
        saved: the ledgers that stay for the next run.
    """

    folder: Path
    saved: Path


@dataclass(frozen=True, slots=True)
class SavedLedger:
    """A ledger that stays for the next run; measurements use copies of it.

    Attributes:
        since: when the first run of every export began, in Unix seconds.
        made_at: when the ledger was made.
        fill_seconds: how long that took.
        fold_seconds: how long the first exporter took to fold all events.
    """

    path: Path
    events: int
    exports: int
    since: int
    made_at: str = ""
    fill_seconds: float = 0
    fold_seconds: float = 0


def saved_ledger(folder: Path, events: int, exports: int, room: int) -> SavedLedger:
    """Return a ledger of so many events, which is made if it does not exist, and folded by the current exporter.

    Args:
        folder: where the ledgers stay.
        events: the number of events, a multiple of twice the number of exports.
        exports: the number of exports.
        room: how many more runs of each export fit between its last one and now.
    """
    head = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()
    path = folder / f"kept-{head}-{exports}-{events}.db"
    description = path.with_suffix(".json")
    if description.exists():
        ledger = SavedLedger(path, **json.loads(description.read_text("utf-8")))
        fold(ledger)  # a newer release may have to fold all events again
        return ledger
    for left in folder.glob(f"{path.name}*"):
        left.unlink()
    ledger = SavedLedger(path, events, exports, made_up.began(events // exports // 2 + room))
    started_at = time.perf_counter()
    fill(ledger)
    fill_seconds = round(time.perf_counter() - started_at, 1)
    made_at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    ledger = SavedLedger(path, events, exports, ledger.since, made_at, fill_seconds, fold(ledger))
    facts = asdict(ledger)
    del facts["path"]
    description.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    return ledger


@contextmanager
def copied(ledger: SavedLedger, folder: Path) -> Iterator[Path]:
    """Copy a ledger for a measurement, and sync the copy; it is removed at the end."""
    path = folder / f"copy-{ledger.exports}-{ledger.events}.db"
    shutil.copyfile(ledger.path, path)
    processes.sync(path)
    try:
        yield path
    finally:
        for left in folder.glob(f"{path.name}*"):
            left.unlink()


def fold(ledger: SavedLedger) -> float:
    """Let an exporter fold what is not in the checkpoint yet; return the seconds until it was ready."""
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


def fill(ledger: SavedLedger) -> None:
    """Make all events.

    Raises:
        RuntimeError: they differ from what the intake makes of their bodies.
    """
    ingested = min(ledger.events, INGESTED_RUNS * 2 * ledger.exports)
    made_up.fill_ledger(ledger.path, ingested, ledger.exports, ledger.since)
    if ledger.events > ingested:
        with closing(file.connect(ledger.path, "rw")) as connection:
            _multiply(connection, ledger)
    with closing(file.connect(ledger.path, "ro")) as connection:
        _compare(connection, ledger)


def _multiply(connection: Any, ledger: SavedLedger) -> None:  # noqa: ANN401 - of either driver
    run, ingested = 2 * ledger.exports, INGESTED_RUNS * 2 * ledger.exports
    more, rest = divmod(ledger.events - ingested, run)
    if rest:
        message = f"{ledger.events} events are not the same number of runs for each of {ledger.exports} exports"
        raise ValueError(message)
    for setting in ("synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {setting}")
    connection.create_function("digest_of", 1, _digest, deterministic=True)
    connection.execute(
        "CREATE TEMP TABLE turns AS SELECT *, (sequence - 1) / ?1 % 2 AS turn,"
        " lower(concat_ws(char(31), request_id, partner, data_type, status, 'Every 4 hours', '')) AS labels"
        " FROM events WHERE sequence > ?2",
        (ledger.exports, ingested - run),
    )
    runs_per_commit = max(1, ROWS_IN_A_COMMIT // run)
    for number in range(1, more + 1):
        if number % runs_per_commit == 1 or runs_per_commit == 1:
            connection.execute("BEGIN IMMEDIATE")
        for turn in (0, 1):
            first = ingested - run + turn * ledger.exports
            old, new = (
                made_up.text_at(made_up.occurred_at(place, ledger.exports, ledger.since))
                for place in (first, first + number * run)
            )
            connection.execute(_ANOTHER_TURN, (number * made_up.INTERVAL, old, new.lower(), new, turn))
        if number % runs_per_commit == 0 or number == more:
            connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _compare(connection: Any, ledger: SavedLedger) -> None:  # noqa: ANN401 - of either driver
    """Compare some events with what the intake makes of the same bodies."""
    [(count, last)] = connection.execute("SELECT count(*), coalesce(max(sequence), 0) FROM events").fetchall()
    with closing(SqlLedger(f"sqlite:///{ledger.path}")) as sql_ledger:
        intake = Intake(sql_ledger, 65536)
        chance = random.Random(7)  # noqa: S311 - any sample will do
        numbers = range(ledger.events) if ledger.events <= COMPARED else chance.sample(range(last), COMPARED)
        for number in numbers:
            happened = made_up.occurred_at(number, ledger.exports, ledger.since)
            body = made_up.event(number, ledger.exports, ledger.since)
            [expected] = Batch(intake.prepare(made_up.SOURCE, body, happened + 2)).events
            query = f"SELECT {', '.join(_COLUMNS)} FROM events WHERE sequence = ?"  # noqa: S608 - our own
            [row] = connection.execute(query, (number + 1,)).fetchall()
            if row != expected:
                message = f"event {number} is {row} and should be {expected}"
                raise RuntimeError(message)
    if count != ledger.events or last != ledger.events:
        message = f"{count} events up to {last} instead of {ledger.events}"
        raise RuntimeError(message)


def _checkpoint(path: Path) -> tuple[int, str, int]:
    """Return the revision, fingerprint and last sequence of the checkpoint; the revision is 0 if there is none."""
    with closing(file.connect(path, "ro")) as connection:
        rows = connection.execute("SELECT revision, fingerprint, last_sequence FROM checkpoint_header").fetchall()
    return tuple(rows[0]) if rows else (0, "", 0)
