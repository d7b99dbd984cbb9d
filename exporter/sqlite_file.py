"""SQLite as a ledger's file: safe settings, one writer at a time, and the file still there.

https://sqlite.org/wal.html: before 3.51.3 a WAL database that several connections write can be
corrupted ("WAL-reset bug"); older versions get a rollback journal.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sqlalchemy import event

from exporter.errors import StoreError, StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

WAL_SAFE_SINCE = (3, 51, 3)
SqliteError = sqlite3.Error
SqliteLockedError = sqlite3.OperationalError
"""What a database raises that another program has locked, among others; one that is damaged raises its base."""

BUSY_SECONDS = 1.2
"""How long to wait for another process; the sender gives up after three seconds."""


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """The journal mode that is safe with several connections in this version of SQLite."""
    return "wal" if version >= WAL_SAFE_SINCE else "truncate"


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection beside the ledger's own, to copy a file or to look into it.

    Args:
        path: the file.
        mode: ``ro``, ``rw``, or ``rwc`` to make it.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


@contextmanager
def only_user(path: Path) -> Iterator[None]:
    """Keep every other process of this program from having the database open.

    Raises:
        StoreRefusedError: one has it open.
    """
    with _used(path, fcntl.LOCK_EX, f"{path} is in use: a running exporter or command has it open; stop that first"):
        yield


def _used(path: Path, kind: int, refusal: str) -> BinaryIO:
    """The file whose shared lock says that somebody has the database open; to be closed."""
    try:
        used = Path(f"{path}.use").open("ab")  # noqa: SIM115 - open for as long as the database is
    except OSError as error:
        message = (
            f"store.url: nothing can be written beside {path} ({error.strerror}), where its locks and journals have "
            "to be; make the folder writable for this user, or give another path"
        )
        raise StoreRefusedError(message) from error
    try:
        fcntl.flock(used, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        used.close()
        raise StoreRefusedError(refusal) from error
    return used


class SqliteFile:
    """What a ledger in a SQLite file needs beside SQL.

    Args:
        engine: not connected yet.
    """

    def __init__(self, engine: Engine) -> None:
        self.path = Path(engine.url.database or "").absolute()
        if not self.path.parent.is_dir():
            message = (
                f"store.url: there is no folder {self.path.parent} for the database; make it, or give another path"
            )
            raise StoreRefusedError(message)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        self._identity: tuple[int, int] | None = None

    def claim(self) -> BinaryIO:
        """Keep others from having the file to themselves, until what is returned is closed."""
        return _used(self.path, fcntl.LOCK_SH, f"store.url: {self.path} is just being restored; try again")

    def opened(self) -> None:
        """Remember which file was opened."""
        self._identity = self._stat()

    def still_there(self) -> None:
        """Refuse to acknowledge writes to a file that was removed or replaced underneath.

        Raises:
            StoreError: an open but unlinked file goes on taking inserts that nobody will see.
        """
        if self._stat() != self._identity:
            message = f"{self.path} was removed or replaced while it was open"
            raise StoreError(message)

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the lock that serialises the writers of all processes."""
        with Path(f"{self.path}.lock").open("ab") as lock:
            deadline = time.monotonic() + BUSY_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"another process has held the lock of {self.path} for {BUSY_SECONDS} s"
                        raise StoreError(message) from None
                    time.sleep(0.002)
            yield

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun below, and not by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    wanted = journal_mode()
    cursor.execute(f"PRAGMA journal_mode = {wanted}")
    (mode,) = cursor.fetchone() or ("",)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA synchronous")
    (synchronous,) = cursor.fetchone() or (0,)
    cursor.close()
    if mode != wanted or synchronous != 2:  # noqa: PLR2004 - FULL
        message = f"SQLite did not take the settings: journal_mode {mode}, synchronous {synchronous}"
        raise StoreError(message)


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
