"""From files in a bucket to a page, or to none: the real exporter, Prometheus and Alertmanager, the shipped rules."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bucket_server import bucket_server
from builders import HOUR, fields, vendor_clock
from configurations import SHOP
from monitoring import Monitoring, wait_for
from running import Exporter
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucket_server import BucketServer

pytestmark = pytest.mark.proof

CONFIG = f"""{SHOP}
[[exports]]
name = "orders-to-s3"
source = "shop"
match = {{{{ partner = "Amazon S3", frequency = "4h" }}}}
owner = "data-platform"

[exports.landing]
url = "s3://exports/orders/"
within = "1m"
endpoint = "{{url}}"
region = "us-east-1"
anonymous = true
"""


@pytest.fixture
def bucket() -> Iterator[BucketServer]:
    with bucket_server() as server:
        yield server


@pytest.fixture
def exporter(tmp_path: Path, bucket: BucketServer) -> Iterator[Exporter]:
    for name in ("prometheus", "alertmanager"):
        tool(name)
    with Exporter(tmp_path, CONFIG.format(url=bucket.url)) as running:
        yield running


def post(exporter: Exporter, status: str, when: float) -> None:
    assert exporter.post(fields(status, vendor_clock(when)), "shop").status_code == 200


def test_an_empty_export_pages_and_resolves_when_its_files_come(
    exporter: Exporter, bucket: BucketServer, tmp_path: Path
) -> None:
    now = time.time()
    post(exporter, "Initiated", now - 600)
    post(exporter, "Completed", now - 120)
    with Monitoring(tmp_path, f"127.0.0.1:{exporter.admin_port}") as monitoring:
        wait_for(lambda: monitoring.receiver.of("/page", "firing"), "the page")
        [alert] = monitoring.receiver.of("/page", "firing")[0]["alerts"]
        assert alert["labels"]["alertname"] == "ExportNothingLanded"
        assert alert["labels"]["severity"] == "critical"
        assert alert["labels"]["owner"] == "data-platform"

        bucket.put("orders/1690283492-part", 1000, time.time())
        wait_for(lambda: monitoring.receiver.of("/page", "resolved"), "the resolution", seconds=300)


def test_a_lost_webhook_with_files_is_a_ticket_and_no_page(
    exporter: Exporter, bucket: BucketServer, tmp_path: Path
) -> None:
    now = time.time()
    deadline = now + 40
    post(exporter, "Initiated", deadline - 4 * HOUR - 48 * 60 - 600)
    bucket.put("orders/1690283492-part", 1000, now - 600)
    post(exporter, "Completed", deadline - 4 * HOUR - 48 * 60)
    with Monitoring(tmp_path, f"127.0.0.1:{exporter.admin_port}") as monitoring:

        def tickets() -> list[str]:
            return [
                each["attachments"][0]["text"] for path, each in monitoring.receiver.posts if path == "/chat/ticket"
            ]

        wait_for(tickets, "the ticket")
        assert "ExportLandedUnannounced: orders-to-s3 (warning)" in tickets()[0]
        wait_for(lambda: monitoring.query(f"vector(time()) > {deadline + 15}"), "the deadline to pass", seconds=300)
        assert monitoring.query('ALERTS{alertname="ExportOverdue"}') == []
        assert monitoring.receiver.of("/page", "firing") == []
