"""The migrations make the tables that the code believes in, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from exporter.errors import StoreRefusedError
from exporter.migrations import migrate
from exporter.sql_schema import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path}/ledger.db")
    with engine.begin() as begun:
        yield begun
    engine.dispose()


def schema(connection: Connection) -> list[str]:
    rows = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"))
    return [row.sql for row in rows]


def test_the_migrated_tables_are_those_of_the_schema(connection: Connection) -> None:
    migrate(connection)
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    assert compare_metadata(context, metadata) == []
    assert {"events_by_request", "events_by_group", "events_by_arrival"} <= {
        each["name"] for each in inspect(connection).get_indexes("events")
    }


def test_the_statements_are_the_same_as_of_tables_made_from_the_schema(connection: Connection, tmp_path: Path) -> None:
    migrate(connection)
    engine = create_engine(f"sqlite:///{tmp_path}/made.db")
    with engine.begin() as made:
        metadata.create_all(made)
        wanted = [_plain(each) for each in schema(made)]
    engine.dispose()
    found = [_plain(each) for each in schema(connection) if "alembic_version" not in each]
    assert found == wanted


def test_migrating_again_changes_nothing(connection: Connection) -> None:
    migrate(connection)
    connection.execute(text("INSERT INTO declarations VALUES ('shop', 'nightly', 1)"))
    before = schema(connection)
    migrate(connection)
    assert schema(connection) == before
    assert connection.execute(text("SELECT * FROM declarations")).all() == [("shop", "nightly", 1)]
    assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [("0001",)]


def test_a_revision_that_this_release_does_not_know_is_refused(connection: Connection) -> None:
    migrate(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))
    with pytest.raises(StoreRefusedError, match=r"from-tomorrow.*0001"):
        migrate(connection)


def _plain(statement: str) -> str:
    return " ".join(statement.split())
