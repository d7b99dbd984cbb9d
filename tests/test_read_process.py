"""The process that reads the ledger: it tells what a read model in this process tells, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import HOUR, MINUTE, SHOP, at, event, received, vendor_clock
from builders import body as made_up
from exporter.errors import StoreError
from exporter.ledger import PAGE
from exporter.read_model import ReadModel, Scope
from exporter.read_process import TOGETHER, ReadProcess
from exporter.sql_ledger import SqlLedger
from exporter.sqlite_file import journal_mode
from exporter.telemetry import Telemetry
from running import Exporter, family, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.model import Event
    from exporter.read_model import Readable, Scrape
    from exporter.sql_database import Observer

NOW = at("12:00")
SCOPE = Scope({SHOP.slug: SHOP}, (), 200, 400 * 24 * HOUR)
OF_EXPORTS = "# HELP dataexport_webhook_requests"


def nobody(*_: object) -> None:
    """Nobody is told."""


class Started:
    """A ledger, and what is known of it in a process of its own."""

    def __init__(self, path: Path, opened: Callable[[Observer], SqlLedger] | None = None) -> None:
        self.url = f"sqlite:///{path / 'ledger.db'}"
        SqlLedger(self.url).close()  # its tables
        self.telemetry = Telemetry()
        self.model = ReadProcess(opened or self.opened, SCOPE, self.telemetry.observe_elsewhere)
        self.ledger = SqlLedger(self.url)

    def opened(self, observe: Observer) -> SqlLedger:
        return SqlLedger(self.url, observe)

    def close(self) -> None:
        self.model.close()
        self.ledger.close()

    def value(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name, labels)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    with closing(Started(tmp_path)) as made:
        yield made


def some(number: int, partner: str = "Amazon S3", status: str = "completed") -> Event:
    return event(status, at("1:00") + number * MINUTE, request_id=str(number), partner=partner)


def there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def text(scrape: Scrape) -> bytes:
    return b"".join(scrape.body.plain(b"the end"))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 60), st.sampled_from(["Amazon S3", "Azure", "a", "b", "c"])),
        st.tuples(st.just("scrape"), st.booleans()),
        st.tuples(st.just("take"), st.integers(1, 4)),
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_it_scrapes_the_same_as_one_here(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object, object]]
) -> None:
    with closing(Started(tmp_path_factory.mktemp("ledger"))) as started:
        here = ReadModel(started.ledger, SCOPE)
        both: list[Readable] = [here, started.model]
        assert len({model.catch_up(NOW) for model in both}) == 1
        for step, *what in steps:
            if step == "append":
                number, partner = what
                assert isinstance(number, int)
                started.ledger.append([received(some(number, str(partner)))])
            elif step == "take":
                for model in both:
                    model.take(replace(SCOPE, exports_per_source=what[0]), NOW)  # type: ignore[arg-type]
            else:
                one, other = (model.scrape(NOW, openmetrics=bool(what[0])) for model in both)
                assert text(one) == text(other)
                assert one.body.compressed(b"") == other.body.compressed(b"")
                assert (one.series, one.dropped) == (other.series, other.dropped)
        assert here.known(NOW) == started.model.known(NOW)


def test_only_pieces_that_changed_are_sent(started: Started) -> None:
    started.ledger.append([received(some(1)), received(some(2, "Azure"))])
    first, second = (started.model.scrape(NOW, openmetrics=False).body for _ in range(2))
    assert all(one is other for one, other in zip(first.pieces, second.pieces, strict=True))
    started.ledger.append([received(some(3))])
    third = started.model.scrape(NOW, openmetrics=False).body
    same = [one is other for one, other in zip(second.pieces, third.pieces, strict=True)]
    assert any(same)
    assert not all(same)


def test_many_exports_are_told_whole_and_in_order(started: Started) -> None:
    started.ledger.append([received(some(number, f"partner {number}")) for number in range(3 * TOGETHER + 1)])
    states, sources = started.model.known(NOW)
    assert len(states) == 3 * TOGETHER + 1
    assert (states, sources) == ReadModel(started.ledger, SCOPE).known(NOW)


def test_an_export_is_told_with_its_newest_events(started: Started) -> None:
    started.ledger.append([received(some(number)) for number in range(5)])
    [state], _ = started.model.known(NOW)
    found = started.model.export(state.id, NOW, 3)
    assert found is not None
    assert (found[0], [each.request_id for each in found[1]]) == (state, ["4", "3", "2"])
    assert started.model.export("0" * 16, NOW, 3) is None


def test_it_keeps_a_checkpoint_and_prunes(started: Started) -> None:
    started.ledger.append([received(some(number)) for number in range(80)])
    assert started.model.keep(NOW).written
    assert not started.model.keep(NOW).written
    started.ledger.append([received(some(81))])
    assert started.model.keep(NOW, leaving=True).written
    head = started.ledger.folds.checkpoint()
    assert head is not None
    assert (head.sequence, head.owner) == (81, "")
    later = NOW + 500 * 24 * HOUR
    removed = 0
    while count := started.model.prune(later):
        removed += count
    assert removed == 81 - len(started.ledger.read(0)) > 0


def test_a_store_that_fails_there_is_told_here_until_it_works_again(started: Started, tmp_path: Path) -> None:
    assert started.model.catch_up(NOW).events == 0
    assert started.value("dataexport_store_up") == 1
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    with pytest.raises(StoreError, match="was removed"):
        started.model.scrape(NOW, openmetrics=False)
    assert started.value("dataexport_store_up") == 0
    failed = started.value("dataexport_store_errors_total", operation="read")
    assert failed
    (tmp_path / "away.db").rename(tmp_path / "ledger.db")
    assert started.model.scrape(NOW, openmetrics=False).series > 0
    assert started.value("dataexport_store_up") == 1
    assert started.value("dataexport_store_errors_total", operation="read") == failed


def test_a_mistake_there_is_logged_there_and_one_here_without_its_details(
    started: Started, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match=r"^TypeError where the ledger is read$"):
        started.model.export("canary", "no instant", 3)  # type: ignore[arg-type]
    assert "canary" not in str(capfd.readouterr().out)
    assert started.model.known(NOW)[0] == []


def test_its_end_is_noticed_and_whoever_asks_is_told(started: Started) -> None:
    started.model.catch_up(NOW)
    os.kill(started.model.pid, signal.SIGKILL)
    wait_until(lambda: bool(started.model.fault), "its end to be noticed")
    assert started.model.fault == "the process that reads the ledger has ended by itself"
    with pytest.raises(StoreError, match="has ended"):
        started.model.scrape(NOW, openmetrics=False)
    with pytest.raises(StoreError, match="has ended"):
        started.model.keep(NOW, leaving=True)


def test_closing_it_is_no_loss(started: Started) -> None:
    started.model.catch_up(NOW)
    started.model.close()
    started.model.close()
    assert not there(started.model.pid)
    with pytest.raises(StoreError, match="has ended"):
        started.model.known(NOW)


class Endless(SqlLedger):
    """A ledger that takes too long to read."""

    def read(self, after: int, limit: int = PAGE) -> list[Event]:
        time.sleep(3600)
        return super().read(after, limit)


def test_it_can_be_closed_while_it_reads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(Started(tmp_path, lambda observe: Endless(url, observe))) as started:
        errors: list[StoreError] = []

        def catch_up() -> None:
            try:
                started.model.catch_up(NOW)
            except StoreError as error:
                errors.append(error)

        reading = threading.Thread(target=catch_up)
        reading.start()
        tasks = Path(f"/proc/{started.model.pid}/task")
        wait_until(lambda: len(list(tasks.iterdir())) > 1, "it to read")
        started.model.close()
        reading.join()
        assert len(errors) == 1


def test_one_that_does_not_end_is_ended(started: Started) -> None:
    started.model.catch_up(NOW)
    os.kill(started.model.pid, signal.SIGSTOP)
    started.model.close()
    assert not there(started.model.pid)


MISTAKEN = """
import sys
from exporter.read_model import Scope
from exporter.read_process import ReadProcess
from exporter.sql_ledger import SqlLedger
model = ReadProcess(lambda observe: SqlLedger(sys.argv[1], observe), Scope({}, (), 1, 1), print)
model.catch_up(1)
raise RuntimeError("a mistake")
"""


def test_a_worker_that_ends_by_a_mistake_does_not_wait_for_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MISTAKEN, f"sqlite:///{tmp_path / 'ledger.db'}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith("RuntimeError: a mistake\n")


def test_signals_to_everybody_do_not_end_it(started: Started) -> None:
    started.model.catch_up(NOW)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(started.model.pid, each)
    assert started.model.known(NOW)[0] == []
    assert not started.model.fault


def test_it_keeps_no_socket_on_which_others_listen(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    model = ReadProcess(lambda observe: SqlLedger(url, observe), SCOPE, nobody, [listening])
    with closing(model):
        assert model.catch_up(NOW).events == 0
        listening.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address).close()


def test_where_the_ledger_cannot_be_opened_it_ends() -> None:
    def refused(_: Observer) -> SqlLedger:
        message = "the disk is on fire"
        raise StoreError(message)

    with closing(ReadProcess(refused, SCOPE, nobody)) as model:
        wait_until(lambda: bool(model.fault), "its end to be noticed")
        with pytest.raises(StoreError, match="has ended"):
            model.catch_up(NOW)


def reader_of(exporter: Exporter) -> int:
    """The process of a running exporter that reads its ledger: the worker's."""
    _, _, reader = family(exporter.pid)
    return reader


def of_exports(exporter: Exporter) -> str:
    text, found, _ = exporter.scrape().partition(OF_EXPORTS)
    assert found
    return text


def test_an_exporter_whose_reader_is_killed_goes_on_with_another_and_has_lost_nothing(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        posted = [made_up("Completed", vendor_clock(time.time() - n * HOUR), n, Partner=f"p{n}") for n in range(5)]
        for each in posted[:4]:
            assert exporter.post(each).json()["accepted"] == 1
        before, reader = of_exports(exporter), reader_of(exporter)
        os.kill(reader, signal.SIGKILL)

        def another_one() -> bool:
            with suppress(ValueError, FileNotFoundError):
                return reader_of(exporter) != reader and exporter.admin("/-/ready").status_code == 200
            return False

        wait_until(another_one, "another process that reads")
        assert of_exports(exporter) == before
        assert [exporter.post(each).json() for each in posted[3:]] == [
            {"accepted": 0, "duplicates": 1, "quarantined": 0},
            {"accepted": 1, "duplicates": 0, "quarantined": 0},
        ]
        assert exporter.value("dataexport_reader_process_resident_memory_bytes") is not None
        assert "has ended by itself" in exporter.log()


def test_where_readers_and_writers_would_wait_for_each_other_the_worker_reads_for_itself(tmp_path: Path) -> None:
    """As with a SQLite that has no safe log of writes, and none that is bundled."""
    (tmp_path / "without" / "pysqlite3").mkdir(parents=True)
    (tmp_path / "without" / "pysqlite3" / "__init__.py").touch()
    alone = journal_mode(sqlite3.sqlite_version_info) != "wal"
    with Exporter(tmp_path, environment={"PYTHONPATH": str(tmp_path / "without")}) as exporter:
        assert len(family(exporter.pid)) == (2 if alone else 3)
        assert exporter.post(made_up("Completed", vendor_clock(time.time()), 1)).json()["accepted"] == 1
        assert exporter.value("dataexport_webhook_events_total", source="default", status="completed") == 1
        assert (exporter.value("dataexport_reader_process_open_fds") is None) == alone


def test_nothing_is_left_of_an_exporter_that_is_killed(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        reader = reader_of(exporter)
        os.kill(exporter.pid, signal.SIGKILL)
        exporter.wait()
        wait_until(lambda: not there(reader), "the process that reads to end")
