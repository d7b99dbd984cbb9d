"""Several exporters on one PostgreSQL: they show the same, and any of them may die at any moment."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from exporter.ledger.sql.ledger import SqlLedger
from monitoring import clean_environment
from postgres import PASSWORD
from restarts import CONFIGURATION, from_the_ledger, send_some_of_everything
from running import Exporter, wait_until
from senders import Senders
from tools import PROOF

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.domain.events import Event

pytestmark = pytest.mark.proof

EVENTS = ("dataexport_webhook_events_total", {"source": "default", "status": "initiated"})

WRITERS = """
import sys, threading
from builders import accepted_event, at, event
from exporter.ledger.sql.ledger import SqlLedger

ledger = SqlLedger(sys.argv[1])
print("open", flush=True)
sys.stdin.read(1)

over = threading.Event()

def write(writer):
    n = 0
    while n < int(sys.argv[3]) or not over.is_set():
        ledger.append([accepted_event(event("initiated", at("0:00") + n, request_id=f"{sys.argv[2]}-{writer}"))])
        n += 1

writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
for each in writers:
    each.start()
sys.stdin.read()
over.set()
for each in writers:
    each.join()
ledger.close()
"""


@pytest.fixture
def replicas(postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Exporter]]:
    """Two exporters on one database, running."""
    with ExitStack() as stack:
        found = []
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            environment = {"DATAEXPORT_STORE_URL": postgres_url}
            found.append(stack.enter_context(Exporter(folder, getattr(request, "param", ""), environment)))
        yield found


def stored(url: str) -> list[Event]:
    with closing(SqlLedger(url)) as ledger:
        return ledger.read(0, 1_000_000)


def test_either_of_two_may_be_killed_at_any_moment(replicas: list[Exporter], postgres_url: str) -> None:
    chance = random.Random(15)
    with Senders(replicas) as senders:
        for _ in range(4 * PROOF):
            victim = chance.choice(replicas)
            senders.wait_for(chance.randrange(1, 60))
            victim.kill()
            senders.wait_for(20)  # by the other one
            victim.start()
    one, other = replicas
    assert from_the_ledger(one) == from_the_ledger(other)
    found = [each.request_id for each in stored(postgres_url)]
    assert set(senders.acknowledged) <= set(found)
    assert len(found) == len(set(found)) == one.value(EVENTS[0], **EVENTS[1])
    for each in replicas:
        assert "Traceback" not in each.log()
        assert PASSWORD not in each.log()
    with closing(SqlLedger(postgres_url)) as ledger:
        assert ledger.outages() == []  # somebody listened all the time


@pytest.mark.parametrize("replicas", [CONFIGURATION], indirect=True)
def test_both_show_every_series_of_exports_and_sources_byte_for_byte(replicas: list[Exporter]) -> None:
    one, other = replicas
    send_some_of_everything(one)
    shown = from_the_ledger(other)
    assert 'export="1700000001"' in shown
    assert from_the_ledger(one) == shown
    assert one.post({"Partner": "Amazon S3"}, "shop").json()["duplicates"] == 1
    assert other.post({"Partner": "Amazon S3"}, "shop").json()["duplicates"] == 1
    assert from_the_ledger(one) == from_the_ledger(other) != shown


def test_what_one_has_acknowledged_the_next_scrape_of_any_shows(replicas: list[Exporter]) -> None:
    with Senders(replicas) as senders:
        shown = 0.0
        for turn in range(30 * PROOF):
            acknowledged = len(senders.acknowledged)
            now = replicas[turn % 2].value(EVENTS[0], **EVENTS[1]) or 0
            assert now >= acknowledged
            assert now >= shown  # no going back from one replica to the other
            shown = now


def test_a_reader_misses_nothing_of_what_many_processes_write(postgres_url: str) -> None:
    """Sequences become visible in the order of their commits, as a tail needs it."""
    count = 60 * PROOF
    with closing(SqlLedger(postgres_url)) as ledger:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITERS, postgres_url, name, str(count)],
                env=clean_environment({"PYTHONPATH": ":".join(sys.path)}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for name in ("one", "other")
        ]
        tail: list[Event] = []

        def poll() -> bool:
            more = ledger.read(tail[-1].sequence if tail else 0)
            tail.extend(more)
            return bool(more)

        with ExitStack() as running:
            for each in writers:
                running.enter_context(each)
                assert each.stdout is not None
                assert each.stdout.readline() == b"open\n"
            for each in writers:
                assert each.stdin is not None
                each.stdin.write(b"\n")
                each.stdin.flush()
            between = 0
            while between < 10 or len(tail) < 2 * 8 * count:
                assert all(each.poll() is None for each in writers)
                between += poll()
            for each in writers:
                assert each.stdin is not None
                each.stdin.close()  # enough
            while any(each.poll() is None for each in writers):
                poll()
        while poll():
            pass
        assert [each.sequence for each in tail] == list(range(1, len(tail) + 1))
        assert tail == ledger.read(0, 1_000_000)


def test_only_a_replica_with_another_configuration_says_so_and_so_does_the_doctor(
    postgres_url: str, tmp_path: Path
) -> None:
    environment = {"DATAEXPORT_STORE_URL": postgres_url}
    saved = "dataexport_checkpoint_last_success_timestamp_seconds"
    for name in ("first", "same", "other"):
        (tmp_path / name).mkdir()
    with Exporter(tmp_path / "first", CONFIGURATION, environment) as first:
        wait_until(lambda: (first.value(saved) or 0) > 0, "its checkpoint")
        for name, toml in (("same", CONFIGURATION), ("other", CONFIGURATION.replace("Azure", "Amazon S3"))):
            with Exporter(tmp_path / name, toml, environment) as replica:
                examined = replica.run("doctor", "--config", str(replica.config_path))
            # At its end at the latest, it looked at the checkpoint.
            assert ("replica_differs" in replica.log()) == (name == "other")
            told = r"^BAD  store: \d+ s ago an exporter was on it with another configuration or release: "
            assert bool(re.search(told, examined.stdout, re.MULTILINE)) == (name == "other"), examined.stdout
        assert "replica_differs" not in first.log()
