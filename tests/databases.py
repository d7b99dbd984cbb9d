"""The databases that a ledger can be kept in, for tests that have to pass on each."""

from __future__ import annotations

import importlib
import sqlite3
from typing import TYPE_CHECKING

from tools import missing

if TYPE_CHECKING:
    from types import ModuleType

SQLITE_DRIVERS = ["sqlite", "bundled-sqlite"]


def sqlite_driver(name: str) -> ModuleType:
    """Python's own SQLite, or the bundled one; where it is not installed, the test is skipped."""
    if name == "sqlite":
        return sqlite3
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return missing("pysqlite3 is not installed")
