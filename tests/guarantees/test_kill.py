"""Killed or stopped under load, again and again: what was acknowledged is there, once, and nothing else has changed."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING

import pytest
import requests

from builders import body
from faults import injected
from running import PATIENCE_SECONDS, Exporter, wait_until
from tools import PROOF

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.proof

TIMES = 10 * PROOF
SENDERS = 4
FIRST_PROCESS_METRIC = "# HELP dataexport_webhook_requests"


def from_the_ledger(exporter: Exporter) -> str:
    """The part of a scrape that is about exports and sources."""
    text, found, _ = exporter.scrape().partition(FIRST_PROCESS_METRIC)
    assert found
    return text


def stored(exporter: Exporter) -> list[str]:
    """The request ids of all events."""
    listed = exporter.run("events", "--json", "--limit", "100000")
    assert listed.returncode == 0, listed.stderr
    return [event["request_id"] for event in json.loads(listed.stdout)]


class Load:
    """Senders that deliver until nobody answers any more.

    Args:
        label: no other load has it.
    """

    def __init__(self, exporter: Exporter, label: str) -> None:
        self.acknowledged: list[str] = []
        self._url = f"{exporter.webhook_url}/webhooks/clevertap/default"
        self._label = label
        self._senders = [threading.Thread(target=self._deliver, args=(number,)) for number in range(SENDERS)]
        for each in self._senders:
            each.start()

    def _deliver(self, sender: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for number in range(1_000_000):
                request_id = f"{self._label}-{sender}-{number}"
                try:
                    answer = session.post(self._url, body(request_id=request_id), timeout=PATIENCE_SECONDS)
                except requests.RequestException:
                    return
                if answer.status_code == 200:
                    self.acknowledged.append(request_id)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.acknowledged) >= count, "the load is there")

    def join(self) -> None:
        for each in self._senders:
            each.join()


@pytest.mark.parametrize("end", [Exporter.terminate, Exporter.kill])
def test_whatever_ends_it_under_load_it_starts_again_with_all_that_it_acknowledged(
    tmp_path: Path, end: Callable[[Exporter], object]
) -> None:
    chance = random.Random(1)
    acknowledged: set[str] = set()
    with Exporter(tmp_path) as exporter:
        for time in range(TIMES):
            load = Load(exporter, f"load-{time}")
            load.wait_for(chance.randint(1, 60))
            assert end(exporter) in {0, None}  # the exit code; a killed one has none that matters
            load.join()
            acknowledged.update(load.acknowledged)
            exporter.start()
            found = stored(exporter)
            assert acknowledged <= set(found)
            assert exporter.value("dataexport_webhook_events_total", source="default", status="initiated") == len(found)
        at_rest = from_the_ledger(exporter)
        exporter.kill()
        exporter.start()
        assert from_the_ledger(exporter) == at_rest
        assert "Traceback" not in exporter.log()


def kill_before_it_says_a_word(exporter: Exporter, request_id: str, which: int) -> bool:
    """Deliver an event, and kill the exporter as it begins to write for the ``which``-th time; whether it is stored.

    SQLite writes with other calls. What is written first may wake another thread, and the log and
    the answer come later.
    """
    with (
        injected(exporter, "sendto,sendmsg,write,writev", f"signal=KILL:when={which}"),
        pytest.raises(requests.ConnectionError),
    ):
        exporter.post(body(request_id=request_id))
    exporter.kill()
    exporter.start()
    return request_id in stored(exporter)


def test_killed_between_the_commit_and_the_answer_the_next_delivery_is_a_duplicate(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        for which in range(1, 9):
            request_id = f"killed-{which}"
            if kill_before_it_says_a_word(exporter, request_id, which):
                break
            assert exporter.post(body(request_id=request_id)).json()["accepted"] == 1
        else:
            pytest.fail("it was never killed between the commit and the answer")
        answer = exporter.post(body(request_id=request_id))
        assert answer.json() == {"accepted": 0, "duplicates": 1, "quarantined": 0}
        assert stored(exporter).count(request_id) == 1
        assert exporter.value("dataexport_webhook_events_total", source="default", status="initiated") == which
