"""`backup` under load and `restore`: nothing acknowledged is missing, and nothing is replaced that is in use."""

from __future__ import annotations

import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click
import pytest
import requests

from builders import DAY, HOUR, body, fields, vendor_clock
from commands import Store, error_output, run
from exporter.cli.commands.backup import require_sqlite_file
from exporter.domain.errors import StoreError
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite import backup as sqlite_backup
from restarts import CONFIGURATION, from_the_ledger, send_some_of_everything, start_without_outage
from running import PATIENCE_SECONDS, Exporter
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def silently(_done: int, _pages: int) -> None:
    """For who wants no progress."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_restored_backup_shows_every_series_of_exports_and_sources_byte_for_byte(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        send_some_of_everything(exporter)
        before = from_the_ledger(exporter)
        made = exporter.run("backup", "--config", str(exporter.config_path), "copy.db")
        assert (made.returncode, made.stdout[:19]) == (0, "copy.db: 18 events,"), made
        exporter.post(body("Completed", vendor_clock(time.time()), 77), "shop")
        assert from_the_ledger(exporter) != before
        refused = exporter.run("restore", "copy.db")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "dataexport.db is in use: a running exporter or command has it open" in refused.stderr
        exporter.terminate()
        restored = exporter.run("restore", "copy.db", "--force")
        assert restored.returncode == 0, restored
        assert restored.stdout.startswith(f"{exporter.database}: 18 events,")
        start_without_outage(exporter)
        assert from_the_ledger(exporter) == before
        assert exporter.post({"Partner": "Amazon S3"}, "shop").json()["duplicates"] == 1
    [previous] = tmp_path.glob("dataexport.db.before-*")
    assert sqlite_backup.summarize_store(previous).events == 19


def test_a_backup_under_load_has_everything_that_was_acknowledged_before_it_began(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def post(exporter: Exporter, name: str) -> None:
        with requests.Session() as http:
            for number in range(100_000):
                if stop.is_set():
                    return
                request_id = f"{name}-{number}"
                sent = fields("Completed", vendor_clock(time.time()), request_id)
                answer = http.post(
                    f"{exporter.webhook_url}/webhooks/clevertap/default", json=sent, timeout=PATIENCE_SECONDS
                )
                if answer.json().get("accepted") == 1:
                    acknowledged.append(request_id)

    with Exporter(tmp_path) as exporter:
        posters = [threading.Thread(target=post, args=(exporter, name)) for name in "ab"]
        for each in posters:
            each.start()
        try:
            for number in range(3):
                least = len(acknowledged) + 20
                while len(acknowledged) < least:
                    time.sleep(0.005)
                # At once and in this process: what a plain copy lacks is in the file itself a moment later.
                before = set(acknowledged)
                sqlite_backup.back_up(exporter.database, tmp_path / f"copy-{number}.db", silently)
                with closing(sqlite3.connect(tmp_path / f"copy-{number}.db")) as copy:
                    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    request_ids = {row[0] for row in copy.execute("SELECT request_id FROM events")}
                assert before <= request_ids
        finally:
            stop.set()
            for each in posters:
                each.join()
        assert len(acknowledged) > 50
    assert not [name for name in names(tmp_path) if name.startswith(".copy")]


def test_a_file_that_is_there_is_replaced_only_by_force(store: Store, tmp_path: Path) -> None:
    store.deliver("Completed", 5)
    (tmp_path / "copy.db").write_text("something else", "utf-8")
    sentence = error_output(run("backup", "copy.db"), 1)
    assert sentence.startswith("error: copy.db: already exists; give another name, or --force to replace it")
    assert (tmp_path / "copy.db").read_text("utf-8") == "something else"
    assert run("backup", "copy.db", "--force").stdout.startswith("copy.db: 1 event, ")
    store.ledger.close()
    copied = SqlLedger("sqlite:///copy.db")
    assert copied.last_sequence() == 1
    copied.close()


def test_a_backup_has_the_permissions_of_the_ledger(store: Store, tmp_path: Path) -> None:
    store.path.chmod(0o600)
    assert run("backup", "copy.db").exit_code == 0
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_named(store: Store) -> None:
    assert store.path.exists()
    sentence = error_output(run("backup", "nowhere/copy.db"), 1)
    assert sentence == (
        "error: nowhere: cannot be written to: No such file or directory; give a folder that exists and is writable\n"
    )


def test_a_full_disk_is_an_error_and_leaves_no_half_file(store: Store, tmp_path: Path) -> None:
    for number in range(300):
        store.deliver("Completed", 5, f"id {number}")
    store.ledger.close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (store.path.stat().st_size // 2, before[1]))
    try:
        sentence = error_output(run("backup", "copy.db"), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sentence.startswith(f"error: {store.path} could not be copied: ")
    assert sentence.endswith("no part of a copy is left\n")
    assert not [name for name in names(tmp_path) if "copy" in name]
    assert sqlite_backup.summarize_store(store.path).events == 300


def test_what_cannot_be_moved_into_place_is_an_error_and_leaves_no_half_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    sentence = error_output(run("backup", "folder", "--force"), 1)
    assert sentence == "error: folder: cannot be written: Is a directory; no part of a copy is left\n"
    assert names(tmp_path) >= {"folder", store.path.name}
    assert not [name for name in names(tmp_path) if name.startswith(".folder")]


def test_a_damaged_ledger_makes_no_backup(store: Store, tmp_path: Path) -> None:
    for number in range(300):
        store.deliver("Completed", 5, f"id {number}", Partner="x" * 100)
    store.ledger.close()
    with store.path.open("r+b") as file:
        file.seek(store.path.stat().st_size - 3 * 4096)
        file.write(b"\xff" * 2 * 4096)
    sentence = error_output(run("backup", "copy.db"), 1)
    assert "is damaged, so no copy was written" in sentence
    assert "copy.db" not in names(tmp_path)


def test_with_postgresql_its_own_tools_are_named() -> None:
    with pytest.raises(click.UsageError, match="with PostgreSQL, run this instead: pg_dump") as refusal:
        require_sqlite_file("postgresql+psycopg://u:hidden@127.0.0.1:1/d", "pg_dump")
    assert "hidden" not in str(refusal.value)


def a_copy(store: Store) -> Path:
    """A backup of the store, which is then no longer open."""
    copy = store.path.with_name("copy.db")
    sqlite_backup.back_up(store.path, copy, silently)
    store.ledger.close()
    return copy


def test_only_a_ledger_of_this_release_or_an_older_one_is_restored(store: Store, tmp_path: Path) -> None:
    copy = a_copy(store)
    before = store.path.read_bytes()
    (tmp_path / "text").write_text("no database " * 500, "utf-8")
    (tmp_path / "empty").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE events (a)")
    with closing(sqlite3.connect(copy)) as newer, newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    assert "there is no such file" in error_output(run("restore", "missing.db"), 1)
    assert "there is no such file" in error_output(run("restore", str(tmp_path)), 1)
    for name in ("text", "empty", "other.db"):
        assert f"{name}: is not a store (" in error_output(run("restore", name), 1)
    assert error_output(run("restore", "copy.db"), 1).startswith("error: a newer release of dataexport-exporter wrote")
    assert store.path.read_bytes() == before


def test_a_fresh_heartbeat_refuses_a_restore_unless_forced(store: Store) -> None:
    copy = a_copy(store)
    ledger = SqlLedger(f"sqlite:///{store.path}")
    ledger.record_heartbeat("elsewhere", time.time() - 7)
    ledger.close()
    sentence = error_output(run("restore", str(copy)), 1)
    said_age = re.search(
        r"is in use: the newest heartbeat of an exporter in it is (\d+) s old; stop the .+, and wait", sentence
    )
    assert said_age
    assert int(said_age[1]) >= 7
    assert run("restore", str(copy), "--force").exit_code == 0


def test_an_old_heartbeat_is_no_hindrance(store: Store) -> None:
    store.ledger.record_heartbeat("long ago", time.time() - HOUR)
    assert run("restore", str(a_copy(store))).exit_code == 0


def test_a_heartbeat_in_the_future_is_no_hindrance(store: Store) -> None:
    """It comes from a clock that was wrong, and nobody can wait for it."""
    store.ledger.record_heartbeat("ahead", time.time() + 400 * DAY)
    assert run("restore", str(a_copy(store))).exit_code == 0


def test_a_lock_of_another_program_refuses_a_restore_even_if_forced(store: Store) -> None:
    copy = a_copy(store)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        sentence = error_output(run("restore", str(copy), "--force"), 1)
        holder.communicate()
    assert "is in use: another program holds SQLite's lock on it" in sentence


def test_while_it_is_restored_nobody_opens_it(store: Store) -> None:
    copy = a_copy(store)
    refusals: list[str] = []

    def open_it(_done: int, _pages: int) -> None:
        refusals.append(error_output(run("exports"), 1))

    sqlite_backup.restore(copy, store.path, time.time(), open_it)
    assert refusals[0].endswith("is just being restored; try again\n")
    assert run("exports").exit_code == 0


def test_a_damaged_ledger_is_replaced_and_kept_with_its_journals(store: Store, tmp_path: Path) -> None:
    copy = a_copy(store)
    for ending in ("", "-wal", "-journal"):
        (tmp_path / f"dataexport.db{ending}").write_bytes(f"damaged{ending}".encode() * 1000)
    result = run("restore", str(copy))
    assert result.exit_code == 0, result.output
    _, _, suffix = result.stdout.splitlines()[1].partition("dataexport.db.before-")
    previous = "dataexport.db.before-" + suffix.partition(":")[0]
    assert (tmp_path / previous).read_bytes() == b"damaged" * 1000
    assert (tmp_path / f"{previous}-wal").read_bytes() == b"damaged-wal" * 1000
    assert (tmp_path / f"{previous}-journal").read_bytes() == b"damaged-journal" * 1000
    assert not {"dataexport.db-wal", "dataexport.db-journal", "dataexport.db-shm"} & names(tmp_path)
    assert run("exports").exit_code == 0


def test_a_ledger_of_which_only_the_beginning_is_sound_is_replaced_and_kept(store: Store, tmp_path: Path) -> None:
    copy = a_copy(store)
    store.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    assert run("restore", str(copy)).exit_code == 0
    [previous] = tmp_path.glob("dataexport.db.before-*")
    assert previous.read_bytes() == b"SQLite format 3\0" + b"\xff" * 8000


def test_a_file_of_no_ledger_is_replaced_and_kept(store: Store, tmp_path: Path) -> None:
    copy = a_copy(store)
    store.path.unlink()
    sqlite3.connect(store.path).execute("CREATE TABLE other (a)").connection.close()
    assert run("restore", str(copy)).exit_code == 0
    assert len(list(tmp_path.glob("dataexport.db.before-*"))) == 1


def test_two_restores_within_a_second_keep_both(store: Store, tmp_path: Path) -> None:
    copy = a_copy(store)
    now = time.time()
    previous = [sqlite_backup.restore(copy, store.path, now, silently).previous for _ in range(3)]
    assert len({str(path) for path in previous}) == 3
    assert {path.name for path in previous if path} <= names(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("there", [True, False])
def test_a_restore_by_root_leaves_the_ledger_to_its_owner(store: Store, tmp_path: Path, *, there: bool) -> None:
    copy = a_copy(store)
    os.chown(store.path if there else tmp_path, 65534, 65534)
    if not there:
        store.path.unlink()
    assert run("restore", str(copy)).exit_code == 0
    assert (store.path.stat().st_uid, store.path.stat().st_gid) == (65534, 65534)


def test_a_restore_where_nothing_was_keeps_nothing(store: Store, tmp_path: Path) -> None:
    copy = shutil.move(a_copy(store), tmp_path / "elsewhere.db")
    store.path.unlink()
    result = run("restore", str(copy))
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    assert run("events").stdout == "no event has arrived yet\n"


def test_a_ledger_without_room_for_its_locks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.use").mkdir()
    with pytest.raises(StoreError, match=r"nothing can be written beside .*ledger\.db \(Is a directory\)"):
        SqlLedger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_backup_is_recorded_in_the_store_once_it_is_whole(store: Store) -> None:
    began = time.time()
    error_output(run("backup", "nowhere/copy.db"), 1)
    assert store.ledger.last_backup() == 0
    made = run("backup", "copy.db")
    assert (made.exit_code, made.stderr) == (0, "")
    assert began <= store.ledger.last_backup() <= time.time()


def test_a_backup_by_other_means_is_recorded_when_it_is_done(store: Store, tmp_path: Path) -> None:
    began = time.time()
    assert run("backup", "--done").stdout == "recorded: the store was backed up just now\n"
    assert began <= store.ledger.last_backup() <= time.time()
    assert "copies nothing; give the FILE to write, or --done" in error_output(run("backup", "copy.db", "--done"), 2)
    assert "give the FILE to write, or --done to record" in error_output(run("backup"), 2)
    assert "copy.db" not in names(tmp_path)


def test_a_backup_by_who_may_only_read_the_store_is_whole_and_not_recorded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        message = "it cannot be written to"
        raise StoreError(message)

    monkeypatch.setattr(SqlLedger, "record_backup", refuse)
    made = run("backup", "copy.db")
    assert (made.exit_code, made.stdout[:17]) == (0, "copy.db: 0 events")
    assert made.stderr.startswith(
        "note: metrics and alerts do not show this backup, since it could not be recorded: it"
    )
    assert store.ledger.last_backup() == 0
