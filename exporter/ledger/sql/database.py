"""An open database: transactions, retries, reopening a replaced SQLite file, errors as `StoreError`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, make_url, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from exporter.domain.errors import StoreError, StoreLostError, StoreRefusedError, StoreUnreachableError
from exporter.ledger.access import Access
from exporter.ledger.migrations import migrate, refuse_other_tables, refuse_without_tables
from exporter.ledger.postgres import engine
from exporter.ledger.schema import LEDGER_ID, UNFINISHED_COPY_OF, metadata_table
from exporter.ledger.schema_check import refuse_foreign_schema
from exporter.ledger.sqlite.file import DRIVER, SqliteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from sqlalchemy import URL, Connection, Engine, Row, Select, Table
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.engine.interfaces import DBAPICursor

    from exporter.ledger.sqlite.file import Inode

OperationObserver = Callable[[str, float, bool], None]
RETRY_SECONDS = 0.5
"""Seconds after which no second connection is tried."""


_WRONG_TLS = (
    "the server answers, but not with the TLS that sslmode asks for: check the host name, sslrootcert, and that the "
    "server has TLS"
)


class Database:
    """An open database with this release's tables. Safe for several threads.

    After a failure, the next operation uses another connection. If the SQLite file was removed or
    replaced, it opens the file that the path has then.

    Args:
        url: SQLAlchemy's URL.
        observe: called after every operation with its name, its seconds, and whether it failed.
        driver: the DB-API module for a SQLite file; by default the one with the newest SQLite.
        unfinished: accept an unfinished copy; transactions may then take long, because no sender waits.
        access: what it is opened for.

    Attributes:
        ledger_id: a random text that identifies the database. It changes if another file replaces the
            open one, even a copy of it.

    Raises:
        StoreUnreachableError: its server does not accept connections now.
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
        self._observe = observe
        self._access = access
        self._unfinished = unfinished
        self.ledger_id = ""
        self._is_lost = False
        self._replaced = 0
        self._reopening = threading.Lock()
        self._compiled: dict[Select[Any], tuple[str, Sequence[str], Mapping[str, Any]]] = {}
        self._file: SqliteFile | None = None
        try:
            parsed = _parse(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if self.is_sqlite:
                self._file = SqliteFile(parsed, driver or DRIVER, access)
            self._engine: Engine = self._file.engine if self._file else engine.create_postgres_engine(parsed)
        except (SQLAlchemyError, ImportError) as error:
            message = f"store.url: {error}"
            raise StoreRefusedError(message) from error
        self._shared_lock = self._file.shared_lock() if self._file else None
        try:
            self._open()
        except StoreRefusedError:
            self.close()
            raise
        except (StoreError, OSError) as error:
            self.close()
            message = f"store.url: cannot open {parsed.render_as_string()}: {error}"
            if not self.is_sqlite:
                if engine.is_away(parsed, error):
                    raise StoreUnreachableError(message) from error
                if engine.refuses_tls(parsed):
                    message += f"; {_WRONG_TLS}"
            raise StoreRefusedError(message) from error

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert in this database's dialect, with ``on_conflict_…``."""
        if self.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - SQLite needs none of it

        return postgresql.insert(table)

    def cached_query(self, query: Select[Any], **values: object) -> Sequence[tuple[Any, ...]]:
        """All rows of a query object that is reused: one that runs at every scrape, or returns many rows.

        In SQLite it uses of SQLAlchemy only the connection pool. That takes 20 µs instead of 100, or
        instead of 400 when other work has filled the CPU's caches.

        Raises:
            StoreError: the database failed.
        """
        if self._file is None:
            return [tuple(row) for row in self.rows(query, **values)]
        with self._translate_errors("read"), self._file.serialized():
            inode = self._reopen_if_lost()
            sql, names, fixed = self._compile(query)
            with self._cursor() as cursor:
                cursor.execute(sql, [values[name] if name in values else fixed[name] for name in names])
                rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
            self._check_file(inode)
            return rows

    def rows(self, query: Select[Any], **values: object) -> Sequence[Row[Any]]:
        """All rows of a query, with ``values`` for its parameters.

        In SQLite each row costs a handover of the interpreter's lock, so a query of many rows should
        aggregate them into one value.

        Raises:
            StoreError: the database failed.
        """
        with self._translate_errors("read"), self._file.serialized() if self._file else nullcontext():
            inode = self._reopen_if_lost()
            with self._transaction(writing=False) as connection:
                rows = connection.execute(query, values).all()
            self._check_file(inode)
            return rows

    @contextmanager
    def writing(self, operation: str) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends; ``operation`` is its name in the metrics.

        Raises:
            StoreError: the database failed.
        """
        with self._translate_errors(operation), self._writer_lock():
            inode = self._reopen_if_lost()
            with self._transaction(writing=True) as connection:
                yield connection
            self._check_file(inode)

    @contextmanager
    def appending(self, *, begin: bool = True) -> Iterator[DBAPICursor]:
        """A transaction as in `writing`, as a cursor of the driver.

        In SQLite it uses of SQLAlchemy only the connection pool. That saves 80 µs of the 300 to 480 that
        a commit of one to 16 events takes.

        Args:
            begin: begin a transaction. False, in SQLite only, for a single statement, which is its own.

        Raises:
            StoreError: the database failed.
        """
        if self._file is None:
            with self.writing("append") as connection:
                yield connection.connection.cursor()
            return
        with self._translate_errors("append"), self._writer_lock():
            inode = self._reopen_if_lost()
            with self._cursor() as cursor:
                if begin:
                    cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                if begin:
                    cursor.execute("COMMIT")
            self._check_file(inode)

    @contextmanager
    def _cursor(self) -> Iterator[DBAPICursor]:
        """A cursor of the driver on a pooled connection, which is discarded after a failure."""
        pooled = self._engine.raw_connection()
        try:
            yield pooled.cursor()
        except BaseException:
            pooled.invalidate()  # as `_transaction` does
            raise
        pooled.close()

    def checks(self) -> list[tuple[bool, str]]:
        """Findings about the database, for people: for each, whether it is good, and a sentence."""
        if self._file is not None:
            return self._file.checks()
        with self._translate_errors("read"), self._transaction(writing=False) as connection:
            return engine.checks(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        if self._file is not None and self._shared_lock is not None:
            self._file.close_kept_open()
            self._shared_lock.close()

    def _compile(self, query: Select[Any]) -> tuple[str, Sequence[str], Mapping[str, Any]]:
        """A query as SQL for SQLite, the names of its parameters in order, and the values fixed in the query."""
        compiled_query = self._compiled.get(query)
        if compiled_query is None:
            compiled = query.compile(dialect=self._engine.dialect)
            compiled_query = self._compiled[query] = str(compiled), compiled.positiontup or (), dict(compiled.params)
        return compiled_query

    @contextmanager
    def _writer_lock(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        with self._file.writer_lock(), self._file.serialized():
            yield

    @contextmanager
    def _transaction(self, *, writing: bool, opening: bool = False) -> Iterator[Connection]:
        with self._begin(writing=writing, opening=opening or self._unfinished) as connection:
            try:
                yield connection
                connection.commit()
            except BaseException:
                # The connection itself may be broken. Discarding it also rolls the transaction back.
                connection.invalidate()
                raise

    def _begin(self, *, writing: bool, opening: bool) -> Connection:
        """A connection in a transaction; a second one if the pool's had been dropped by the server."""
        began = time.monotonic()
        while True:
            connection = self._engine.connect().execution_options(writing=writing, opening=opening)
            try:
                connection.begin()
            except BaseException as error:
                connection.invalidate()
                connection.close()
                dropped = isinstance(error, DBAPIError) and error.connection_invalidated
                if not dropped or time.monotonic() - began > RETRY_SECONDS:
                    raise
                began = -RETRY_SECONDS  # once
            else:
                return connection

    def _open(self) -> None:
        if self._access is Access.READ:
            with self._translate_errors("open"):
                self._load_metadata()
            return
        with self._translate_errors("open"), self._writer_lock():
            self._migrate()

    def _migrate(self) -> None:
        with self._transaction(writing=True, opening=True) as connection:
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(engine.MIGRATION_LOCK)))
            if self._access is not Access.CREATE:
                refuse_without_tables(connection)
            migrate(connection)
        self._load_metadata()

    def _load_metadata(self) -> None:
        with self._transaction(writing=False, opening=True) as connection:
            refuse_other_tables(connection)
            refuse_foreign_schema(connection)
            stored_metadata = {row.name: row.value for row in connection.execute(select(metadata_table))}
        if UNFINISHED_COPY_OF in stored_metadata and not self._unfinished:
            message = "store.url: is an unfinished copy of another store; run migrate-store again, and let it finish"
            raise StoreRefusedError(message)
        ledger_id = stored_metadata[LEDGER_ID]
        self.ledger_id = f"{ledger_id}.{self._replaced}" if self._replaced else ledger_id
        if self._file is not None:
            self._file.remember_file()

    def _reopen_if_lost(self) -> Inode:
        """If the open file was lost, open the one that the path has now; called before every operation.

        Returns:
            The file that is open. The operation has to check afterwards that the path still has it, because
            another thread may have opened yet another file.
        """
        if self._is_lost:
            with self._reopening:
                self._reopen()
        inode = self._file.inode if self._file is not None else None
        self._check_file(inode)
        return inode

    def _reopen(self) -> None:
        if not self._is_lost or self._file is None:
            return  # another thread was faster
        self._engine.dispose()
        self._file.close_kept_open()
        if self._file.was_replaced():
            self._replaced += 1
        try:
            self._file.refuse_foreign(Access.READ)
        except StoreRefusedError as error:
            message = f"{self._file.path} was replaced by something that is not a store: {error}"
            raise StoreError(message) from error
        if self._access is Access.READ:
            self._load_metadata()
        else:
            self._migrate()
        self._is_lost = False

    def _check_file(self, inode: Inode) -> None:
        if self._file is not None:
            try:
                self._file.refuse_replaced(inode)
            except StoreLostError:
                self._is_lost = True
                raise

    @contextmanager
    def _translate_errors(self, operation: str) -> Iterator[None]:
        """Raise the database's errors as a `StoreError` with their message, and report the operation."""
        began, failed = time.perf_counter(), True
        try:
            yield
            failed = False
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(" ".join(str(cause).split())) from error
        except (OSError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise StoreError(" ".join(str(error).split())) from error
        finally:
            self._observe(operation, time.perf_counter() - began, failed)


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ValueError as error:
        # SQLAlchemy's message may contain a part of the password.
        message = "store.url: its port is not a number; write characters such as @ : / in a password as %40 %3A %2F"
        raise StoreRefusedError(message) from error
