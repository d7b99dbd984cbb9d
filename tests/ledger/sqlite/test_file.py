"""The SQLite file refuses to pretend: settings that hold, one writer, the file still there, or an error."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url, text

from builders import HOUR, accepted_event, at, event
from databases import SQLITE_DRIVERS, sqlite_driver
from exporter.domain.errors import StoreError, StoreRefusedError
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.file import SqliteFile, journal_mode, newest_driver
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = accepted_event(event("initiated", at("0:00")))
SECOND = accepted_event(event("completed", at("0:10")))

HOLD_A_LOCK = """
import fcntl, sys
held = open(sys.argv[1], "ab")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(params=SQLITE_DRIVERS)
def driver(request: pytest.FixtureRequest) -> ModuleType:
    return sqlite_driver(request.param)


@pytest.fixture
def ledger(path: Path, driver: ModuleType) -> Iterator[SqlLedger]:
    made = SqlLedger(f"sqlite:///{path}", driver=driver)
    yield made
    made.close()


@contextmanager
def lock_of_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD_A_LOCK, f"{path}.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


@pytest.mark.usefixtures("shipped_limits")
def test_a_lock_that_another_process_holds_is_an_error_and_then_none(ledger: SqlLedger, path: Path) -> None:
    with lock_of_another_process(path), pytest.raises(StoreError, match="another process"):
        ledger.append([FIRST])
    assert ledger.read(0) == []
    assert ledger.append([FIRST]) == [True]


def test_a_lock_that_another_process_gives_back_is_waited_for(ledger: SqlLedger, path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with lock_of_another_process(path):
            appended = pool.submit(ledger.append, [FIRST])
            lock = path.with_name(f"{path.name}.lock").resolve()
            opened = Path("/proc/self/fd")  # the lock file is open while the thread tries to lock it
            wait_until(lambda: appended.done() or lock in {link.resolve() for link in opened.iterdir()}, "an attempt")
            assert not appended.done()
        assert appended.result() == [True]


@pytest.mark.usefixtures("shipped_limits")
def test_a_database_that_somebody_locks_in_sqlite_is_an_error_that_keeps_nothing(
    ledger: SqlLedger, path: Path, driver: ModuleType
) -> None:
    with closing(driver.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            ledger.append([FIRST])
        other.execute("ROLLBACK")
    assert ledger.read(0) == []


@pytest.mark.usefixtures("shipped_limits")
def test_without_a_log_a_reader_does_not_wait_for_ever_for_a_writer(path: Path) -> None:
    with closing(SqlLedger(f"sqlite:///{path}", driver=sqlite3)) as ledger:
        database = ledger._database  # noqa: SLF001 - to stop in the middle of a commit
        with ThreadPoolExecutor(1) as pool, database.writing("append"), pytest.raises(StoreError, match="is locked"):
            pool.submit(ledger.last_sequence).result()
        assert ledger.last_sequence() == 0


def test_with_a_log_a_reader_waits_for_no_writer(path: Path) -> None:
    with closing(SqlLedger(f"sqlite:///{path}", driver=sqlite_driver("bundled-sqlite"))) as ledger:
        database = ledger._database  # noqa: SLF001 - to stop in the middle of a commit
        with ThreadPoolExecutor(1) as pool, database.writing("append"):
            assert pool.submit(ledger.last_sequence).result() == 0


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"this is not a database, though it is long enough to have a header of one" * 20)
    with pytest.raises(StoreRefusedError, match="not a database"):
        SqlLedger(f"sqlite:///{path}")


def test_a_missing_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(StoreRefusedError, match=r"no folder .*/nowhere"):
        SqlLedger(f"sqlite:///{tmp_path}/nowhere/ledger.db")


def test_a_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreRefusedError, match="cannot open"):
        SqlLedger(f"sqlite:///{tmp_path}/folder")


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://host/name"])
def test_a_url_of_no_known_database_is_refused(url: str) -> None:
    with pytest.raises(StoreRefusedError, match=r"store\.url"):
        SqlLedger(url)


def test_tables_of_a_newer_release_are_refused_and_left_alone(path: Path) -> None:
    SqlLedger(f"sqlite:///{path}", driver=sqlite3).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreRefusedError, match=r"newer release.*9999.*up to 0"):
        SqlLedger(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_query_that_fails_says_what_the_database_said(ledger: SqlLedger, path: Path, driver: ModuleType) -> None:
    with closing(driver.connect(path)) as connection:
        connection.execute("DROP TABLE delivery_counters")
        connection.commit()
    with pytest.raises(StoreError, match="no such table: delivery_counters"):
        ledger.delivery_counters()


def test_the_observer_hears_of_every_operation_and_whether_it_failed(path: Path) -> None:
    heard: list[tuple[str, bool]] = []
    ledger = SqlLedger(f"sqlite:///{path}", lambda operation, _, failed: heard.append((operation, failed)))
    ledger.append([FIRST])
    ledger.read(0)
    path.unlink()
    with pytest.raises(StoreError):
        ledger.append([SECOND])
    ledger.close()
    assert heard == [("open", False), ("append", False), ("read", False), ("append", True)]


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 34, 1), "truncate"), ((3, 51, 2), "truncate"), ((3, 51, 3), "wal"), ((3, 52, 0), "wal"), ((4, 0, 0), "wal")],
)
def test_wal_is_used_only_by_versions_that_do_not_corrupt_it(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


@pytest.mark.usefixtures("shipped_limits")
def test_every_connection_syncs_fully_in_the_safe_journal_mode(path: Path, driver: ModuleType) -> None:
    engine = SqliteFile(make_url(f"sqlite:///{path}"), driver).engine
    with engine.connect() as connection:
        assert connection.execute(text("SELECT sqlite_version()")).scalar() == driver.sqlite_version
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == journal_mode(driver.sqlite_version_info)
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 1200
    engine.dispose()


@pytest.mark.parametrize("mode", ["unheard_of", "a_new_one"])
def test_a_database_that_does_not_take_the_settings_is_an_error(path: Path, mode: str) -> None:
    file = SqliteFile(make_url(f"sqlite:///{path}"), newest_driver())
    file.mode = mode
    with pytest.raises(StoreError, match="did not accept the settings: journal_mode delete, synchronous 2"):
        file.engine.connect()


def test_it_says_how_it_is_kept(ledger: SqlLedger, driver: ModuleType) -> None:
    [(fine, how)] = ledger.checks()
    assert fine
    assert f"SQLite {driver.sqlite_version}" in how
    assert f"journal mode {journal_mode(driver.sqlite_version_info)}" in how
    assert ("Python's own" in how) == (driver is sqlite3)


def test_the_bundled_sqlite_is_taken_where_it_is_there_and_newer() -> None:
    assert newest_driver("no_such_module") is sqlite3
    assert newest_driver("sqlite3") is sqlite3
    newest = max(map(sqlite_driver, SQLITE_DRIVERS), key=lambda driver: driver.sqlite_version_info)
    assert newest_driver() is newest


def test_a_few_new_events_are_one_statement_and_others_a_transaction_of_several(path: Path, driver: ModuleType) -> None:
    statements: list[str] = []

    class Traced(ModuleType):
        def __getattr__(self, name: str) -> object:
            return getattr(driver, name)

        @staticmethod
        def connect(*args: Any, **settings: Any) -> sqlite3.Connection:  # noqa: ANN401 - the driver's
            made: sqlite3.Connection = driver.connect(*args, **settings)
            made.set_trace_callback(lambda each: statements.append(each.split()[0]))
            return made

    with closing(SqlLedger(f"sqlite:///{path}", driver=Traced(driver.__name__))) as ledger:
        for entries, expected in (([FIRST], ["INSERT"]), ([FIRST, SECOND], ["INSERT", "BEGIN", "INSERT"])):
            statements.clear()
            ledger.append(entries)
            told = [each for each in statements if each != "--"]  # what a trigger does
            assert told[: len(expected)] == expected
            assert ("COMMIT" in told) == ("BEGIN" in told)


def test_requests_that_come_together_are_all_on_disk_when_they_return(ledger: SqlLedger) -> None:
    seen: list[bool] = []

    def deliver(run: int) -> None:
        each = accepted_event(event("initiated", at("0:00") + run * HOUR))
        assert ledger.append([each]) == [True]
        seen.append(each.event.digest in {kept.digest for kept in ledger.read(0)})

    threads = [threading.Thread(target=deliver, args=(run,)) for run in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen == [True] * 12


def test_a_file_whose_pages_are_damaged_is_refused_with_what_sqlite_says(path: Path) -> None:
    SqlLedger(f"sqlite:///{path}").close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))  # after the header
    with pytest.raises(StoreRefusedError, match="database disk image is malformed"):
        SqlLedger(f"sqlite:///{path}")
