"""An event answered with 200 is on disk: a power cut at any moment after the answer loses none."""

from __future__ import annotations

import http.client
import os
import random
import re
import threading
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from builders import body
from exporter.ledger.sqlite.file import DRIVER
from power_cut import Disk, HttpResponse, Record, SyncBegun, SyncEnded, Write, acknowledged, read, recorder
from running import PATIENCE_SECONDS, Exporter, family, wait_until
from tools import PROOF, tracer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.proof

SENDERS = 8
EVENTS = 3_000
SHARE = 0.45
"""The share of the answers and syncs at which the power is cut: over 1,000 cuts of 3,000 events."""


@dataclass
class Recording:
    """A trace of a server, and what was asked of it on which port."""

    trace: Path
    database: Path
    port: int
    asked: dict[int, list[str]] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)

    def records(self) -> Iterator[tuple[Record, str]]:
        return acknowledged(read(self.trace, self.database, self.port), self.asked)


class Load:
    """Senders that deliver every event until it is acknowledged, each on a connection of its own."""

    def __init__(self, recording: Recording, events: int) -> None:
        self._recording = recording
        self._waiting = [f"run-{number}" for number in range(events)]
        self._lock = threading.Lock()

    def deliver(self) -> None:
        senders = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for each in senders:
            each.start()
        for each in senders:
            each.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._recording.port, timeout=PATIENCE_SECONDS)
        with closing(connection):
            while True:
                with self._lock:
                    if not self._waiting:
                        return
                    request_id = self._waiting.pop()
                while not self._post(connection, request_id):
                    pass

    def _post(self, connection: http.client.HTTPConnection, request_id: str) -> bool:
        if connection.sock is None:
            connection.connect()
        port = connection.sock.getsockname()[1]
        with self._lock:
            self._recording.asked.setdefault(port, []).append(request_id)
        connection.request("POST", "/webhooks/clevertap/default", body(request_id=request_id, more="x" * 1000))
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            self._recording.acknowledged.add(request_id)
        return answer.status == 200


def record(folder: Path, events: int, *inject: str) -> Recording:
    """Record a server under load, until it is killed."""
    trace = folder / "trace"
    with Exporter(folder, before=recorder(tracer(), trace, *inject)) as exporter:
        recording = Recording(trace, exporter.database, exporter.webhook_port)
        Load(recording, events).deliver()
        exporter.scrape()
        processes = family(exporter.pid)
        exporter.kill()
    assert len(processes) > 1
    wait_until(lambda: all(re.search(rb"\n%d +[+]{3} " % pid, tail(trace)) for pid in processes), "the trace to end")
    return recording


def tail(trace: Path) -> bytes:
    with trace.open("rb") as file:
        file.seek(-min(trace.stat().st_size, 100_000), os.SEEK_END)
        return file.read()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("recorded"), EVENTS)


def stored_after(files: dict[str, bytes], folder: Path) -> set[str]:
    """The request ids in a database as it was found, once SQLite has recovered it; none where it cannot."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        with closing(DRIVER.connect(folder / "dataexport.db")) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # nobody cuts the power of this one
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return set()
            return {row[0] for row in connection.execute("SELECT request_id FROM events")}
    except DRIVER.DatabaseError:
        return set()


def cuts(
    recording: Recording, disk: Disk, folder: Path, chance: random.Random, share: float = 1
) -> Iterator[tuple[set[str], set[str]]]:
    """Cut after every answer and before every sync, or after a share of them: what was promised, and what is stored."""
    promised: set[str] = set()
    for each, request_id in recording.records():
        disk.play(each, chance)
        if request_id:
            promised.add(request_id)
        if promised and isinstance(each, HttpResponse | SyncBegun) and chance.random() < share:
            yield promised, stored_after(disk.cut(chance), folder)
    assert promised == recording.acknowledged


def test_no_power_cut_loses_an_acknowledged_event(recording: Recording, tmp_path: Path) -> None:
    records = [each for each, _ in recording.records()]
    first = next(at for at, each in enumerate(records) if isinstance(each, HttpResponse))
    in_the_database = [each for each in records[first:] if isinstance(each, Write) and each.file == "dataexport.db"]
    assert in_the_database, "the write-ahead log was never moved into the database"
    done, stored = 0, set[str]()
    for seed in range(PROOF):
        for promised, stored in cuts(recording, Disk(), tmp_path, random.Random(seed), SHARE):
            assert promised <= stored, f"seed {seed}, cut {done}"
            done += 1
    assert done >= 1_000 * PROOF
    # What the last cut left is a ledger to start from.
    with Exporter(tmp_path) as exporter:
        events = exporter.value("dataexport_webhook_events_total", source="default", status="initiated")
        assert events == len(stored) > EVENTS / 2


def test_on_a_disk_that_does_not_sync_power_cuts_do_lose_events(recording: Recording, tmp_path: Path) -> None:
    """The same cuts find what they look for where it is to be found."""
    found = list(cuts(recording, Disk(lies=True), tmp_path, random.Random(1), share=0.02))
    lost = [promised for promised, stored in found if not promised <= stored]
    assert len(lost) > len(found) / 2


def test_what_was_acknowledged_after_a_sync_that_failed_is_on_disk_as_well(tmp_path: Path) -> None:
    """The kernel forgets what a failed sync did not write, and the next sync knows nothing of it."""
    (tmp_path / "recorded").mkdir()
    (tmp_path / "found").mkdir()
    # Every thread of the server counts its own syncs; the first ones are those of the start.
    recording = record(tmp_path / "recorded", 1_000, "-e", "inject=fsync,fdatasync:error=EIO:when=20+7")
    failed = [each for each, _ in recording.records() if isinstance(each, SyncEnded) and not each.worked]
    assert len(failed) >= 10
    for number, (promised, stored) in enumerate(cuts(recording, Disk(), tmp_path / "found", random.Random(1))):
        assert promised <= stored, f"cut {number}"
