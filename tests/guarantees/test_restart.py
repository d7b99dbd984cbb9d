"""A restart changes nothing, and whatever was answered with 200 is there afterwards."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import requests

from builders import HOUR, body, fields, vendor_clock
from restarts import (
    CONFIGURATION,
    assert_a_kill_changes_nothing,
    from_the_ledger,
    send_some_of_everything,
    start_without_outage,
)
from running import PATIENCE_SECONDS, Exporter, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.proof


def test_after_kill_and_restart_every_series_of_exports_and_sources_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    with Exporter(tmp_path, CONFIGURATION) as exporter:
        assert_a_kill_changes_nothing(exporter)
        # And it goes on from there.
        assert exporter.post({"Partner": "Amazon S3"}, "shop").json()["duplicates"] == 1
        assert exporter.value("dataexport_webhook_duplicates_total", source="shop") == 2


def starts(exporter: Exporter) -> list[bool]:
    """Whether each start so far went on from a checkpoint."""
    return [
        found.lower() == "true"
        for found in re.findall(r"from_checkpoint\W+(true|false)", plain(exporter.log()), re.IGNORECASE)
    ]


def plain(log: str) -> str:
    """Text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", log)


def test_a_start_from_a_checkpoint_changes_nothing_and_a_damaged_one_is_survived(tmp_path: Path) -> None:
    with Exporter(tmp_path, CONFIGURATION) as exporter:
        send_some_of_everything(exporter)
        before = from_the_ledger(exporter)
        exporter.terminate()  # which writes the checkpoint
        start_without_outage(exporter)
        assert from_the_ledger(exporter) == before
        # Newer events than the checkpoint's. Id 6 recurs, which only the ledger knows, so its export is detected now.
        now = time.time()
        for hours in (9, 8, 4, 0):
            exporter.post(fields("Initiated", vendor_clock(now - hours * HOUR), 7), "shop")
        exporter.post(fields("Initiated", vendor_clock(now - 5 * HOUR), 6), "shop")
        before = from_the_ledger(exporter)
        assert 'export="7"' in before
        assert 'export="6"' in before
        exporter.kill()
        start_without_outage(exporter)
        assert from_the_ledger(exporter) == before
        exporter.terminate()
        with closing(sqlite3.connect(exporter.database)) as database, database:
            changed = database.execute("UPDATE checkpoint_rows SET document = substr(document, 1, 40)").rowcount
        assert changed > 4
        start_without_outage(exporter)
        assert from_the_ledger(exporter) == before
        assert starts(exporter) == [False, True, True, False]
        exporter.terminate()
        start_without_outage(exporter)
        assert starts(exporter)[-1]
        assert from_the_ledger(exporter) == before


@pytest.mark.parametrize("end", [Exporter.terminate, Exporter.kill])
def test_what_was_acknowledged_before_the_end_is_there_after_it(
    tmp_path: Path, end: Callable[[Exporter], object]
) -> None:
    acknowledged: list[str] = []
    with Exporter(tmp_path) as exporter:
        url = f"{exporter.webhook_url}/webhooks/clevertap/default"

        def deliver(sender: int) -> None:
            with requests.Session() as session:
                session.trust_env = False
                session.headers["Connection"] = "close"  # a stop waits for connections that are kept
                for number in range(100_000):
                    request_id = f"{sender}-{number}"
                    try:
                        answer = session.post(url, body(request_id=request_id), timeout=PATIENCE_SECONDS)
                    except requests.RequestException:
                        return
                    if answer.status_code == 200:
                        acknowledged.append(request_id)

        senders = [threading.Thread(target=deliver, args=(sender,)) for sender in range(4)]
        for sender in senders:
            sender.start()
        wait_until(lambda: len(acknowledged) >= 50, "the load is there")
        assert end(exporter) in {0, None}  # the exit code; a killed one has none that matters
        for sender in senders:
            sender.join()
        exporter.start()
        listed = exporter.run("events", "--json", "--limit", "100000")
        stored = {event["request_id"] for event in json.loads(listed.stdout)}
        assert set(acknowledged) <= stored
        assert exporter.value("dataexport_webhook_events_total", source="default", status="initiated") == len(stored)
        assert "Traceback" not in exporter.log()
