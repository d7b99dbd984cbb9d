"""Examines a SQLite file before it is opened, without changing anything: is it a ledger, and whose files are there?"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.domain.errors import StoreRefusedError
from exporter.ledger.access import Access
from exporter.ledger.migrations import refuse_unknown

if TYPE_CHECKING:
    from types import ModuleType

HEADER = b"SQLite format 3\0"
OUR_TABLES = frozenset({"alembic_version", "events"})
"""Tables that every ledger has."""
_WAL_FORMAT = 2
_READ_VERSION_AT = 19
MAX_LISTED = 5


def reading_uri(path: Path) -> str:
    """Return the URI to read a database with read permission alone.

    SQLite creates files beside a database in WAL mode even to read it. If there is no log, no process has
    the database open, and it is read as a file that does not change.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return f"{uri}&immutable=1" if _has_wal_format(path) and not Path(f"{path}-wal").exists() else uri


def refuse_foreign(path: Path, access: Access, driver: ModuleType) -> None:
    """Refuse a file that is not a ledger of this release, or one that is missing but should not be created.

    Raises:
        StoreRefusedError: the message says what it is.
    """
    if not path.exists():
        if access is not Access.CREATE:
            message = f"store.url: there is no database at {path}; start the exporter first, or give its --config"
            raise StoreRefusedError(message)
        return
    if not path.is_file():
        message = f"store.url: cannot open {path}: it is not a file; give another path"
        raise StoreRefusedError(message)
    try:
        with path.open("rb") as file:
            header = file.read(len(HEADER))
    except OSError as error:
        message = f"store.url: cannot open {path}: {error.strerror}; run this as a user who may read it"
        raise StoreRefusedError(message) from error
    if header not in {b"", HEADER}:
        message = f"store.url: {path} is not a database of SQLite; give another path"
        raise StoreRefusedError(message)
    tables, revision = _examine(path, driver)
    if not tables and access is Access.CREATE:
        return
    if not tables >= OUR_TABLES:
        names = sorted(tables)
        found = f"has the tables of another program ({', '.join(names[:MAX_LISTED])})" if names else "is empty"
        message = f"store.url: {path} is not a store of this exporter: it {found}; give another path"
        raise StoreRefusedError(message)
    refuse_unknown(revision)


def _examine(path: Path, driver: ModuleType) -> tuple[set[str], str | None]:
    """Return the names of the tables, and the revision of a ledger's."""
    # First without the log: to read that as well, SQLite may have to create a file.
    uri = path.absolute().as_uri()
    try:
        tables, revision = _read_tables(f"{uri}?mode=ro&immutable=1", driver)
    except _errors(driver):
        tables, revision = set(), None
    if tables or not Path(f"{path}-wal").exists():
        return tables, revision
    try:
        return _read_tables(f"{uri}?mode=ro", driver)
    except _errors(driver) as error:
        message = f"store.url: cannot open {path}: {error}"
        raise StoreRefusedError(message) from error


def _read_tables(uri: str, driver: ModuleType) -> tuple[set[str], str | None]:
    connect: Any = driver.connect
    with closing(connect(uri, uri=True)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables >= OUR_TABLES:
            return tables, None
        revisions = database.execute("SELECT version_num FROM alembic_version").fetchall()
        return tables, revisions[0][0] if revisions else None


def _errors(driver: ModuleType) -> type[Exception]:
    error: type[Exception] = driver.Error
    return error


def _has_wal_format(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_READ_VERSION_AT + 1)[_READ_VERSION_AT:] == bytes([_WAL_FORMAT])
