"""Backs up a SQLite ledger while an exporter writes to it, and restores such a copy.

A file appears under its final name only after it is complete, checked and on disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.domain.errors import StoreError, StoreRefusedError
from exporter.ledger.contract import HEARTBEAT_TIMEOUT
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.migrations import refuse_unknown
from exporter.ledger.schema_check import SQLITE_OBJECTS, refuse_foreign_objects
from exporter.ledger.sqlite.file import SqliteError, SqliteLockedError, connect
from exporter.ledger.sqlite.inspection import HEADER
from exporter.ledger.sqlite.locks import exclusive_use
from exporter.ledger.sqlite.permissions import USER_ONLY, restrict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]

PAGES_PER_STEP = 1000
"""How many pages are copied between two reports of progress."""
_NEWEST_HEARTBEAT = (
    "SELECT max(last_seen_us + offset_us) FROM heartbeats JOIN epochs ON epochs.id = heartbeats.epoch"
    " WHERE last_seen_us + offset_us <= ?"
)
"""A heartbeat in the future comes from a clock that was wrong, and means nothing."""


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """The number of events in a ledger's file, and its size in bytes."""

    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: the restored database, and the path that the previous one was moved to."""

    contents: StoreSummary
    previous: Path | None


def summarize_store(path: Path) -> StoreSummary:
    """Count the events in a ledger's file.

    Raises:
        StoreRefusedError: it is not a ledger, or another release wrote it.
    """
    if not path.is_file():
        message = f"{path}: there is no such file; give one that `dataexport-exporter backup` wrote"
        raise StoreRefusedError(message)
    try:
        with closing(connect(path, "ro")) as database:
            (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
            refuse_unknown(revision)
            refuse_foreign_objects(database.execute(SQLITE_OBJECTS))
            (events,) = database.execute("SELECT count(*) FROM events").fetchone()
    except SqliteError as error:
        message = f"{path}: is not a store ({error}); give a file that `dataexport-exporter backup` wrote"
        raise StoreRefusedError(message) from error
    return StoreSummary(events, path.stat().st_size)


def back_up(database: Path, target: Path, on_progress: Progress, *, overwrite: bool = False) -> StoreSummary:
    """Copy a database as of one instant, while others may write to it.

    Args:
        database: the ledger's file.
        target: where the copy goes.
        on_progress: called with the pages copied so far and the total.
        overwrite: replace an existing file.

    Raises:
        StoreRefusedError: the target exists, or the database is not a ledger.
        StoreError: reading or writing failed; no part of a copy is left.
    """
    if target.exists() and not overwrite:
        message = f"{target}: already exists; give another name, or --force to replace it"
        raise StoreRefusedError(message)
    summarize_store(database)
    with _temporary_beside(target) as temporary:
        _copy(database, temporary, on_progress)
        contents = summarize_store(temporary)
        temporary.replace(target)
        restrict(target)
    return contents


def restore(copy: Path, database: Path, now: float, on_progress: Progress, *, force: bool = False) -> Restored:
    """Replace a database that no process uses by a copy, and keep the previous one under another name.

    Args:
        copy: a file that `back_up` wrote.
        database: the ledger's file; it may be missing.
        now: Unix seconds, to judge heartbeats and to name the previous database.
        on_progress: called with the pages copied so far and the total.
        force: ignore a recent heartbeat.

    Raises:
        StoreRefusedError: the copy is not a ledger, or the database is in use.
        StoreError: reading or writing failed; the database is unchanged.
    """
    summarize_store(copy)
    database = database.resolve()
    with exclusive_use(database):
        if _has_sqlite_header(database):
            _refuse_in_use(database, now, force=force)
        with _temporary_beside(database) as temporary:
            _copy(copy, temporary, on_progress)
            _copy_owner(database if database.exists() else database.parent, temporary)
            contents = summarize_store(temporary)
            previous = _move_aside(database, now)
            temporary.replace(database)
            restrict(database)
    return Restored(contents, previous)


def _copy(source: Path, target: Path, on_progress: Progress) -> None:
    try:
        with closing(connect(source, "ro")) as old, closing(connect(target, "rwc")) as new:
            # One read transaction around all steps: otherwise each write of another process restarts the copy.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=PAGES_PER_STEP, progress=lambda _, rest, total: on_progress(total - rest, total))
            old.execute("COMMIT")
            new.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = new.execute("PRAGMA integrity_check(1)").fetchone()
    except SqliteError as error:
        message = f"{source} could not be copied: {error}; no part of a copy is left"
        raise StoreError(message) from error
    if verdict != "ok":
        message = f"{source} is damaged, so no copy was written: {verdict}"
        raise StoreError(message)


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """A temporary file in the target's folder; afterwards, the target and its folder are synced to disk."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        message = f"{target.parent}: cannot be written to: {error.strerror}; give a folder that exists and is writable"
        raise StoreError(message) from error
    try:
        temporary = folder / target.name
        temporary.touch(USER_ONLY)
        yield temporary
        _sync(target)
        _sync(target.parent)
    except OSError as error:
        message = f"{target}: cannot be written: {error.strerror}; no part of a copy is left"
        raise StoreError(message) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_owner(model: Path, restored: Path) -> None:
    """Give the restored file the owner of ``model``, so that a restore by root does not lock out the exporter."""
    owner = model.stat()
    with suppress(PermissionError):
        os.chown(restored, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has_sqlite_header(database: Path) -> bool:
    """Whether the file starts as SQLite's do. SQLite would delete the journals of any other file."""
    if not database.exists():
        return False
    with database.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def _refuse_in_use(database: Path, now: float, *, force: bool) -> None:
    """Refuse a database that another program has locked, or that has a recent heartbeat.

    A damaged file passes: it may be the reason for the restore.
    """
    with closing(connect(database, "rw")) as old:
        try:
            old.execute("BEGIN EXCLUSIVE")
        except SqliteLockedError as error:
            message = f"{database} is in use: another program holds SQLite's lock on it ({error}); end that first"
            raise StoreRefusedError(message) from error
        except SqliteError:
            return
        try:
            (last_seen_us,) = old.execute(_NEWEST_HEARTBEAT, (to_micros(now),)).fetchone()
        except SqliteError:
            return
        since = now - from_micros(last_seen_us or 0)
        if since < HEARTBEAT_TIMEOUT and not force:
            message = (
                f"{database} is in use: the newest heartbeat of an exporter in it is {since:.0f} s old; "
                f"stop the exporter, and wait until the heartbeat is {HEARTBEAT_TIMEOUT:.0f} s old, or give --force"
            )
            raise StoreRefusedError(message)


def _move_aside(database: Path, now: float) -> Path | None:
    """Give the database and its journals another name, and return it; None if there is no database."""
    if not database.exists():
        return None
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    previous = database.with_name(f"{database.name}.before-{moment}")
    number = 1
    while previous.exists():
        number += 1
        previous = database.with_name(f"{database.name}.before-{moment}-{number}")
    if _has_sqlite_header(database):
        # Moves what is still in a journal into the file itself, if SQLite can read it.
        with closing(connect(database, "rw")) as old, suppress(SqliteError):
            old.execute("PRAGMA journal_mode = DELETE")
    os.link(database, previous)
    for suffix in ("-wal", "-journal", "-shm"):
        journal = Path(f"{database}{suffix}")
        if journal.exists() and journal.stat().st_size:
            journal.rename(f"{previous}{suffix}")
        journal.unlink(missing_ok=True)
    return previous
