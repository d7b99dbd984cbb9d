"""Refuses a database with anything that this release did not put there: a foreign trigger could ignore every insert.

A backup may come from anywhere, and a database may be changed by hand. SQLite is compared statement by
statement. In PostgreSQL, the kind of each table, its columns, schema and owner, its triggers, rules and policies are.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from exporter.domain.errors import StoreRefusedError
from exporter.ledger.schema import SQLITE_TRIGGERS, postgres_metadata, sqlite_metadata, tables_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

SQLITE_OBJECTS = "SELECT type, name, sql FROM sqlite_master"
"""Everything in a SQLite database."""

_VERSION_TABLE = (
    "CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) )"
)
_SQLITES_OWN = ("sqlite_sequence", "sqlite_stat", "sqlite_autoindex_")

_POSTGRES_TABLES = text("""
    SELECT c.relname AS name, c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhassubclass AS is_table,
        n.nspname AS schema, pg_has_role(current_user, c.relowner, 'USAGE') AS is_ours,
        EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS has_triggers,
        EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid) AS has_rules,
        c.relrowsecurity AS has_policies,
        ARRAY(SELECT attname::text FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attname) AS columns
    FROM unnest(CAST(:names AS text[])) AS given (name)
    JOIN pg_class c ON c.oid = to_regclass(given.name) JOIN pg_namespace n ON n.oid = c.relnamespace
    ORDER BY c.relname
""")


def refuse_foreign_schema(connection: Connection) -> None:
    """Refuse a database whose tables are not exactly this release's.

    Raises:
        StoreRefusedError: names what is foreign, changed or missing.
    """
    if connection.dialect.name == "sqlite":
        _refuse(sqlite_problems(tuple(row) for row in connection.exec_driver_sql(SQLITE_OBJECTS)))
        return
    tables = {**tables_metadata.tables, **postgres_metadata.tables}
    rows = connection.execute(_POSTGRES_TABLES, {"names": list(tables)}).all()
    found = {row.name: row for row in rows}
    problems = [f"table {name} is missing" for name in tables if name not in found]
    for name, row in found.items():
        problems += [f"table {name} {problem}" for problem in _postgres_problems(row, rows[0].schema)]
        if row.columns != sorted(tables[name].columns.keys()):
            problems.append(f"table {name} has other columns")
    _refuse(problems)


def refuse_foreign_objects(objects: Iterable[tuple[str, str, str | None]]) -> None:
    """Refuse a SQLite database by its `SQLITE_OBJECTS`; see `refuse_foreign_schema`."""
    _refuse(sqlite_problems(objects))


def sqlite_problems(objects: Iterable[tuple[str, str, str | None]]) -> list[str]:
    """Describe what of a SQLite database's objects is foreign, changed or missing."""
    missing = dict(_sqlite_statements())
    problems = []
    for kind, name, statement in sorted(objects, key=lambda each: each[1]):
        if kind in {"table", "index"} and name.startswith(_SQLITES_OWN):
            continue
        expected = missing.pop((kind, name), None)
        if expected is None:
            problems.append(f"{kind} {name} is foreign")
        elif _normalized(statement or "") != expected:
            problems.append(f"{kind} {name} was changed")
    return problems + [f"{kind} {name} is missing" for kind, name in missing]


def _postgres_problems(row: Row[tuple[object, ...]], schema: str) -> list[str]:
    faults = {
        "is not a plain table": not row.is_table,
        f"is in schema {row.schema}, and others are in {schema}": row.schema != schema,
        "belongs to another role": not row.is_ours,
        "has a trigger": row.has_triggers,
        "has a rule": row.has_rules,
        "has a row policy": row.has_policies,
    }
    return [fault for fault, is_so in faults.items() if is_so]


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        shown = "; ".join(problems[:5])
        message = (
            f"store.url: the database is not as this release made it, so it may lose events: {shown}: remove what is "
            "foreign, or use another backup"
        )
        raise StoreRefusedError(message)


@cache
def _sqlite_statements() -> dict[tuple[str, str], str]:
    """Return the normalised statements of this release's tables, indexes and triggers, by kind and name."""
    dialect = sqlite.dialect()
    statements = {("table", "alembic_version"): _VERSION_TABLE}
    for table in (*tables_metadata.tables.values(), *sqlite_metadata.tables.values()):
        statements["table", table.name] = _normalized(str(CreateTable(table).compile(dialect=dialect)))
        for index in table.indexes:
            if index._ddl_if is None or index._ddl_if.dialect == "sqlite":  # noqa: SLF001
                statements["index", str(index.name)] = _normalized(str(CreateIndex(index).compile(dialect=dialect)))
    return statements | {("trigger", name): _normalized(sql) for name, sql in SQLITE_TRIGGERS.items()}


def _normalized(statement: str) -> str:
    return " ".join(statement.split())
