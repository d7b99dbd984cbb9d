"""Sends an exporter events of every kind, and asserts that a restart changes nothing that it shows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, make_url, text

from builders import HOUR, body, fields, vendor_clock
from configurations import NIGHTLY, SHOP

if TYPE_CHECKING:
    from running import Exporter

CONFIGURATION = f"""
{SHOP}
[[sources]]
slug = "found-out"
{NIGHTLY}
[[exports]]
name = "silent"
source = "shop"
match = {{ request_id = "nobody" }}
interval = "4h"
"""
FIRST_PROCESS_METRIC = "# HELP dataexport_webhook_requests"


def from_the_ledger(exporter: Exporter) -> str:
    """Return the part of a scrape that comes from the ledger: the metrics of exports and sources."""
    text, separator, _ = exporter.scrape().partition(FIRST_PROCESS_METRIC)
    assert separator
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
    """Start the exporter with a fresh heartbeat: on a busy machine its last one may be over 30 s old, an outage."""
    url = make_url(exporter.environment.get("DATAEXPORT_STORE_URL", f"sqlite:///{exporter.database}"))
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(exporter.database.parent / str(url.database)))
    engine = create_engine(url)
    with engine.begin() as connection:
        offset = "(SELECT offset_us FROM epochs WHERE id = epoch)"
        now = {"now": int(time.time() * 1e6)}
        connection.execute(text(f"UPDATE heartbeats SET last_seen_us = :now - {offset}"), now)  # noqa: S608 - our own
    engine.dispose()
    exporter.start()


def assert_a_kill_changes_nothing(exporter: Exporter) -> None:
    """Assert that an exporter with events of every kind shows the same after it was killed and started again."""
    send_some_of_everything(exporter)
    before = from_the_ledger(exporter)
    assert 'export="1700000001"' in before
    exporter.kill()
    start_without_outage(exporter)
    assert from_the_ledger(exporter) == before
