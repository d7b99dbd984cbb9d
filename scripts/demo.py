"""Runs the whole chain on loopback with made-up events until Ctrl-C: ``make demo``.

There are exports of every kind: on time, overdue, stuck, never run and one-time. One runs every minute and skips a
run now and then, so that a page and its resolution can be watched within minutes.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from exporter.ingest.vendors.clevertap_samples import sample_body
from monitoring import RESEND_DELAY_SECONDS, ROOT, Monitoring, find_tool, started
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ROOT / ".demo"
HOUR = 3600.0
MINUTE = 60.0
CONFIG = """
[server]
webhook_listen = "127.0.0.1:{webhook}"
admin_listen = "127.0.0.1:{admin}"

[[sources]]
slug = "demo"
timezone = "UTC"

[[exports]]
name = "every-minute"
source = "demo"
match = {{ partner = "Microsoft Azure" }}
interval = "1m"
grace = "20s"
max_runtime = "1m"
owner = "demo"

[[exports]]
name = "never-ran"
source = "demo"
match = {{ partner = "Amazon S3", frequency = "12h" }}
interval = "12h"
first_expected = {never:%Y-%m-%dT%H:%M:%SZ}
owner = "data-platform"
"""


def body(request_id: int, partner: str, status: str, frequency: str, at: float) -> str:
    """Make a body in the documented form, with its local time in UTC."""
    return sample_body(
        status=status,
        partner=partner,
        data_type="Events",
        frequency=frequency,
        request_id=str(request_id),
        local_time=datetime.fromtimestamp(at, UTC),
    )


def history(now: float) -> list[str]:
    """Make three days of recurring exports, one of them overdue by now and one stuck, and a one-time export."""
    bodies = []
    plans = (
        (1700000001, "Amazon S3", 4, 1.0, True),
        (1700000002, "Google Cloud Storage", 8, 2.0, True),
        (1700000003, "Amazon S3", 24, 3.0, True),
        (1700000004, "Google Cloud Storage", 4, 7.0, True),  # overdue: the newest run was seven hours ago
        (1700000005, "Google Cloud Storage", 24, 9.0, False),  # stuck: the newest run never completed
    )
    for request_id, partner, hours, age, completes in plans:
        starts = [now - age * HOUR - count * hours * HOUR for count in range(72 // hours)]
        for start in sorted(starts):
            bodies.append(body(request_id, partner, "Initiated", f"Every {hours} hours", start))
            if completes or start != starts[0]:
                bodies.append(body(request_id, partner, "Completed", f"Every {hours} hours", start + 12 * MINUTE))
    bodies.append(body(1700000006, "Amazon S3", "Initiated", "One Time", now - HOUR))
    bodies.append(body(1700000006, "Amazon S3", "Completed", "One Time", now - HOUR / 2))
    return bodies


def print_notification(path: str, notification: dict[str, Any]) -> None:
    """Print a notification as a chat would show it."""
    for attachment in notification.get("attachments", []):
        print(
            f"\n{path.removeprefix('/chat/').upper()} {attachment['title']}\n{attachment['text'].strip()}", flush=True
        )


def every_minute(post: Callable[[str], None]) -> None:
    """Post a run a minute, but skip two of six, so that the deadline passes and is met again."""
    for count in itertools.count():
        skipped = count % 6 in {4, 5}
        if not skipped:
            post(body(1700000007, "Microsoft Azure", "Initiated", "Every 1 minute", time.time()))
        time.sleep(5)
        if not skipped:
            post(body(1700000007, "Microsoft Azure", "Completed", "Every 1 minute", time.time()))
        time.sleep(55)


def main() -> None:
    """Start everything, and leave it running until Ctrl-C."""
    missing = [name for name in ("prometheus", "alertmanager") if find_tool(name) is None]
    if missing:
        sys.exit(f"demo: {' and '.join(missing)} not found; scripts/install-tools gets them")
    for number in (signal.SIGTERM, signal.SIGHUP):  # a stop, and a closed terminal, end it as Ctrl-C does
        signal.signal(number, signal.default_int_handler)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    now = time.time()
    webhook, admin = free_port(), free_port()
    config = FOLDER / "dataexport.toml"
    config.write_text(
        CONFIG.format(webhook=webhook, admin=admin, never=datetime.fromtimestamp(now - 20 * HOUR, UTC)), "utf-8"
    )
    url = f"http://127.0.0.1:{webhook}/webhooks/clevertap/demo"

    def post(sent: str) -> None:
        requests.post(url, sent, timeout=5).raise_for_status()

    with ExitStack() as stack:
        command = [str(Path(sys.executable).with_name("dataexport-exporter")), "serve", "--config", str(config)]
        stack.enter_context(started("exporter", command, FOLDER, f"http://127.0.0.1:{admin}"))
        post(f"[{','.join(history(now))}]")
        monitoring = stack.enter_context(
            Monitoring(
                FOLDER, f"127.0.0.1:{admin}", print_notification, group_interval_seconds=2 * RESEND_DELAY_SECONDS
            )
        )
        print(
            f"webhook       {url}\n"
            f"status page   http://127.0.0.1:{admin}/\n"
            f"metrics       http://127.0.0.1:{admin}/metrics\n"
            f"prometheus    {monitoring.prometheus_url}/alerts\n"
            f"alertmanager  {monitoring.alertmanager_url}/api/v2/alerts\n"
            f"logs          {FOLDER.name}/*.log\n"
            "Notifications follow. The export that runs every minute becomes overdue about every six minutes.\n"
            "Ctrl-C ends everything.",
            flush=True,
        )
        try:
            every_minute(post)
        except KeyboardInterrupt:
            print("stopping")


if __name__ == "__main__":
    main()
