"""An exporter that has seen some of everything, and what must be the same after a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, make_url, text

from builders import HOUR, body, fields, vendor_clock

if TYPE_CHECKING:
    from running import Exporter

CONFIGURATION = """
[[sources]]
slug = "shop"
timezone = "UTC"

[[sources]]
slug = "found-out"

[[exports]]
name = "nightly"
source = "shop"
match = { partner = "Azure" }
interval = "24h"

[[exports]]
name = "silent"
source = "shop"
match = { request_id = "nobody" }
interval = "4h"
"""
OF_THE_PROCESS = "# HELP dataexport_webhook_requests"


def from_the_ledger(exporter: Exporter) -> str:
    """The part of a scrape that is about exports and sources."""
    text, found, _ = exporter.scrape().partition(OF_THE_PROCESS)
    assert found
    return text


def send_some_of_everything(exporter: Exporter) -> None:
    now = time.time()
    for source in ("shop", "found-out"):
        for hours in (5, 1):  # a recurring id: the export is detected
            exporter.post(body("Initiated", vendor_clock(now - hours * HOUR)), source)
            exporter.post(body("Completed", vendor_clock(now - hours * HOUR + 600)), source)
        exporter.post(fields("Failed", vendor_clock(now), 2), source)
        exporter.post(fields("Queued", vendor_clock(now), 3, Frequency="now and then"), source)
        exporter.post(fields("Completed", vendor_clock(now), 4, Frequency="One Time"), source)
        exporter.post(fields("Initiated", vendor_clock(now), 5, Partner="Azure"), source)
        exporter.post(fields("Initiated", vendor_clock(now), 5, Partner="Azure"), source)
        exporter.post(fields("Initiated", vendor_clock(now + HOUR), 6), source)  # in the future
        exporter.post({"Partner": "Amazon S3"}, source)
        exporter.post({"is_test": True}, source)


def start_without_outage(exporter: Exporter) -> None:
    """Start it as if it had been heard of just now: on a busy machine more than thirty seconds may have passed."""
    url = make_url(exporter.environment.get("DATAEXPORT_STORE_URL", f"sqlite:///{exporter.database}"))
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(exporter.database.parent / str(url.database)))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE heartbeats SET last_seen_us = :now"), {"now": int(time.time() * 1e6)})
    engine.dispose()
    exporter.start()


def assert_a_kill_changes_nothing(exporter: Exporter) -> None:
    """With some of everything in its ledger, it shows the same when it was killed and started again."""
    send_some_of_everything(exporter)
    before = from_the_ledger(exporter)
    assert 'export="1700000001"' in before
    exporter.kill()
    start_without_outage(exporter)
    assert from_the_ledger(exporter) == before
