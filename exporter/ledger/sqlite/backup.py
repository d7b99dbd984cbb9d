"""A copy of a SQLite ledger that is consistent while an exporter writes to it, and the way back from one.

Nothing appears under the name that was asked for before it is whole, checked and on disk.
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
from exporter.ledger.instants import from_micros
from exporter.ledger.migrations import refuse_unknown
from exporter.ledger.sqlite.file import HEADER, SqliteError, SqliteLockedError, connect, exclusive_use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]

PAGES_PER_STEP = 1000
"""How many pages are copied between two signs of progress."""


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """What a ledger's file has: how many events, and how many bytes it takes."""

    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: what is there now, and where the database before it is kept."""

    contents: StoreSummary
    previous: Path | None


def summarize_store(path: Path) -> StoreSummary:
    """What the ledger in a file has.

    Raises:
        StoreRefusedError: it is no ledger, or a newer release's.
    """
    if not path.is_file():
        message = f"{path}: there is no such file; give one that `dataexport-exporter backup` wrote"
        raise StoreRefusedError(message)
    try:
        with closing(connect(path, "ro")) as database:
            (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
            refuse_unknown(revision)
            (events,) = database.execute("SELECT count(*) FROM events").fetchone()
    except SqliteError as error:
        message = f"{path}: is no ledger ({error}); give a file that `dataexport-exporter backup` wrote"
        raise StoreRefusedError(message) from error
    return StoreSummary(events, path.stat().st_size)


def back_up(database: Path, target: Path, on_progress: Progress, *, overwrite: bool = False) -> StoreSummary:
    """Copy a database as it is at one instant, while others may write to it.

    Args:
        database: the ledger's file.
        target: where the copy goes.
        on_progress: told how many pages of how many are done.
        overwrite: whether a file that is there already may be replaced.

    Raises:
        StoreRefusedError: the target is there already, or the database is no ledger.
        StoreError: it could not be read or written; nothing is left of it then.
    """
    if target.exists() and not overwrite:
        message = f"{target}: is there already; give another name, or --force to replace it"
        raise StoreRefusedError(message)
    summarize_store(database)
    with _temporary_beside(target) as temporary:
        _copy(database, temporary, on_progress)
        shutil.copymode(database, temporary)
        contents = summarize_store(temporary)
        temporary.replace(target)
    return contents


def restore(copy: Path, database: Path, now: float, on_progress: Progress, *, force: bool = False) -> Restored:
    """Put a copy in the place of a database that nobody uses, and keep the one that was there.

    Args:
        copy: what `back_up` wrote.
        database: the ledger's file; it may be missing.
        now: Unix seconds, for the heartbeat and for the name of what is kept.
        on_progress: told how many pages of how many are done.
        force: whether a fresh heartbeat is passed over.

    Raises:
        StoreRefusedError: the copy is no ledger, or the database is in use.
        StoreError: it could not be read or written; the database is as it was then.
    """
    summarize_store(copy)
    with exclusive_use(database):
        if _has_sqlite_header(database):
            _refuse_in_use(database, now, force=force)
        with _temporary_beside(database) as temporary:
            _copy(copy, temporary, on_progress)
            shutil.copymode(database if database.exists() else copy, temporary)
            _copy_owner(database if database.exists() else database.parent, temporary)
            contents = summarize_store(temporary)
            previous = _move_aside(database, now)
            temporary.replace(database)
    return Restored(contents, previous)


def _copy(source: Path, target: Path, on_progress: Progress) -> None:
    try:
        with closing(connect(source, "rw")) as old, closing(connect(target, "rwc")) as new:
            # One read transaction around all steps: else each write of another process begins the copy anew.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=PAGES_PER_STEP, progress=lambda _, rest, total: on_progress(total - rest, total))
            old.execute("COMMIT")
            new.execute("PRAGMA journal_mode = DELETE")
            (found,) = new.execute("PRAGMA integrity_check(1)").fetchone()
    except SqliteError as error:
        message = f"{source} could not be copied: {error}; no part of a copy is left"
        raise StoreError(message) from error
    if found != "ok":
        message = f"{source} is damaged, so is a copy of it, and none is left: {found}"
        raise StoreError(message)


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """A file to be made in the target's folder; what was put in the target's place is on disk afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        message = f"{target.parent}: cannot be written to: {error.strerror}; give a folder that is there and writable"
        raise StoreError(message) from error
    try:
        temporary = folder / target.name
        temporary.touch()
        yield temporary
        _sync(target)
        _sync(target.parent)
    except OSError as error:
        message = f"{target}: cannot be written: {error.strerror}; no part of a copy is left"
        raise StoreError(message) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_owner(model: Path, made: Path) -> None:
    """Whoever restores as root must not lock out the exporter's own user."""
    owner = model.stat()
    with suppress(PermissionError):
        os.chown(made, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _has_sqlite_header(database: Path) -> bool:
    """Whether it begins as SQLite's files do; of any other, SQLite would throw the journals away."""
    if not database.exists():
        return False
    with database.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def _refuse_in_use(database: Path, now: float, *, force: bool) -> None:
    """Refuse a database that somebody else uses, as far as the file itself can tell.

    A damaged file tells nothing; it may be what the restore is for.
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
            (seen,) = old.execute("SELECT max(last_seen_us) FROM heartbeats").fetchone()
        except SqliteError:
            return
        since = now - from_micros(seen or 0)
        if since < HEARTBEAT_TIMEOUT and not force:
            message = (
                f"{database} is in use: the newest heartbeat of an exporter in it is {max(0.0, since):.0f} s old; "
                f"stop the exporter, and wait until that is {HEARTBEAT_TIMEOUT:.0f} s, or give --force"
            )
            raise StoreRefusedError(message)


def _move_aside(database: Path, now: float) -> Path | None:
    """Keep the database under another name, with what belongs to it; nothing stale is left at its own."""
    if not database.exists():
        return None
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    previous = database.with_name(f"{database.name}.before-{moment}")
    number = 1
    while previous.exists():
        number += 1
        previous = database.with_name(f"{database.name}.before-{moment}-{number}")
    if _has_sqlite_header(database):
        # What is still in a journal comes into the file itself, if it can be read at all.
        with closing(connect(database, "rw")) as old, suppress(SqliteError):
            old.execute("PRAGMA journal_mode = DELETE")
    os.link(database, previous)
    for ending in ("-wal", "-journal", "-shm"):
        journal = Path(f"{database}{ending}")
        if journal.exists() and journal.stat().st_size:
            journal.rename(f"{previous}{ending}")
        journal.unlink(missing_ok=True)
    return previous
