"""The SQLite file refuses to pretend: settings that hold, one writer, the file still there, or an error."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from builders import HOUR, at, event, received
from exporter.errors import StoreError, StoreRefusedError
from exporter.group_commit import GroupCommit
from exporter.sql_ledger import SqlLedger
from exporter.sqlite_file import SqliteFile, journal_mode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = received(event("initiated", at("0:00")))
SECOND = received(event("completed", at("0:10")))

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


@pytest.fixture
def ledger(path: Path) -> Iterator[SqlLedger]:
    made = SqlLedger(f"sqlite:///{path}")
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


def test_a_write_to_a_file_that_was_removed_is_not_acknowledged(ledger: SqlLedger, path: Path) -> None:
    ledger.append([FIRST])
    path.unlink()
    with pytest.raises(StoreError, match="removed or replaced"):
        ledger.append([SECOND])


def test_what_a_removed_file_had_is_not_shown_as_if_all_were_well(ledger: SqlLedger, path: Path) -> None:
    ledger.append([FIRST])
    path.unlink()
    with pytest.raises(StoreError, match="removed or replaced"):
        ledger.last_sequence()
    with pytest.raises(StoreError, match="removed or replaced"):
        ledger.beat("a", at("0:00"))


def test_a_write_to_a_file_that_was_replaced_is_not_acknowledged(ledger: SqlLedger, path: Path, tmp_path: Path) -> None:
    other = SqlLedger(f"sqlite:///{tmp_path}/other.db")
    other.close()
    (tmp_path / "other.db").replace(path)
    with pytest.raises(StoreError, match="removed or replaced"):
        ledger.append([FIRST])


def test_a_folder_that_was_removed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ledger = SqlLedger(f"sqlite:///{tmp_path}/folder/ledger.db")
    shutil.rmtree(tmp_path / "folder")
    with pytest.raises(StoreError, match="No such file or directory"):
        ledger.append([FIRST])
    ledger.close()


def test_it_goes_on_once_the_file_is_back(ledger: SqlLedger, path: Path, tmp_path: Path) -> None:
    path.rename(tmp_path / "aside.db")
    with pytest.raises(StoreError):
        ledger.append([FIRST])
    (tmp_path / "aside.db").rename(path)
    ledger.append([SECOND])
    assert SECOND.event.digest in {each.digest for each in ledger.read(0)}


def test_a_lock_that_another_process_holds_is_an_error_and_then_none(ledger: SqlLedger, path: Path) -> None:
    with lock_of_another_process(path), pytest.raises(StoreError, match="another process"):
        ledger.append([FIRST])
    assert ledger.read(0) == []
    assert ledger.append([FIRST]) == [True]


def test_a_database_that_somebody_locks_in_sqlite_is_an_error_that_keeps_nothing(ledger: SqlLedger, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            ledger.append([FIRST])
        other.execute("ROLLBACK")
    assert ledger.read(0) == []


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
    SqlLedger(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreRefusedError, match=r"newer release.*9999.*0001"):
        SqlLedger(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_query_that_fails_says_what_the_database_said(ledger: SqlLedger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE tallies")
        connection.commit()
    with pytest.raises(StoreError, match="no such table: tallies"):
        ledger.tallies()


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


def test_every_connection_syncs_fully_in_the_safe_journal_mode(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    SqliteFile(engine)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == journal_mode()
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 1200
    engine.dispose()


def test_a_database_that_does_not_take_the_settings_is_an_error() -> None:
    engine = create_engine("sqlite:///:memory:")  # its journal mode is always "memory"
    SqliteFile(engine)
    with pytest.raises(StoreError, match="did not take the settings: journal_mode memory"):
        engine.connect()


class Commits:
    """A slow database: every commit waits until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)

    def commit(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.began.release()
        self.may_go.acquire()
        if any(item < 0 for item in items):
            message = "the disk is full"
            raise StoreError(message)
        if any(item > 1000 for item in items):
            raise KeyboardInterrupt
        return [item * item for item in items]


class Callers:
    """Threads that submit, and what each of them got."""

    def __init__(self, commits: Commits) -> None:
        self.group = GroupCommit(commits.commit)
        self.answers: dict[int, list[int] | str] = {}
        self._threads: list[threading.Thread] = []

    def submit(self, *items: int) -> None:
        thread = threading.Thread(target=self._submit, args=(list(items),))
        self._threads.append(thread)
        thread.start()

    def _submit(self, items: list[int]) -> None:
        try:
            self.answers[items[0]] = self.group.submit(items)
        except (StoreError, KeyboardInterrupt) as error:
            self.answers[items[0]] = f"{type(error).__name__}: {error}"

    def join(self) -> None:
        for each in self._threads:
            each.join()

    def wait_until_queued(self, count: int) -> None:
        while len(self.group._waiting) < count:  # noqa: SLF001 - nothing outside tells who waits
            threading.Event().wait(0.001)


def test_those_who_wait_share_the_next_commit_and_get_their_own_answers() -> None:
    commits = Commits()
    callers = Callers(commits)
    callers.submit(1)
    commits.began.acquire()
    for item in (2, 3, 4):
        callers.submit(item, item * 10)
    callers.wait_until_queued(3)
    commits.may_go.release(2)
    callers.join()
    assert [sorted(batch) for batch in commits.batches] == [[1], [2, 3, 4, 20, 30, 40]]
    assert callers.answers == {1: [1], 2: [4, 400], 3: [9, 900], 4: [16, 1600]}


def test_a_commit_that_fails_fails_for_all_who_waited_for_it_and_for_nobody_else() -> None:
    commits = Commits()
    callers = Callers(commits)
    callers.submit(1)
    commits.began.acquire()
    callers.submit(2)
    callers.submit(-3)
    callers.wait_until_queued(2)
    commits.may_go.release(2)
    callers.join()
    assert callers.answers == {1: [1], 2: "StoreError: the disk is full", -3: "StoreError: the disk is full"}
    commits.may_go.release()
    assert callers.group.submit([5]) == [25]


def test_a_thread_that_ends_in_its_commit_leaves_no_other_with_an_empty_answer() -> None:
    commits = Commits()
    callers = Callers(commits)
    callers.submit(1)
    commits.began.acquire()
    callers.submit(2)
    callers.submit(1001)
    callers.wait_until_queued(2)
    commits.may_go.release(2)
    callers.join()
    assert callers.answers[1] == [1]
    assert sorted(str(callers.answers[item]) for item in (2, 1001)) == [
        "KeyboardInterrupt: ",
        "StoreError: the commit was interrupted",
    ]


def test_requests_that_come_together_are_all_on_disk_when_they_return(ledger: SqlLedger) -> None:
    seen: list[bool] = []

    def deliver(run: int) -> None:
        each = received(event("initiated", at("0:00") + run * HOUR))
        assert ledger.append([each]) == [True]
        seen.append(each.event.digest in {kept.digest for kept in ledger.read(0)})

    threads = [threading.Thread(target=deliver, args=(run,)) for run in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen == [True] * 12
