"""From CleverTap's POST to a page: the real exporter, Prometheus and Alertmanager with the shipped rules."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from builders import fields, vendor_clock
from configurations import SHOP
from monitoring import Monitoring, wait_for
from reference_pages import metric_notes
from running import Exporter
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.proof

HOUR = 3600
CONFIG = f"""{SHOP}
[[exports]]
name = "orders-to-s3"
source = "shop"
match = {{ partner = "Amazon S3", frequency = "4h" }}
owner = "data-platform"
runbook_url = "https://wiki.example/orders"
"""


def body(status: str, at: float, partner: str = "AWS S3") -> dict[str, object]:
    """A made-up body of a four-hourly export."""
    return fields(status, vendor_clock(at), Partner=partner)


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    for name in ("prometheus", "alertmanager"):
        tool(name)
    with Exporter(tmp_path, CONFIG) as running:
        yield running


@pytest.fixture
def monitoring(exporter: Exporter, tmp_path: Path) -> Iterator[Monitoring]:
    """Monitor the exporter until the page: a declared export and another passed their deadlines 12 minutes ago."""
    now = time.time()  # 5 - 4 - 0.8 hours
    for partner in ("AWS S3", "Microsoft Azure"):
        assert exporter.post(body("Initiated", now - 5 * HOUR - 600, partner), "shop").status_code == 200
        assert exporter.post(body("Completed", now - 5 * HOUR, partner), "shop").status_code == 200
    with Monitoring(tmp_path, f"127.0.0.1:{exporter.admin_port}") as running:
        wait_for(lambda: pages(running, "firing"), "the page")
        yield running


def pages(monitoring: Monitoring, status: str) -> list[Any]:
    """The notifications of the paging receiver."""
    return monitoring.receiver.of("/page", status)


def tickets(monitoring: Monitoring) -> list[str]:
    """The texts of the tickets."""
    return [body["attachments"][0]["text"] for path, body in monitoring.receiver.posts if path == "/chat/ticket"]


def test_a_declared_export_pages_once_at_its_deadline_until_it_completes_and_an_undeclared_one_is_a_ticket(
    exporter: Exporter, monitoring: Monitoring
) -> None:
    [alert] = pages(monitoring, "firing")[0]["alerts"]
    labels = alert["labels"]
    assert labels["alertname"] == "ExportOverdue"
    assert labels["severity"] == "critical"
    assert labels["source"] == "shop"
    assert labels["export"] == "orders-to-s3"
    assert labels["partner"] == "Amazon S3"
    assert labels["frequency"] == "4h"
    assert labels["owner"] == "data-platform"
    assert "orders-to-s3 of shop" in alert["annotations"]["description"]
    assert re.search(r" is 1\dm", alert["annotations"]["description"])  # later on a busy machine
    assert "Owner: data-platform." in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/ExportOverdue.md")

    for note in metric_notes.NOTES.values():
        monitoring.query(note.query)  # the examples of docs/reference/metrics.md

    wait_for(lambda: tickets(monitoring), "the ticket")
    assert "ExportOverdue: any (warning)" in tickets(monitoring)[0]
    assert re.search(r"Export any of shop \(events to Microsoft Azure, 4h\) is 1\dm", tickets(monitoring)[0])

    assert exporter.post(body("Initiated", time.time()), "shop").status_code == 200
    assert exporter.post(body("Completed", time.time()), "shop").status_code == 200
    wait_for(lambda: pages(monitoring, "resolved"), "the resolution")
    [resolved] = pages(monitoring, "resolved")[0]["alerts"]
    assert resolved["fingerprint"] == alert["fingerprint"]
    assert len(pages(monitoring, "firing")) == 1
    assert [text for text in tickets(monitoring) if "orders-to-s3" in text] == []


def test_killing_the_exporter_in_between_neither_resolves_the_page_nor_pages_twice(
    exporter: Exporter, monitoring: Monitoring
) -> None:
    exporter.kill()
    wait_for(lambda: monitoring.query('up{job="dataexport"} == 0'), "Prometheus to see it down")
    # Long enough for a resolution: many evaluations, and several group intervals.
    wait_for(lambda: monitoring.query('count_over_time((up{job="dataexport"} == 0)[30s:1s]) >= 8'), "the gap")
    exporter.start()
    wait_for(lambda: monitoring.query('up{job="dataexport"} == 1'), "Prometheus to see it again")
    wait_for(lambda: monitoring.query('count_over_time((up{job="dataexport"} == 1)[8s:1s]) >= 7'), "it to stay")

    assert len(pages(monitoring, "firing")) == 1
    assert pages(monitoring, "resolved") == []

    assert exporter.post(body("Completed", time.time()), "shop").status_code == 200
    wait_for(lambda: pages(monitoring, "resolved"), "the resolution")
    assert len(pages(monitoring, "firing")) == 1
