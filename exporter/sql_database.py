"""A SQL database as the ledger uses it: one transaction at a time to write, errors as sentences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from exporter.errors import StoreError, StoreRefusedError
from exporter.migrations import migrate
from exporter.sql_schema import UNFINISHED, facts
from exporter.sqlite_file import DRIVER, SqliteFile, StoreLostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from sqlalchemy import Connection, Engine, Row, Select, Table

    from exporter.sqlite_file import Inode

Observer = Callable[[str, float, bool], None]


class Database:
    """An open database whose tables are this release's, for several threads.

    Whatever failed, the next operation begins anew: with another connection, and where the file
    was removed or replaced, with the one that lies there now.

    Args:
        url: as SQLAlchemy writes it.
        observe: told of every operation: its name, how many seconds it took, whether it failed.
        driver: the module to open a SQLite file with; by default the newest there is.
        unfinished: whether it may be a copy that is not whole yet.

    Attributes:
        identity: a random text that came with the database. It changes when another file is put in
            its place, even where that is a copy of it.

    Raises:
        StoreRefusedError: it cannot be opened, or a newer release wrote it.
    """

    def __init__(
        self,
        url: str,
        observe: Observer = lambda *_: None,
        driver: ModuleType | None = None,
        *,
        unfinished: bool = False,
    ) -> None:
        self._observe = observe
        self._unfinished = unfinished
        self.identity = ""
        self._lost = False
        self._replaced = 0
        self._reopening = threading.Lock()
        self._file: SqliteFile | None = None
        try:
            parsed = make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if self.is_sqlite:
                self._file = SqliteFile(parsed, driver or DRIVER)
            self._engine: Engine = self._file.engine if self._file else create_engine(parsed)
        except (SQLAlchemyError, ImportError) as error:
            message = f"store.url: {error}"
            raise StoreRefusedError(message) from error
        self._claim = self._file.claim() if self._file else None
        try:
            self._open()
        except StoreRefusedError:
            self.close()
            raise
        except (StoreError, OSError) as error:
            self.close()
            message = f"store.url: cannot open {parsed.render_as_string()}: {error}"
            raise StoreRefusedError(message) from error

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert in this database's dialect, with ``on_conflict_…``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """All rows of a query.

        In SQLite each row costs a handover of the interpreter's lock: where many are read, let the
        database make one value of them.

        Raises:
            StoreError: what the database said.
        """
        with self._told("read"):
            inode = self._find_again()
            with self._transaction(writing=False) as connection:
                rows = connection.execute(query).all()
            self._check_file(inode)
            return rows

    @contextmanager
    def writing(self, operation: str) -> Iterator[Connection]:
        """A transaction that is on disk when this ends, under a name for the metrics.

        Raises:
            StoreError: what the database said.
        """
        with self._told(operation), self._only_writer():
            inode = self._find_again()
            with self._transaction(writing=True) as connection:
                yield connection
            self._check_file(inode)

    def checks(self) -> list[tuple[bool, str]]:
        """For people: a sentence each on what it is, and whether that is as it should be."""
        return self._file.checks() if self._file is not None else []

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        if self._file is not None and self._claim is not None:  # pragma: no branch - not on PostgreSQL
            self._file.release()
            self._claim.close()

    def _only_writer(self) -> Any:  # noqa: ANN401 - a context manager of one kind or another
        return self._file.only_writer() if self._file else nullcontext()

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        with self._engine.connect().execution_options(writing=writing) as connection:
            try:
                with connection.begin():
                    yield connection
            except BaseException:
                # Whatever it was, it may have been the connection's fault.
                connection.invalidate()
                raise

    def _open(self) -> None:
        with self._told("open"), self._only_writer():
            self._migrate()

    def _migrate(self) -> None:
        with self._transaction(writing=True) as connection:
            migrate(connection)
            known = {row.name: row.value for row in connection.execute(select(facts))}
        if UNFINISHED in known and not self._unfinished:
            message = "store.url: is an unfinished copy of another ledger; start migrate-store again, and let it finish"
            raise StoreRefusedError(message)
        own = known["identity"]
        self.identity = f"{own}.{self._replaced}" if self._replaced else own
        if self._file is not None:  # pragma: no branch - without a file only on PostgreSQL, which no setting allows yet
            self._file.opened()

    def _find_again(self) -> Inode:
        """Open what lies at the path now, where what was open is gone; before anything is asked of it.

        Returns:
            The file that is open from now on; after the operation it has to be there still, even
            where another thread has opened yet another.
        """
        if self._lost:
            with self._reopening:
                self._reopen()
        inode = self._file.inode if self._file is not None else None
        self._check_file(inode)
        return inode

    def _reopen(self) -> None:
        if not self._lost or self._file is None:
            return  # another thread was faster
        self._engine.dispose()
        self._file.release()
        if self._file.is_another():
            self._replaced += 1
        with self._transaction(writing=False) as connection:
            if not inspect(connection).has_table("alembic_version"):
                message = f"{self._file.path} was replaced by something that is no ledger"
                raise StoreError(message)
        self._migrate()
        self._lost = False

    def _check_file(self, inode: Inode) -> None:
        if self._file is not None:
            try:
                self._file.check(inode)
            except StoreLostError:
                self._lost = True
                raise

    @contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        """Turn what the database raises into a `StoreError` that says what it said."""
        began, failed = time.perf_counter(), True
        try:
            yield
            failed = False
        except SQLAlchemyError as error:
            said = getattr(error, "orig", None) or error
            raise StoreError(str(said)) from error
        except (OSError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise StoreError(str(error)) from error
        finally:
            self._observe(operation, time.perf_counter() - began, failed)
