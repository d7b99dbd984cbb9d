"""While the store fails, the exporter says so, acknowledges nothing, and goes on by itself once it is mended."""

from __future__ import annotations

import json
import shutil
import socket
import time
from contextlib import contextmanager, suppress
from statistics import median
from typing import TYPE_CHECKING

import pytest

from builders import body
from faults import hanging_syncs, held_by_another_process, injected, small_disk
from refusals import RESPONSE_SECONDS, accept, assert_refused, assert_said
from running import Exporter, assert_within, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.proof


def stored(exporter: Exporter) -> list[str]:
    """The request ids of all events, in the order of their keys."""
    listed = exporter.run("events", "--json", "--limit", "100000")
    assert listed.returncode == 0, listed.stderr
    return sorted(event["request_id"] for event in json.loads(listed.stdout))


def post_without_waiting(exporter: Exporter, request_id: str) -> tuple[socket.socket, float]:
    """Send an event on a connection of its own; the connection, and when the event was sent."""
    announced = body(request_id=request_id)
    head = f"POST /webhooks/clevertap/default HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(announced)}\r\n"
    client = socket.create_connection(("127.0.0.1", exporter.webhook_port), timeout=30)
    client.sendall(head.encode() + b"Connection: close\r\n\r\n" + announced)
    return client, time.monotonic()


def assert_well(exporter: Exporter, *request_ids: str) -> None:
    """Everything that was acknowledged is there, once, now and after a crash."""
    wait_until(lambda: exporter.admin("/-/ready").status_code == 200, "it to be ready")
    assert exporter.value("dataexport_store_up") == 1
    assert stored(exporter) == sorted(request_ids)
    before = exporter.value("dataexport_webhook_events_total", source="default", status="initiated")
    assert before == len(request_ids)
    exporter.kill()
    exporter.start()
    assert stored(exporter) == sorted(request_ids)
    assert "Traceback" not in exporter.log()


@contextmanager
def running(folder: Path) -> Iterator[Exporter]:
    """An exporter that has acknowledged one event."""
    with Exporter(folder, shipped_limits=True) as exporter:
        accept(exporter, "before")
        yield exporter


def fill(path: Path) -> None:
    """Write into a file until there is no space left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk, running(disk) as exporter:
        filler = disk / "filler"
        fill(filler)
        large = [json.loads(body(request_id=f"large-{n}")) | {"more": "x" * 60_000} for n in range(8)]
        assert exporter.post(large).status_code == 503
        assert_refused(exporter, "during")
        assert_said(exporter, readable=True)
        filler.unlink()
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_a_file_system_that_refuses_writes(tmp_path: Path, error: str) -> None:
    """EROFS is what a file system answers that the kernel made read-only under an open file."""
    with running(tmp_path) as exporter:
        with injected(exporter, "pwrite64,ftruncate,fallocate,fsync,fdatasync", f"error={error}"):
            assert_refused(exporter, "during")
            assert_said(exporter, readable=True)
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


@pytest.mark.parametrize("which", range(1, 7))
def test_a_sync_that_fails_anywhere_in_a_commit(tmp_path: Path, which: int) -> None:
    with running(tmp_path) as exporter:
        sent = [f"during-{number}" for number in range(16)]
        with injected(exporter, "fsync,fdatasync", f"error=EIO:when={which}") as trace:
            codes = [exporter.post(body(request_id=each)).status_code for each in sent]
            assert "(INJECTED)" in trace.read_text("utf-8")
        assert set(codes) <= {200, 503}
        for each, code in zip(sent, codes, strict=True):
            if code == 503:
                accept(exporter, each)
        assert_well(exporter, "before", *sent)


def test_syncs_that_all_fail(tmp_path: Path) -> None:
    with running(tmp_path) as exporter:
        with injected(exporter, "fsync,fdatasync", "error=EIO"):
            assert_refused(exporter, "during")
            assert_said(exporter, readable=True)
            assert_refused(exporter, "during")
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


@pytest.mark.parametrize("lock", ["flock", "transaction"])
def test_a_lock_that_another_process_holds(tmp_path: Path, lock: str) -> None:
    with running(tmp_path) as exporter:
        with held_by_another_process(exporter.database, lock):
            assert_refused(exporter, "during")
            assert_said(exporter, readable=True)
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


SENT = [f"during-{number}" for number in range(200)]
"""More than there are threads that answer."""


def assert_200_refused(exporter: Exporter) -> None:
    """200 events sent at once are all answered 503, and most of them in time: far more than have a thread."""

    def refused() -> float:
        clients = [post_without_waiting(exporter, each) for each in SENT]
        took = []
        for client, began in clients:
            with client:
                answer = client.makefile("rb").read()
            took.append(time.monotonic() - began)
            assert answer.startswith(b"HTTP/1.1 503 "), answer
            assert b"\r\nRetry-After: 5\r\n" in answer
        return median(took)

    assert_within(RESPONSE_SECONDS, refused, "half of 200 responses")


def assert_all_taken(exporter: Exporter) -> None:
    """What may have been stored meanwhile is there once, after it was sent again."""
    again = [json.loads(body(request_id=each)) for each in SENT]
    wait_until(lambda: exporter.post(again).status_code == 200, "all to be accepted")
    assert_well(exporter, "before", *SENT)


def test_a_store_that_is_locked_is_reported_to_200_clients_in_time(tmp_path: Path) -> None:
    with running(tmp_path) as exporter:
        with held_by_another_process(exporter.database, "flock"):
            assert_200_refused(exporter)
        assert_all_taken(exporter)


def test_a_sync_that_does_not_return_is_reported_to_200_clients_in_time(tmp_path: Path) -> None:
    """It hangs until all are answered, so that no answer can have waited for it, not even the leading caller's."""
    environment, switch = hanging_syncs(tmp_path)
    with Exporter(tmp_path, environment=environment, shipped_limits=True) as exporter:
        accept(exporter, "before")
        switch.touch()
        assert_200_refused(exporter)
        assert exporter.value("dataexport_store_errors_total", operation="append") == 0  # it hangs, and does not fail
        wait_until(lambda: exporter.value("dataexport_store_up") == 0, "the heartbeat to notice")
        assert exporter.admin("/-/ready").status_code == 503
        switch.unlink()
        assert_all_taken(exporter)


def test_a_file_whose_header_was_overwritten(tmp_path: Path) -> None:
    with running(tmp_path) as exporter:
        with exporter.database.open("r+b") as file:
            header = file.read(100)
            file.seek(0)
            file.write(b"\0" * 100)
        assert_refused(exporter, "during")
        assert_said(exporter, readable=False)
        with exporter.database.open("r+b") as file:
            file.write(header)
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


def test_a_file_that_was_moved_away_and_comes_back(tmp_path: Path) -> None:
    with running(tmp_path) as exporter:
        aside = tmp_path / "aside.db"
        exporter.database.rename(aside)
        assert_refused(exporter, "during")
        assert_said(exporter, readable=False)
        aside.rename(exporter.database)
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_file_that_another_ledger_takes_the_place_of(tmp_path: Path, *, deleted_first: bool) -> None:
    """A backup put back: what it holds is what there is from then on."""
    (tmp_path / "other").mkdir()
    with Exporter(tmp_path / "other") as other:
        accept(other, "backed up")
        accept(other, "before")
        assert other.terminate() == 0
    with running(tmp_path) as exporter:
        accept(exporter, "never backed up")
        if deleted_first:
            for each in tmp_path.glob("dataexport.db*"):
                each.unlink()
            assert_refused(exporter, "during")
            assert_said(exporter, readable=False)
        shutil.copy(tmp_path / "other" / "dataexport.db", tmp_path / "restored.db")
        (tmp_path / "restored.db").rename(exporter.database)
        accept(exporter, "during")
        assert_well(exporter, "backed up", "before", "during")
