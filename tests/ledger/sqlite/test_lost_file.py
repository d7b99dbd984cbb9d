"""A file removed or replaced underneath: nothing is acknowledged falsely, and the ledger comes back by itself."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from builders import HOUR, accepted_event, at, event
from databases import SQLITE_DRIVERS, sqlite_driver
from exporter.domain.errors import StoreError
from exporter.domain.events import Outage
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

FIRST = accepted_event(event("initiated", at("0:00")))
SECOND = accepted_event(event("completed", at("0:10")))
MANY = [accepted_event(event("initiated", at("0:00") + n * HOUR, request_id="many")) for n in range(500)]


@pytest.fixture(params=SQLITE_DRIVERS)
def driver(request: pytest.FixtureRequest) -> ModuleType:
    return sqlite_driver(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, driver: ModuleType) -> Iterator[SqlLedger]:
    made = SqlLedger(f"sqlite:///{path}", driver=driver)
    yield made
    made.close()


@pytest.fixture
def other(tmp_path: Path, driver: ModuleType) -> Path:
    """Another ledger's file, with one event, which is closed."""
    made = SqlLedger(f"sqlite:///{tmp_path}/other.db", driver=driver)
    made.append([SECOND])
    made.record_heartbeat("watch", at("0:00"))
    made.close()
    return tmp_path / "other.db"


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
    with pytest.raises(StoreError, match="was removed"):
        ledger.record_heartbeat("a", at("0:00"))


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


def test_nothing_is_made_in_place_of_a_file_that_was_removed(ledger: SqlLedger, path: Path) -> None:
    ledger.append([FIRST])
    path.unlink()
    for _ in range(3):
        with pytest.raises(StoreError, match="removed"):
            ledger.append([SECOND])
        with pytest.raises(StoreError, match="removed"):
            ledger.read(0)
    assert not path.exists()


def test_a_ledger_in_place_of_another_is_taken_and_told_by_its_identity(
    ledger: SqlLedger, path: Path, other: Path, driver: ModuleType
) -> None:
    ledger.append([FIRST])
    before = ledger.ledger_id()
    other.replace(path)
    with pytest.raises(StoreError, match="removed or replaced"):
        ledger.last_sequence()
    assert [each.digest for each in ledger.read(0)] == [SECOND.event.digest]
    assert ledger.ledger_id() != before
    assert ledger.append([FIRST, SECOND]) == [True, False]
    again = SqlLedger(f"sqlite:///{path}", driver=driver)
    assert [each.digest for each in again.read(0)] == [SECOND.event.digest, FIRST.event.digest]
    again.close()


def test_a_backup_put_back_is_not_mixed_with_what_came_after_it(
    ledger: SqlLedger, path: Path, driver: ModuleType, tmp_path: Path
) -> None:
    ledger.append([FIRST])
    with closing(driver.connect(path)) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path}/backup.db'")
    identity = ledger.ledger_id()
    ledger.append(MANY)
    (tmp_path / "backup.db").replace(path)
    with pytest.raises(StoreError, match="removed or replaced"):
        ledger.append([SECOND])
    assert ledger.append([SECOND]) == [True]
    assert [each.digest for each in ledger.read(0)] == [FIRST.event.digest, SECOND.event.digest]
    assert ledger.ledger_id() != identity  # its sequences mean other events
    with closing(driver.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_same_file_put_back_is_the_same_ledger(ledger: SqlLedger, path: Path, tmp_path: Path) -> None:
    ledger.append([FIRST])
    identity = ledger.ledger_id()
    path.rename(tmp_path / "aside")
    with pytest.raises(StoreError):
        ledger.read(0)
    (tmp_path / "aside").rename(path)
    assert len(ledger.read(0)) == 1
    assert ledger.ledger_id() == identity


def test_a_log_that_came_with_a_file_put_back_is_kept(ledger: SqlLedger, driver: ModuleType, tmp_path: Path) -> None:
    moved = tmp_path / "aside"
    moved.mkdir()
    copied = SqlLedger(f"sqlite:///{tmp_path}/live.db", driver=driver)
    copied.append([FIRST, SECOND])
    for each in tmp_path.glob("live.db*"):
        shutil.copy(each, moved / each.name.replace("live", "ledger"))
    copied.close()
    ledger.append(MANY)
    for each in tmp_path.glob("ledger.db*"):
        each.unlink()
    with pytest.raises(StoreError):
        ledger.read(0)
    for each in moved.iterdir():
        each.replace(tmp_path / each.name)
    assert len(ledger.read(0)) == 2


def test_what_is_no_ledger_is_not_taken_for_one(ledger: SqlLedger, path: Path, other: Path) -> None:
    path.unlink()
    path.touch()
    for _ in range(2):
        with pytest.raises(StoreError):
            ledger.append([FIRST])
    with pytest.raises(StoreError, match="is not a store"):
        ledger.append([FIRST])
    other.replace(path)
    assert ledger.append([FIRST]) == [True]


def test_who_listened_to_a_lost_ledger_did_not_listen_for_the_one_in_its_place(
    ledger: SqlLedger, path: Path, other: Path
) -> None:
    ledger.record_heartbeat("watch", at("0:00"))
    ledger.record_heartbeat("watch", at("0:00:20"))
    other.replace(path)
    with pytest.raises(StoreError):
        ledger.record_heartbeat("watch", at("0:00:40"))
    ledger.record_heartbeat("watch", at("0:00:45"))
    assert ledger.outages() == [Outage(at("0:00"), at("0:00:45"))]


def test_a_commit_into_a_lost_file_is_no_answer_even_where_a_reader_opened_the_new_one(
    ledger: SqlLedger, path: Path, other: Path
) -> None:
    database = ledger._database  # noqa: SLF001 - to stop in the middle of a commit
    with pytest.raises(StoreError, match="removed or replaced"), database.writing("append"):  # noqa: PT012
        other.replace(path)
        with pytest.raises(StoreError, match="removed or replaced"):
            ledger.last_sequence()
        assert ledger.last_sequence() == 1


def test_of_two_threads_that_find_the_file_replaced_one_opens_it(ledger: SqlLedger, path: Path, other: Path) -> None:
    database: Any = ledger._database  # noqa: SLF001 - to be slower than another thread

    class AnotherThread:
        def __enter__(self) -> None:
            database._reopen()  # noqa: SLF001 - as above

        def __exit__(self, *_: object) -> None:
            pass

    other.replace(path)
    with pytest.raises(StoreError):
        ledger.read(0)
    database._reopening = AnotherThread()  # noqa: SLF001 - as above
    assert len(ledger.read(0)) == 1
    assert ledger.ledger_id().endswith(".1")


def test_a_header_that_was_broken_is_an_error_until_it_is_mended(ledger: SqlLedger, path: Path) -> None:
    """SQLite itself would go on, in WAL mode, and find out at the next start."""
    ledger.append([FIRST])
    header = path.read_bytes()[:100]
    write_at_start(path, b"x" * 100)
    with pytest.raises(StoreError, match="not a database any more"):
        ledger.append([SECOND])
    with pytest.raises(StoreError, match="not a database any more"):
        ledger.read(0)
    write_at_start(path, header)
    assert ledger.append([SECOND]) == [True]


def write_at_start(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY)
    os.pwrite(handle, data, 0)
    os.close(handle)
