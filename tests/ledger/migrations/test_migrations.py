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

OLD_EVENT = (
    "(7, 'shop', x'00ff', '1700000001', 'S3', 'events', 'initiated', '4h', 'k', 1780272000, 1780272000000001,"
    " 1780272000000000, 0, 0, x'7b7d')"
)
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
    assert {"events_once", "events_by_arrival"} <= {each["name"] for each in inspect(connection).get_indexes("events")}


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
    connection.execute(text("INSERT INTO declarations VALUES ('shop', 'nightly', 1)"))
    before = schema(connection)
    migrate(connection)
    assert schema(connection) == before
    assert connection.execute(text("SELECT * FROM declarations")).all() == [("shop", "nightly", 1)]
    assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(HEAD,)]


def test_the_events_of_the_first_release_are_kept_as_they_were(connection: Connection) -> None:
    migrate(connection, "0001")
    connection.execute(text(f"INSERT INTO events VALUES {OLD_EVENT}"))  # noqa: S608 - made up above
    before = connection.execute(text("SELECT * FROM events")).all()
    migrate(connection)
    assert connection.execute(text("SELECT * FROM events")).all() == before
    connection.execute(text("DELETE FROM events"))
    following = OLD_EVENT.replace("7", "NULL", 1)
    connection.execute(text(f"INSERT INTO events VALUES {following}"))  # noqa: S608 - made up above
    assert connection.execute(text("SELECT sequence FROM events")).all() == [(8,)]


def test_every_database_has_an_identity_of_its_own(connection: Connection, tmp_path: Path) -> None:
    migrate(connection)
    engine = create_engine(f"sqlite:///{tmp_path}/other.db")
    with engine.begin() as other:
        migrate(other)
        theirs = other.execute(text("SELECT value FROM facts WHERE name = 'identity'")).scalar_one()
    engine.dispose()
    ours = connection.execute(text("SELECT value FROM facts WHERE name = 'identity'")).scalar_one()
    assert len(ours) == 32
    assert ours != theirs


def test_a_revision_that_this_release_does_not_know_is_refused(connection: Connection) -> None:
    migrate(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))
    with pytest.raises(StoreRefusedError, match=rf"from-tomorrow.*{HEAD}"):
        migrate(connection)


def test_the_newest_revision_is_the_last_of_the_scripts() -> None:
    assert HEAD == NEWEST


def _plain(statement: str) -> str:
    return " ".join(statement.split())
