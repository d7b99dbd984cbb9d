"""Which files are opened, and how: nothing foreign is changed, and reading needs read access only."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders import accepted_event, at, event
from databases import SQLITE_DRIVERS, sqlite_driver
from exporter.domain.errors import ExporterError, StoreError, StoreRefusedError
from exporter.ledger.access import Access
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite import locks
from users import another_user, ordinary_user, reachable_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

FIRST = accepted_event(event("initiated", at("0:00")))


@pytest.fixture(params=SQLITE_DRIVERS)
def driver(request: pytest.FixtureRequest) -> ModuleType:
    return sqlite_driver(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def open_ledger(path: Path, access: Access, driver: ModuleType | None = None) -> SqlLedger:
    return SqlLedger(f"sqlite:///{path}", driver=driver, access=access)


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["CREATE TABLE notes (x)", "CREATE TABLE events (x)"], r"tables of another program \(events, notes\)"),
        (["PRAGMA journal_mode = wal", "CREATE TABLE notes (x)"], r"tables of another program \(notes\)"),
        (
            [
                "CREATE TABLE events (x)",
                "CREATE TABLE alembic_version (version_num)",
                "INSERT INTO alembic_version VALUES ('a1b2c3')",
            ],
            "newer release",
        ),
    ],
)
def test_a_database_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, driver: ModuleType, access: Access, statements: list[str], told: str
) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
    before = contents(tmp_path)
    with pytest.raises(StoreRefusedError, match=told):
        open_ledger(path, access, driver)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE])
def test_what_does_not_exist_or_is_empty_is_not_made_a_ledger(tmp_path: Path, access: Access) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(StoreRefusedError, match=r"there is no database at .*ledger\.db; start the exporter first"):
        open_ledger(path, access)
    path.touch()
    with pytest.raises(StoreRefusedError, match="is not a store of this exporter: it is empty"):
        open_ledger(path, access)
    assert contents(tmp_path) == {"ledger.db": b""}
    open_ledger(path, Access.CREATE).close()
    open_ledger(path, access).close()


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE])
def test_an_empty_postgresql_database_is_not_made_a_ledger(postgres_url: str, access: Access) -> None:
    for _ in range(2):
        with pytest.raises(StoreRefusedError, match="there is no store in this database; start the exporter first"):
            SqlLedger(postgres_url, access=access)


def test_a_reader_of_postgresql_reads(postgres_url: str) -> None:
    with closing(SqlLedger(postgres_url)) as ledger:
        ledger.append([FIRST])
        with closing(SqlLedger(postgres_url, access=Access.READ)) as reader:
            assert len(reader.read(0)) == 1


def test_a_ledger_that_is_all_in_its_log_is_opened(tmp_path: Path, driver: ModuleType) -> None:
    (tmp_path / "crashed").mkdir()
    with closing(open_ledger(tmp_path / "ledger.db", Access.CREATE, driver)) as ledger:
        ledger.append([FIRST])
        for path in tmp_path.glob("ledger.db*"):
            shutil.copy(path, tmp_path / "crashed")
    for access in (Access.READ, Access.WRITE):
        with closing(open_ledger(tmp_path / "crashed" / "ledger.db", access, driver)) as ledger:
            assert len(ledger.read(0)) == 1


def test_a_log_that_cannot_be_read_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    path.with_name("ledger.db-wal").touch()
    with pytest.raises(StoreRefusedError, match=r"store\.url: cannot open .*ledger\.db: "):
        open_ledger(path, Access.READ)


def test_reading_needs_read_access_only_and_creates_nothing(folder: Path, driver: ModuleType) -> None:
    path = folder / "ledger.db"
    with closing(open_ledger(path, Access.CREATE, driver)) as ledger:
        ledger.append([FIRST])
        names = sorted(contents(folder))
        for file in folder.iterdir():
            file.chmod(0o644)
        with another_user(), closing(open_ledger(path, Access.READ, driver)) as reader:
            assert len(reader.read(0)) == 1  # while an exporter has it open
            with pytest.raises(StoreError):
                reader.record_heartbeat("reader", at("0:00"))
        assert sorted(contents(folder)) == names
    before = contents(folder)
    with another_user(), closing(open_ledger(path, Access.READ, driver)) as reader:
        assert len(reader.read(0)) == 1
    assert contents(folder) == before
    path.with_name("ledger.db.use").unlink()
    with another_user(), closing(open_ledger(path, Access.READ, driver)) as reader:
        assert len(reader.read(0)) == 1
    path.chmod(0o600)
    with another_user(), pytest.raises(StoreRefusedError, match="Permission denied; run this as a user who may read"):
        open_ledger(path, Access.READ, driver)


def test_a_reader_finds_the_database_that_replaced_the_one_it_had_open(tmp_path: Path, driver: ModuleType) -> None:
    for name in ("ledger.db", "other.db"):
        with closing(open_ledger(tmp_path / name, Access.CREATE, driver)) as ledger:
            ledger.append([FIRST] if name == "other.db" else [])
    with closing(open_ledger(tmp_path / "ledger.db", Access.READ, driver)) as reader:
        assert reader.read(0) == []
        (tmp_path / "other.db").replace(tmp_path / "ledger.db")
        with pytest.raises(StoreError, match="was removed or replaced"):
            reader.read(0)
        assert len(reader.read(0)) == 1


def test_files_that_the_user_cannot_write_or_read_are_named(folder: Path) -> None:
    path = folder / "ledger.db"
    open_ledger(path, Access.CREATE).close()
    folder.chmod(0o777)
    for file in folder.iterdir():
        file.chmod(0o444)
    owner = rf"\(owner {os.geteuid()}\)"
    with ordinary_user() as user:
        message = rf"user {user} cannot write {path} {owner}, {path}.lock {owner}, .*; chown them to this user"
        with pytest.raises(StoreRefusedError, match=message):
            open_ledger(path, Access.WRITE)
    path.with_name("ledger.db.use").unlink()
    with ordinary_user(), closing(open_ledger(path, Access.READ)) as reader:
        assert reader.read(0) == []
    path.chmod(0)
    with ordinary_user(), pytest.raises(StoreRefusedError, match="Permission denied; run this as a user who may read"):
        open_ledger(path, Access.READ)


@pytest.mark.parametrize(("mode", "expected"), [(0o770, 0o060), (0o755, 0), (0o700, 0)])
def test_files_are_writable_for_the_group_if_the_folder_is(tmp_path: Path, mode: int, expected: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    path = folder / "ledger.db"
    with locks.serving(path), closing(open_ledger(path, Access.CREATE)) as ledger:
        ledger.append([FIRST])
        modes = {file.name: file.stat().st_mode & 0o077 for file in folder.iterdir()}
    assert set(modes.values()) == {expected}, modes
    assert {"ledger.db", "ledger.db.lock", "ledger.db.use", "ledger.db.serve"} <= modes.keys()


def test_another_user_of_the_group_goes_on_with_the_files() -> None:
    with reachable_folder(0o770) as folder:
        os.chown(folder, -1, 4711) if os.geteuid() == 0 else pytest.skip("only root can give a folder to a group")
        folder.chmod(0o2770)
        path = folder / "ledger.db"
        open_ledger(path, Access.CREATE).close()
        with another_user(group=4711), closing(open_ledger(path, Access.WRITE)) as ledger:
            assert ledger.append([FIRST]) == [True]
        with closing(open_ledger(path, Access.WRITE)) as ledger:
            assert ledger.append([FIRST]) == [False]


def test_files_of_another_group_than_the_folder_stay_as_they_are(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to a group")
    os.chown(tmp_path, -1, 4711)
    tmp_path.chmod(0o770)
    path = tmp_path / "ledger.db"
    open_ledger(path, Access.CREATE).close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_second_exporter_is_refused_with_the_process_that_serves(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with (
        locks.serving(path),
        pytest.raises(StoreRefusedError, match=rf"process {os.getpid()} on \S+ serves {path} already; stop it first"),
        locks.serving(path),
    ):
        pass
    path.with_name("ledger.db.serve").write_text("", "utf-8")
    with locks.serving(path):
        pass


def test_what_fails_leaves_no_database_but_one_that_was_there(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        with locks.removed_if_it_fails(path):
            open_ledger(path, Access.CREATE).close()
            message = "a port is taken"
            raise ExporterError(message)

    with pytest.raises(ExporterError, match="a port is taken"):
        fail(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []
    open_ledger(tmp_path / "ledger.db", Access.CREATE).close()
    with pytest.raises(ExporterError, match="a port is taken"):
        fail(tmp_path / "ledger.db")
    assert (tmp_path / "ledger.db").exists()


def test_a_reader_refuses_a_ledger_of_an_older_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path, Access.CREATE).close()
    monkeypatch.setattr("exporter.ledger.migrations.NEWEST", "9.9.9")
    with pytest.raises(
        StoreRefusedError, match=r"an older release wrote this database \(revision 0\.1\.0\); `serve` upg"
    ):
        open_ledger(path, Access.READ)
