"""A store is opened only with exactly this release's tables, and a commit that wrote less than it should fails."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from builders import accepted_event, event
from exporter.domain.errors import StoreError, StoreRefusedError
from exporter.ledger.schema_check import SQLITE_OBJECTS, sqlite_problems
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.backup import back_up, restore, summarize_store
from exporter.ledger.sqlite.file import connect

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = "CREATE TRIGGER {} BEFORE INSERT ON {} BEGIN SELECT raise(IGNORE); END"
FIRST, SECOND = (accepted_event(event("initiated", 1_700_000_000.0, request_id=name)) for name in ("1", "2"))


def doctored(path: Path, statement: str) -> None:
    with closing(connect(path, "rw")) as database:
        database.execute(statement)


DOCTORED = {
    "trigger thief is foreign": IGNORE.format("thief", "events"),
    "view quarantined is foreign": "CREATE VIEW quarantined AS SELECT 1",
    "table other is foreign": "CREATE TABLE other (a)",
    "index other is foreign": "CREATE INDEX other ON events (body)",
    "table events was changed": "ALTER TABLE events ADD COLUMN other TEXT",
    "index events_unique is missing": "DROP INDEX events_unique",
    "trigger request_ids_after_insert is missing": "DROP TRIGGER request_ids_after_insert",
}


@pytest.mark.parametrize(("problem", "statement"), DOCTORED.items(), ids=DOCTORED)
def test_a_doctored_sqlite_store_is_neither_opened_nor_restored(tmp_path: Path, problem: str, statement: str) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqlLedger(f"sqlite:///{path}")) as ledger:
        ledger.append([FIRST])
    copy = tmp_path / "copy.db"
    back_up(path, copy, lambda *_: None)
    for file in (path, copy):
        doctored(file, statement)
    for opening in (
        lambda: SqlLedger(f"sqlite:///{path}"),
        lambda: summarize_store(copy),
        lambda: restore(copy, path, 2e9, lambda *_: None),
    ):
        with pytest.raises(StoreRefusedError, match=problem):
            opening()


@pytest.mark.parametrize("batch", [[FIRST], [FIRST, SECOND] * 20], ids=["one event", "a list"])
def test_a_commit_that_wrote_nothing_is_not_acknowledged(tmp_path: Path, batch: list[object]) -> None:
    """Somebody adds a trigger to a store that is open."""
    path = tmp_path / "ledger.db"
    with closing(SqlLedger(f"sqlite:///{path}")) as ledger:
        doctored(path, IGNORE.format("thief", "events"))
        for _ in range(2):
            with pytest.raises(StoreError, match="the database ignored what was written"):
                ledger.append(batch)  # type: ignore[arg-type]
        doctored(path, "DROP TRIGGER thief")
        assert ledger.append([FIRST, SECOND, FIRST]) == [True, True, False]


POSTGRES = {
    "table events has a trigger": """
        CREATE FUNCTION thief() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER thief BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION thief()
    """,
    "table events has a rule": "CREATE RULE thief AS ON INSERT TO events DO INSTEAD NOTHING",
    "table events is not a plain table": "ALTER TABLE events RENAME TO old; CREATE VIEW events AS SELECT * FROM old",
    "table events has other columns": "ALTER TABLE events ADD COLUMN other TEXT",
    "table events has a row policy": "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
    "table baselines is missing": "DROP TABLE baselines",
    "table events is in schema thief, and others are in public": """
        CREATE SCHEMA thief; CREATE TABLE thief.events (LIKE events INCLUDING ALL);
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = thief, public', current_database()); END $$
    """,
}


@pytest.mark.parametrize(("problem", "statement"), POSTGRES.items(), ids=POSTGRES)
def test_a_doctored_postgres_store_is_not_opened(postgres_url: str, problem: str, statement: str) -> None:
    SqlLedger(postgres_url).close()
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    with pytest.raises(StoreRefusedError, match=problem):
        SqlLedger(postgres_url)


def test_a_commit_that_postgres_ignored_is_not_acknowledged(postgres_url: str) -> None:
    with closing(SqlLedger(postgres_url)) as ledger:
        engine = create_engine(postgres_url)
        with engine.begin() as connection:
            connection.execute(text(POSTGRES["table events has a trigger"]))
        engine.dispose()
        with pytest.raises(StoreError, match="the database ignored what was written"):
            ledger.append([FIRST, SECOND])


def test_the_triggers_are_those_of_the_migration(tmp_path: Path) -> None:
    with closing(SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")):
        pass
    with closing(connect(tmp_path / "ledger.db", "rw")) as database:
        assert sqlite_problems(database.execute(SQLITE_OBJECTS)) == []
