"""A SQL database as the ledger uses it: one transaction at a time to write, errors as sentences."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from exporter.errors import StoreError, StoreRefusedError
from exporter.migrations import migrate
from exporter.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Row, Select, Table

Observer = Callable[[str, float, bool], None]


class Database:
    """An open database whose tables are this release's.

    Args:
        url: as SQLAlchemy writes it.
        observe: told of every operation: its name, how many seconds it took, whether it failed.

    Raises:
        StoreRefusedError: it cannot be opened, or a newer release wrote it.
    """

    def __init__(self, url: str, observe: Observer = lambda *_: None) -> None:
        self._observe = observe
        try:
            self._engine = create_engine(url)
        except (SQLAlchemyError, ImportError) as error:
            message = f"store.url: {error}"
            raise StoreRefusedError(message) from error
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        self._file = SqliteFile(self._engine) if self.is_sqlite else None
        self._claim = self._file.claim() if self._file else None
        try:
            with self.writing("open") as connection:
                migrate(connection)
        except StoreRefusedError:
            self.close()
            raise
        except (StoreError, OSError) as error:
            self.close()
            message = f"store.url: cannot open {self._engine.url.render_as_string()}: {error}"
            raise StoreRefusedError(message) from error
        if self._file is not None:  # pragma: no branch - without a file only on PostgreSQL, which no setting allows yet
            self._file.opened()

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert in this database's dialect, with ``on_conflict_…``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """All rows of a query.

        Raises:
            StoreError: what the database said.
        """
        with self._told("read"):
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            self._check_file("read")
            return rows

    @contextmanager
    def writing(self, operation: str) -> Iterator[Connection]:
        """A transaction that is on disk when this ends, under a name for the metrics.

        Raises:
            StoreError: what the database said.
        """
        with self._told(operation), self._file.only_writer() if self._file else nullcontext():
            self._check_file(operation)
            with self._engine.connect().execution_options(writing=True) as connection, connection.begin():
                yield connection
            self._check_file(operation)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        if self._claim is not None:  # pragma: no branch - None on PostgreSQL, which no setting allows yet
            self._claim.close()

    def _check_file(self, operation: str) -> None:
        if self._file is not None and operation != "open":
            self._file.still_there()

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
        except OSError as error:
            raise StoreError(str(error)) from error
        finally:
            self._observe(operation, time.perf_counter() - began, failed)
