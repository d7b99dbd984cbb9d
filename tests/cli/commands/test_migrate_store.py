"""A ledger moves to another database: whole, compared, and with every metric as it was."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders import MIDNIGHT, body, vendor_clock
from commands import Store, error_output, run
from exporter.cli.commands.migrate_store import metric_differences
from exporter.config import loader
from exporter.domain.decisions import Decision
from exporter.domain.errors import StoreRefusedError
from exporter.domain.events import QuarantinedBody
from exporter.domain.exports import ExportKey
from exporter.ledger import store_copy
from exporter.ledger.sql.database import Database
from exporter.ledger.sql.ledger import SqlLedger
from monitoring import clean_environment
from restarts import CONFIGURATION, from_the_ledger, send_some_of_everything, start_without_outage
from running import COMMAND, wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

HERE = "sqlite:///dataexport.db"
THERE = "sqlite:///copy.db"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def filled(store: Store) -> Store:
    """A ledger with an event, a quarantined body and a test call, closed."""
    store.deliver("Initiated", 60)
    store.take(b'{"Partner": "Amazon S3"}')
    store.take(b'{"is_test": true}')
    store.ledger.record_declarations([("default", "nightly")], 1)
    store.ledger.record_heartbeat("one", 1)
    store.ledger.close()
    return store


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def decide(url: str) -> None:
    """Mute an export that nobody has, once more."""
    with closing(SqlLedger(url)) as ledger:
        ledger.append_decision(Decision("mute", ExportKey("shop", "declared", "nobody"), 1, 2, "me", "for the test"))
        assert len(ledger.decisions()) == ledger.decisions()[-1].sequence


def migrated(source: str, target: str, tmp_path: Path) -> None:
    """An exporter that has seen everything goes on from the copy as if nothing had been."""
    with LocalExporter(tmp_path, CONFIGURATION, {"DATAEXPORT_STORE_URL": source}) as exporter:
        send_some_of_everything(exporter)
        decide(source)
        before = from_the_ledger(exporter)
        exporter.terminate()
        done = exporter.run("migrate-store", "--config", str(exporter.config_path), "--force", source, target)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout.endswith(" rows copied and compared\n")
        exporter.environment["DATAEXPORT_STORE_URL"] = target
        start_without_outage(exporter)
        assert from_the_ledger(exporter) == before
        decide(target)
        assert exporter.post({"Partner": "Amazon S3"}, "shop").json()["duplicates"] == 1
        assert exporter.post(body("Initiated", vendor_clock(time.time() - 9), "new"), "shop").json()["accepted"] == 1
        newest, *older = exporter.admin("/api/v1/events?limit=1000").json()["events"]
        assert newest["sequence"] > max(each["sequence"] for each in older)


def test_every_series_is_the_same_byte_for_byte_from_another_file(tmp_path: Path) -> None:
    migrated(HERE, THERE, tmp_path)


def test_every_series_is_the_same_byte_for_byte_from_postgresql(postgres_url: str, tmp_path: Path) -> None:
    migrated(HERE, postgres_url, tmp_path)


def test_every_series_is_the_same_byte_for_byte_back_from_postgresql(postgres_url: str, tmp_path: Path) -> None:
    migrated(postgres_url, THERE, tmp_path)


@pytest.mark.proof
def test_a_copy_that_was_killed_goes_on_and_no_exporter_uses_it_before_it_is_whole(tmp_path: Path) -> None:
    count = 20 * store_copy.ROWS_PER_TRANSACTION
    store = Store(tmp_path)
    made = [body("Completed", vendor_clock(MIDNIGHT + number), number) for number in range(count)]
    for first in range(0, count, store_copy.ROWS_PER_TRANSACTION):
        store.take(b"[" + b",".join(made[first : first + store_copy.ROWS_PER_TRANSACTION]) + b"]")
    store.ledger.close()
    copy = tmp_path / "copy.db"

    command = [str(COMMAND), "migrate-store", HERE, THERE]
    environment = clean_environment({})

    def copied() -> int:
        try:
            return len(rows(copy, "SELECT sequence FROM events"))
        except sqlite3.OperationalError:
            return 0

    with subprocess.Popen(command, cwd=tmp_path, env=environment) as first_try:
        wait_until(lambda: copied() > 0, "some to be copied")
        first_try.kill()
    assert 0 < copied() < count

    with pytest.raises(StoreRefusedError, match="an unfinished copy"):
        SqlLedger(f"sqlite:///{copy}")
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "continuing an unfinished copy\n"), again
    assert rows(copy, "SELECT * FROM events") == rows(store.path, "SELECT * FROM events")
    with closing(SqlLedger(f"sqlite:///{copy}")) as ledger:
        assert ledger.last_sequence() == count


def test_sequences_that_were_given_are_not_given_again(filled: Store) -> None:
    change(filled.path, "DELETE FROM quarantine")
    assert run("migrate-store", HERE, THERE).exit_code == 0
    with closing(SqlLedger(THERE)) as ledger:
        ledger.append([QuarantinedBody("default", 1, "made up", "for the test", b"{}", b"q" * 16)])
        assert [each.sequence for each in ledger.quarantine()] == [2]


@pytest.mark.usefixtures("filled")
def test_the_copy_is_the_same_ledger() -> None:
    assert run("migrate-store", HERE, THERE).exit_code == 0
    with closing(Database(HERE)) as one, closing(Database(THERE)) as other:
        assert one.ledger_id == other.ledger_id


@pytest.mark.usefixtures("filled")
def test_a_target_with_a_ledger_of_its_own_is_refused() -> None:
    assert run("migrate-store", HERE, THERE).exit_code == 0
    again = error_output(run("migrate-store", HERE, THERE), 1)
    assert again == "error: TO is not empty (1 events); give a new database\n"
    assert "dataexport.db is in use" in error_output(run("migrate-store", HERE, HERE), 1)


@pytest.mark.usefixtures("filled")
def test_an_unfinished_copy_of_another_ledger_is_refused() -> None:
    with closing(Database("sqlite:///other.db")) as other, closing(Database(THERE)) as target:
        store_copy.begin_copy(other, target)
    assert "unfinished copy of another store" in error_output(run("migrate-store", HERE, THERE), 1)


@pytest.mark.usefixtures("in_a_folder")
def test_a_database_that_an_exporter_uses_is_refused(tmp_path: Path) -> None:
    with LocalExporter(tmp_path):
        assert "dataexport.db is in use" in error_output(run("migrate-store", HERE, THERE), 1)
        assert not (tmp_path / "copy.db").exists()
        with closing(Database("sqlite:///empty.db")):
            pass
        assert "dataexport.db is in use" in error_output(run("migrate-store", "sqlite:///empty.db", HERE), 1)


@pytest.mark.usefixtures("filled")
def test_a_fresh_heartbeat_is_passed_over_only_by_force(tmp_path: Path) -> None:
    with LocalExporter(tmp_path):
        pass
    refused = error_output(run("migrate-store", HERE, THERE), 1)
    assert "FROM is in use: the newest heartbeat of an exporter in it is" in refused
    assert run("migrate-store", HERE, THERE, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sqlite:///nowhere.db", THERE), "FROM: there is no database at /"),
        ((HERE, "sqlite:///nowhere/copy.db"), "there is no folder"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_a_database_that_is_not_there_is_named(arguments: tuple[str, str], message: str) -> None:
    assert message in error_output(run("migrate-store", *arguments), 1)


@pytest.mark.usefixtures("filled")
def test_a_wrong_url_is_refused_without_repeating_it() -> None:
    refused = error_output(run("migrate-store", HERE, "mysql://user:canary@db.example/ledger"), 2)
    assert "Invalid value for 'TO': give" in refused
    assert "canary" not in refused


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE events SET partner = 'Azure'", "events: the row with sequence 1 differs"),
        ("UPDATE events SET body = x'00' WHERE sequence = 1", "events: the row with sequence 1 differs"),
        ("DELETE FROM quarantine", "quarantine: the row with sequence 1 is missing in TO"),
        (
            "UPDATE delivery_counters SET total = 2 WHERE kind = 'test_call'",
            "delivery_counters: the row with source 'default', kind",
        ),
        (
            "INSERT INTO declared_exports VALUES ('a', 'b', 1, 0)",
            "declared_exports: the row with source 'a', name 'b' is missing",
        ),
        ("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'events'", "events: the next sequence differs"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_what_differs_in_the_copy_is_told(tmp_path: Path, statement: str, message: str) -> None:
    """The statement stands for whatever may go wrong between two databases."""
    with closing(Database(HERE)) as source, closing(Database(THERE, unfinished=True)) as target:
        store_copy.begin_copy(source, target)
        assert sum(store_copy.copy_rows(source, target)) == store_copy.count_rows(source) == 7
        assert [each for each in store_copy.compare_rows(source, target) if isinstance(each, str)] == []
        change(tmp_path / "copy.db", statement)
        [difference] = [each for each in store_copy.compare_rows(source, target) if isinstance(each, str)]
    assert difference.startswith(message)


@pytest.mark.usefixtures("filled")
def test_metrics_that_differ_are_told() -> None:
    settings = loader.load(None, {})
    with closing(SqlLedger("sqlite:///empty.db")):
        pass
    assert list(metric_differences(settings, HERE, HERE)) == []
    differences = list(metric_differences(settings, HERE, "sqlite:///empty.db"))
    assert any(each.startswith("the metrics differ: FROM has dataexport_") for each in differences)


@pytest.mark.usefixtures("filled")
def test_a_copy_that_differs_is_not_to_be_used(tmp_path: Path) -> None:
    """A row that came into it while it was made, by whoever."""
    with closing(Database(HERE)) as source, closing(Database(THERE, unfinished=True)) as target:
        store_copy.begin_copy(source, target)
        sum(store_copy.copy_rows(source, target))
    change(tmp_path / "copy.db", "UPDATE events SET partner = 'Azure'")
    ended = run("migrate-store", HERE, THERE)
    assert "error: events: the row with sequence 1 differs; TO stays marked as unfinished" in ended.stderr
    assert ended.exit_code == 1
    with pytest.raises(StoreRefusedError, match="unfinished copy"):
        SqlLedger(THERE)
