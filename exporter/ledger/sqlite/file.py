"""SQLite as a ledger's file: safe settings, one writer at a time, and the file still there.

https://sqlite.org/wal.html: before 3.51.3 a WAL database that several connections write can be
corrupted ("WAL-reset bug"); older versions get a rollback journal.
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

from exporter.domain.errors import StoreError, StoreLostError, StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from sqlalchemy import URL, Connection, Engine

WAL_SAFE_SINCE = (3, 51, 3)
BUSY_TIMEOUT = 1.2
"""How long to wait for another process; the sender gives up after three seconds."""
CHECKPOINT_PAGES = 4_000
"""From how many pages in the write-ahead log on a commit moves them into the database: 16 MB.

A page that changes often is moved once for all its changes, but whoever commits then waits for it.
docs/performance.md has what was measured with 2,000 and 8,000.
"""
LOG_BYTES = 64 << 20
"""To what the write-ahead log is cut after a flood."""
CACHE_KIB = 16 << 10
SYNCHRONOUS_FULL = 2
HEADER = b"SQLite format 3\0"

Inode = tuple[int, int] | None
"""Which file, on which device; None for none."""

_SETTINGS = (
    f"busy_timeout = {int(BUSY_TIMEOUT * 1000)}",
    "synchronous = FULL",
    f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"journal_size_limit = {LOG_BYTES}",
    f"cache_size = -{CACHE_KIB}",
)


def newest_driver(bundled: str = "pysqlite3.dbapi2") -> ModuleType:
    """Python's own SQLite, or the bundled one where it is installed and newer."""
    try:
        found = importlib.import_module(bundled)
    except ImportError:
        return sqlite3
    return found if found.sqlite_version_info > sqlite3.sqlite_version_info else sqlite3


DRIVER: Any = newest_driver()
SqliteError: type[Exception] = DRIVER.Error
SqliteLockedError: type[Exception] = DRIVER.OperationalError
"""What a database raises that another program has locked, among others; one that is damaged raises its base."""


def journal_mode(version: tuple[int, int, int]) -> str:
    """The journal mode that is safe with several connections in this version of SQLite."""
    return "wal" if version >= WAL_SAFE_SINCE else "truncate"


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection beside the ledger's own, to copy a file or to look into it.

    Args:
        path: the file.
        mode: ``ro``, ``rw``, or ``rwc`` to make it.
    """
    found: sqlite3.Connection = DRIVER.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None
    )
    return found


@contextmanager
def exclusive_use(path: Path) -> Iterator[None]:
    """Keep every other process of this program from having the database open.

    Raises:
        StoreRefusedError: one has it open.
    """
    with _lock_use_file(
        path, fcntl.LOCK_EX, f"{path} is in use: a running exporter or command has it open; stop that first"
    ):
        yield


def _lock_use_file(path: Path, kind: int, refusal: str) -> BinaryIO:
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
        url: of the file; its folder has to be there.
        driver: the module to open it with.

    Attributes:
        engine: what connects to it.
        mode: the journal mode.
        inode: the file that was opened; None before. From then on none is ever made.
    """

    def __init__(self, url: URL, driver: ModuleType) -> None:
        self.path = Path(url.database or "").absolute()
        self._lock = f"{self.path}.lock"
        self.driver: Any = driver
        self.mode = journal_mode(driver.sqlite_version_info)
        if not self.path.parent.is_dir():
            message = (
                f"store.url: there is no folder {self.path.parent} for the database; make it, or give another path"
            )
            raise StoreRefusedError(message)
        self.engine: Engine = create_engine(
            url, module=driver, creator=self._connect, pool_use_lifo=True, pool_timeout=BUSY_TIMEOUT
        )
        event.listen(self.engine, "begin", _begin_transaction)
        self.inode: Inode = None
        self._wal_inode: Inode = None
        self._thread_lock = threading.RLock()
        self._kept_connection: Any = None
        self._header = -1

    def shared_lock(self) -> BinaryIO:
        """Keep others from having the file to themselves, until what is returned is closed."""
        return _lock_use_file(self.path, fcntl.LOCK_SH, f"store.url: {self.path} is just being restored; try again")

    def remember_file(self) -> None:
        """Remember which file was opened, and keep it open until `close_kept_open`.

        In WAL mode the last connection to be closed takes the log away, and the next makes a new
        one; on a disk that refuses writes, nothing could be read any more.
        """
        self.inode = _inode(self.path)
        self._kept_connection = self._connect()
        self._kept_connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        self._wal_inode = _inode(self._wal_path)
        # Closed only with everything else: whoever closes a file loses all locks that it has on it.
        self._header = os.open(self.path, os.O_RDONLY)

    def close_kept_open(self) -> None:
        """Close what was kept open, after everything else."""
        if self._kept_connection is not None:
            self._kept_connection.close()
            os.close(self._header)
            self._kept_connection = None

    def refuse_replaced(self, inode: Inode) -> None:
        """Refuse to acknowledge writes to a file that was removed, replaced or overwritten underneath.

        Args:
            inode: the file that was open before the write began.

        Raises:
            StoreLostError: an open but unlinked file goes on taking inserts that nobody will see.
            StoreError: its beginning is no database's, which SQLite would notice only at the next start.
        """
        if _inode(self.path) != inode:
            message = f"{self.path} was removed or replaced while it was open"
            raise StoreLostError(message)
        if os.pread(self._header, len(HEADER), 0) != HEADER:
            message = f"{self.path} is not a database any more: something else was written over its beginning"
            raise StoreError(message)

    def was_replaced(self) -> bool:
        """Whether another file lies at the path now. Nothing may be connected.

        The log that belongs to the one before is taken away: SQLite would write its pages into the other.

        Raises:
            StoreError: no file lies there.
        """
        found = _inode(self.path)
        if found is None:
            message = f"{self.path} was removed; put it or a backup back, or start again for a new one"
            raise StoreError(message)
        if found == self.inode:
            return False
        if self._wal_inode is not None and _inode(self._wal_path) == self._wal_inode:
            self._wal_path.unlink()
            self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
        return True

    def checks(self) -> list[tuple[bool, str]]:
        """For people: a sentence each on how it is kept, and whether that is as it should be."""
        where = "Python's own" if self.driver is sqlite3 else "bundled with pysqlite3"
        why = "safe since 3.51.3" if self.mode == "wal" else "since a log for writes is not safe before 3.51.3"
        return [
            (True, f"SQLite {self.driver.sqlite_version} ({where}): journal mode {self.mode}, {why}; synchronous FULL"),
        ]

    @contextmanager
    def serialized(self) -> Iterator[None]:
        """Without a log for writes, let the threads of this process read and write in turn.

        SQLite would let a reader try again and again, between commits that follow on each other.

        Raises:
            StoreError: others took too long.
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
        """Hold the lock that serialises the writers of all processes."""
        lock = os.open(self._lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
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
        # A file that is gone must not come back as an empty one.
        mode = "rwc" if self.inode is None else "rw"
        connection = self.driver.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,  # transactions are begun below, and not by the driver
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
        for setting in _SETTINGS:
            cursor.execute(f"PRAGMA {setting}")
        [(mode,)] = cursor.execute(f"PRAGMA journal_mode = {self.mode}").fetchall()
        [(synchronous,)] = cursor.execute("PRAGMA synchronous").fetchall()
        if mode != self.mode or synchronous != SYNCHRONOUS_FULL:
            message = f"SQLite did not take the settings: journal_mode {mode}, synchronous {synchronous}"
            raise StoreError(message)


def _inode(path: Path) -> Inode:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _begin_transaction(connection: Connection) -> None:
    if connection.get_execution_options().get("writing", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    # Whoever reads asks one question at a time, which sees one state by itself.
