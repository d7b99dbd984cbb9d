"""New ledgers in each kind of database, for tests that have to pass on all of them."""

from __future__ import annotations

import importlib
import sqlite3
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from exporter.ledger.sql.ledger import SqlLedger
from tools import missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import pytest

ONLY_IN = {
    "postgresql": {"events_by_request_id", "events_by_group"},
    "sqlite": {"events_by_block_and_request_id", "events_by_block_and_group"},
}
"""The indexes that only one kind of database has."""
SQLITE_DRIVERS = ["sqlite", "bundled-sqlite"]


def sqlite_driver(name: str) -> ModuleType:
    """Return the module of Python's own SQLite or of the bundled one; skip the test if that is not installed."""
    if name == "sqlite":
        return sqlite3
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return missing("pysqlite3 is not installed")


def compare_indexes_of(dialect: str) -> Callable[[object, str | None, str, bool, object], bool]:
    """Return an ``include_object`` for Alembic, which does not know that some indexes are for one database only.

    It leaves out the indexes that the schema has for the other kind. If the database has one of them nevertheless,
    Alembic still reports it.
    """
    others = {"sqlite": "postgresql", "postgresql": "sqlite"}[dialect]
    return lambda _item, name, kind, reflected, _compared: reflected or kind != "index" or name not in ONLY_IN[others]


def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> SqlLedger:
    """Open an empty ledger in the kind of database that the fixture's parameter names."""
    if request.param == "postgresql":
        return SqlLedger(request.getfixturevalue("migrated_url"))
    if request.param == "pgbouncer":
        return SqlLedger(request.getfixturevalue("pooled_url"))
    path = tmp_path / "ledger.db"
    path.write_bytes(_migrated_file(request.param))
    return SqlLedger(f"sqlite:///{path}", driver=sqlite_driver(request.param))


@cache
def _migrated_file(driver: str) -> bytes:
    """Return the content of an empty ledger's file: to migrate one takes five times as long as to open it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        SqlLedger(f"sqlite:///{path}", driver=sqlite_driver(driver)).close()
        return path.read_bytes()
