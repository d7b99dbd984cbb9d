"""The SQLite file of a ledger: safe settings, one writer at a time, and checks that the file is still there.

Before SQLite 3.51.3, several connections that write a WAL database can corrupt it (the "WAL-reset bug",
https://sqlite.org/wal.html), so older versions use a rollback journal.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlalchemy import create_engine, event

from exporter.domain.errors import StoreError, StoreLostError
from exporter.ledger.access import Access
from exporter.ledger.sqlite import inspection, locks, permissions
from exporter.ledger.sqlite.inspection import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from sqlalchemy import URL, Connection, Engine

WAL_SAFE_SINCE = (3, 51, 3)
BUSY_TIMEOUT = 1.2
"""Seconds to wait for another process; the sender gives up after three."""
CHECKPOINT_PAGES = 4_000
"""A commit that brings the write-ahead log to this many pages (16 MB) also moves them into the database.

A page that changed often is moved only once, but that commit waits for the move. benchmarks/NOTES.md has
the measurements with 2,000 and 8,000.
"""
LOG_BYTES = 64 << 20
"""The size to which SQLite truncates the write-ahead log after it grew beyond it."""
CACHE_KIB = 16 << 10
SYNCHRONOUS_FULL = 2

Inode = tuple[int, int] | None
"""The device and number of a file; None if there is no file."""

_READ_SETTINGS = (
    f"busy_timeout = {int(BUSY_TIMEOUT * 1000)}",
    f"cache_size = -{CACHE_KIB}",
    "query_only = 1",
)
_SETTINGS = (
    f"busy_timeout = {int(BUSY_TIMEOUT * 1000)}",
    "synchronous = FULL",
    f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"journal_size_limit = {LOG_BYTES}",
    f"cache_size = -{CACHE_KIB}",
)


def newest_driver(bundled: str = "pysqlite3.dbapi2") -> ModuleType:
    """The driver with the newer SQLite: Python's own, or the bundled one if it is installed."""
    try:
        driver = importlib.import_module(bundled)
    except ImportError:
        return sqlite3
    return driver if driver.sqlite_version_info > sqlite3.sqlite_version_info else sqlite3


DRIVER: Any = newest_driver()
SqliteError: type[Exception] = DRIVER.Error
SqliteLockedError: type[Exception] = DRIVER.OperationalError
"""Raised, among other causes, if another program has locked the database. A damaged one raises its base class."""


def journal_mode(version: tuple[int, int, int]) -> str:
    """The journal mode that is safe with several connections in this version of SQLite."""
    return "wal" if version >= WAL_SAFE_SINCE else "truncate"


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a connection beside the ledger's own, to copy or inspect a file.

    Args:
        path: the file.
        mode: ``ro``, ``rw``, or ``rwc`` to create the file.
    """
    uri = inspection.reading_uri(path) if mode == "ro" else f"{path.absolute().as_uri()}?mode={mode}"
    connection: sqlite3.Connection = DRIVER.connect(uri, uri=True, isolation_level=None)
    return connection


class SqliteFile:
    """The file operations of a ledger in SQLite.

    Args:
        url: the URL of the file, whose folder has to exist.
        driver: the DB-API module to open it with.
        access: what it is opened for.

    Attributes:
        engine: SQLAlchemy's engine for the file.
        mode: the journal mode.
        inode: the file that was opened; None before that. Once it is set, no connection creates a file.
    """

    def __init__(self, url: URL, driver: ModuleType, access: Access = Access.CREATE) -> None:
        self.access = access
        self.path = Path(url.database or "").resolve()
        self._lock = f"{self.path}.lock"
        self.driver: Any = driver
        self.mode = journal_mode(driver.sqlite_version_info)
        locks.require_folder(self.path)
        self.refuse_foreign(access)
        self.engine: Engine = create_engine(
            url, module=driver, creator=self._connect, pool_use_lifo=True, pool_timeout=BUSY_TIMEOUT
        )
        event.listen(self.engine, "begin", _begin_transaction)
        if access is not Access.READ:
            permissions.restrict(self.path)
        self.inode: Inode = None
        self._wal_inode: Inode = None
        self._thread_lock = threading.RLock()
        self._kept_connection: Any = None
        self._header = -1

    def refuse_foreign(self, access: Access) -> None:
        """Refuse a file that is not a ledger, before anything of it is changed.

        Raises:
            StoreRefusedError: it is none, or a newer release wrote it.
        """
        if access is not Access.READ:
            locks.refuse_unwritable(self.path)
        inspection.refuse_foreign(self.path, access, self.driver)

    def shared_lock(self) -> BinaryIO | None:
        """Take a lock that keeps `locks.exclusive_use` from others until the returned file is closed.

        Returns:
            None if this process may only read, and there is no file to lock.
        """
        refusal = f"store.url: {self.path} is just being restored; try again"
        if self.access is Access.READ:
            return locks.lock_use_file_for_reading(self.path, refusal)
        return locks.lock_use_file(self.path, fcntl.LOCK_SH, refusal)

    def remember_file(self) -> None:
        """Remember which file was opened, and keep a connection to it until `close_kept_open`.

        In WAL mode, closing the last connection removes the log, and the next connection creates a new
        one. On a disk that refuses writes, that would make the database unreadable.
        """
        self.inode = _inode(self.path)
        self._kept_connection = self._connect()
        self._kept_connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        self._wal_inode = _inode(self._wal_path)
        # Closed last, because a process that closes a file loses all its POSIX locks on it.
        self._header = os.open(self.path, os.O_RDONLY)
        if self.access is not Access.READ:
            permissions.restrict(self.path)

    def close_kept_open(self) -> None:
        """Close the connection and the file that `remember_file` opened, after all other connections."""
        if self._kept_connection is not None:
            self._kept_connection.close()
            os.close(self._header)
            self._kept_connection = None

    def refuse_replaced(self, inode: Inode) -> None:
        """Check that the open file was not removed, replaced or overwritten, before a write is acknowledged.

        Args:
            inode: the file that was open when the write began.

        Raises:
            StoreLostError: the path has another file or none; an unlinked file still accepts inserts, which
                are lost.
            StoreError: the file no longer starts as a database, which SQLite would notice only at the next start.
        """
        if _inode(self.path) != inode:
            message = f"{self.path} was removed or replaced while it was open"
            raise StoreLostError(message)
        if os.pread(self._header, len(HEADER), 0) != HEADER:
            message = f"{self.path} is not a database any more: something else was written over its beginning"
            raise StoreError(message)

    def was_replaced(self) -> bool:
        """Whether the path has another file now. No connection may be open.

        It removes the previous file's log, whose pages SQLite would write into the new file.

        Raises:
            StoreError: the path has no file.
        """
        inode = _inode(self.path)
        if inode is None:
            message = f"{self.path} was removed; put it or a backup back, or restart the exporter to begin a new one"
            raise StoreError(message)
        if inode == self.inode:
            return False
        if self._wal_inode is not None and _inode(self._wal_path) == self._wal_inode:
            self._wal_path.unlink()
            self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
        return True

    def checks(self) -> list[tuple[bool, str]]:
        """Findings about the database, for people: for each, whether it is good, and a sentence."""
        where = "Python's own" if self.driver is sqlite3 else "bundled with pysqlite3"
        why = "safe since 3.51.3" if self.mode == "wal" else "since a log for writes is not safe before 3.51.3"
        return [
            *((False, finding) for finding in permissions.exposed(self.path)),
            (True, f"SQLite {self.driver.sqlite_version} ({where}): journal mode {self.mode}, {why}; synchronous FULL"),
        ]

    @contextmanager
    def serialized(self) -> Iterator[None]:
        """Without WAL, let only one thread of this process read or write at a time.

        SQLite's own locks would let a reader starve between successive commits.

        Raises:
            StoreError: another thread held the lock for `BUSY_TIMEOUT`.
        """
        if self.mode == "wal":
            yield
            return
        if not self._thread_lock.acquire(timeout=BUSY_TIMEOUT):
            message = f"{self.path} is locked: another thread has read or written it for {BUSY_TIMEOUT} s"
            raise StoreError(message)
        try:
            yield
        finally:
            self._thread_lock.release()

    @contextmanager
    def writer_lock(self) -> Iterator[None]:
        """Hold the lock that serialises the writers of all processes.

        Raises:
            StoreError: another process held the lock for `BUSY_TIMEOUT`.
        """
        lock = os.open(self._lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, permissions.USER_ONLY)
        try:
            deadline = time.monotonic() + BUSY_TIMEOUT
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"another process has held the lock of {self.path} for {BUSY_TIMEOUT} s"
                        raise StoreError(message) from None
                    time.sleep(0.002)
            yield
        finally:
            os.close(lock)

    @property
    def _wal_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def _connect(self) -> Any:  # noqa: ANN401 - of either driver
        # A file that was removed must not reappear as an empty one.
        mode = "rwc" if self.inode is None and self.access is Access.CREATE else "rw"
        reads_only = self.access is Access.READ
        connection = self.driver.connect(
            inspection.reading_uri(self.path) if reads_only else f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,  # the driver begins no transactions; the code below does
            check_same_thread=False,  # the pool gives a connection to one thread at a time
            cached_statements=256,
        )
        try:
            self._apply_settings(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _apply_settings(self, connection: Any) -> None:  # noqa: ANN401 - of either driver
        cursor = connection.cursor()
        for setting in _READ_SETTINGS if self.access is Access.READ else _SETTINGS:
            cursor.execute(f"PRAGMA {setting}")
        if self.access is Access.READ:
            return
        [(mode,)] = cursor.execute(f"PRAGMA journal_mode = {self.mode}").fetchall()
        [(synchronous,)] = cursor.execute("PRAGMA synchronous").fetchall()
        if mode != self.mode or synchronous != SYNCHRONOUS_FULL:
            message = f"SQLite did not accept the settings: journal_mode {mode}, synchronous {synchronous}"
            raise StoreError(message)


def _inode(path: Path) -> Inode:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _begin_transaction(connection: Connection) -> None:
    if connection.get_execution_options().get("writing", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    # A reader runs one statement, which sees one state without a transaction.
