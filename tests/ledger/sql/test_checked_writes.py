"""No write of the ledger counts as done if the database ignored it, such as by a trigger in an open store."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from builders import accepted_event, event
from exporter.domain.decisions import RETIRE, Decision
from exporter.domain.epochs import GIVEN
from exporter.domain.errors import StoreError
from exporter.domain.events import RefusedBody
from exporter.domain.exports import DETECTED, ExportKey
from exporter.domain.terms import Terms
from exporter.ledger.checkpoint_store import Checkpoint, PruningState
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.domain.epochs import Epoch

NOW = 1_700_000_000.0
DECISION = Decision(RETIRE, ExportKey("shop", DETECTED, "1"), NOW, 0, "someone", "no longer needed")
TERMS = {("shop", "nightly"): Terms(86400, 3600)}
REFUSED = [RefusedBody("shop", NOW, 400, "made up", 1, b"x")]

WRITES: list[tuple[str, Callable[[SqlLedger, Epoch], object]]] = [
    ("INSERT ON heartbeats", lambda ledger, epoch: ledger.record_heartbeat("one", NOW, epoch)),
    ("UPDATE ON epochs", lambda ledger, epoch: ledger.record_heartbeat("one", NOW, epoch)),
    ("INSERT ON epochs", lambda ledger, _: ledger.begin_epoch("boot", 0, 0, renew=True)),
    ("UPDATE ON epochs", lambda ledger, epoch: ledger.correct_epochs({epoch.id: 1})),
    ("INSERT ON decisions", lambda ledger, _: ledger.append_decision(DECISION)),
    ("INSERT ON declared_exports", lambda ledger, _: ledger.record_declarations(TERMS, NOW)),
    ("INSERT ON declared_terms", lambda ledger, _: ledger.record_terms(TERMS, NOW)),
    ("INSERT ON metadata", lambda ledger, _: ledger.record_backup(NOW)),
    ("INSERT ON refused_bodies", lambda ledger, _: ledger.bodies.add_refused(REFUSED)),
    ("INSERT ON checkpoint_rows", lambda ledger, _: write_checkpoint(ledger)),
    ("INSERT ON baselines", lambda ledger, _: prune(ledger)),
    ("DELETE ON events", lambda ledger, _: prune(ledger)),
]


def write_checkpoint(ledger: SqlLedger) -> None:
    assert ledger.checkpoints.write_rows(0, Checkpoint(1, 1, "", 0, ""), {"key": "text"})


def prune(ledger: SqlLedger) -> None:
    assert ledger.checkpoints.prune(PruningState(), [1], {"key": "text"}, 1, lambda *_: False)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_write_that_the_database_ignored_fails(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    is_sqlite = database == "sqlite"
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if is_sqlite else request.getfixturevalue("postgres_url")
    engine = create_engine(url)
    with closing(SqlLedger(url)) as ledger:
        ledger.append([accepted_event(event("initiated", NOW))])
        epoch = ledger.begin_epoch("boot", 0, 0)
        assert epoch != GIVEN
        if not is_sqlite:
            with engine.begin() as connection:
                connection.execute(
                    text("CREATE FUNCTION thief() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
                )
        for target, write in WRITES:
            each = "BEGIN SELECT raise(IGNORE); END" if is_sqlite else "FOR EACH ROW EXECUTE FUNCTION thief()"
            with engine.begin() as connection:
                connection.execute(text(f"CREATE TRIGGER thief BEFORE {target} {each}"))
            with pytest.raises(StoreError, match="the database ignored what was written: 0 of 1 rows"):
                write(ledger, epoch)
            with engine.begin() as connection:
                table = "" if is_sqlite else f" ON {target.rpartition(' ')[2]}"
                connection.execute(text(f"DROP TRIGGER thief{table}"))
        for _, write in WRITES[:-1]:
            write(ledger, epoch)
        assert ledger.decisions()[0].why == DECISION.why
    engine.dispose()
