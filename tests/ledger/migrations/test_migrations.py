"""The migrations make the tables that the code believes in, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, inspect, text

from databases import compare_indexes_of
from exporter.domain.errors import StoreRefusedError
from exporter.ledger import migrations
from exporter.ledger.migrations import NEWEST, migrate
from exporter.ledger.schema import sqlite_metadata, tables_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

HEAD = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path}/ledger.db")
    with engine.begin() as begun:
        yield begun
    engine.dispose()


def schema(connection: Connection) -> list[str]:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"))
    return [row.sql for row in rows]


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # of which the next test tells
def test_the_migrated_tables_are_those_of_the_schema(connection: Connection) -> None:
    migrate(connection)
    opts = {"compare_type": True, "compare_server_default": True, "include_object": compare_indexes_of("sqlite")}
    context = MigrationContext.configure(connection, opts=opts)
    everything = MetaData()
    for table in (*tables_metadata.tables.values(), *sqlite_metadata.tables.values()):
        table.to_metadata(everything)
    assert compare_metadata(context, everything) == []
    assert {"events_unique", "events_by_arrival"} <= {
        each["name"] for each in inspect(connection).get_indexes("events")
    }


def test_the_statements_are_the_same_as_of_tables_made_from_the_schema(connection: Connection, tmp_path: Path) -> None:
    migrate(connection)
    engine = create_engine(f"sqlite:///{tmp_path}/made.db")
    with engine.begin() as made:
        tables_metadata.create_all(made)
        sqlite_metadata.create_all(made)
        wanted = [_plain(each) for each in schema(made)]
    engine.dispose()
    statements = [_plain(each) for each in schema(connection) if "alembic_version" not in each]
    found = [each for each in statements if not each.startswith("CREATE TRIGGER")]  # of which SQLAlchemy knows nothing
    assert found == wanted


def test_migrating_again_changes_nothing(connection: Connection) -> None:
    migrate(connection)
    connection.execute(text("INSERT INTO declared_exports VALUES ('shop', 'nightly', 1, 0)"))
    before = schema(connection)
    migrate(connection)
    assert schema(connection) == before
    assert connection.execute(text("SELECT * FROM declared_exports")).all() == [("shop", "nightly", 1, 0)]
    assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(HEAD,)]


def test_every_database_has_a_ledger_id_of_its_own(connection: Connection, tmp_path: Path) -> None:
    migrate(connection)
    engine = create_engine(f"sqlite:///{tmp_path}/other.db")
    with engine.begin() as other:
        migrate(other)
        theirs = other.execute(text("SELECT value FROM metadata WHERE name = 'ledger_id'")).scalar_one()
    engine.dispose()
    ours = connection.execute(text("SELECT value FROM metadata WHERE name = 'ledger_id'")).scalar_one()
    assert len(ours) == 32
    assert ours != theirs


def test_a_revision_that_this_release_does_not_know_is_refused(connection: Connection) -> None:
    migrate(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))
    with pytest.raises(StoreRefusedError, match=rf"from-tomorrow.*{HEAD}"):
        migrate(connection)


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_a_database_made_before_the_first_release_is_refused(connection: Connection, revision: str) -> None:
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
    before = schema(connection)
    with pytest.raises(StoreRefusedError, match=rf"made before release 0\.1\.0.*{revision}.*start with a new one"):
        migrate(connection)
    assert schema(connection) == before


def test_the_newest_revision_is_the_last_of_the_scripts() -> None:
    assert HEAD == NEWEST


def _plain(statement: str) -> str:
    return " ".join(statement.split())
