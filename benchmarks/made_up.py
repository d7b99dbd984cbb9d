"""Made-up events and pushes, all told by a number; load.lua makes the same texts.

Event ``n`` belongs to export ``n % exports``. Every export runs every four hours for ten minutes,
and its events are numbered in the order of history: Initiated, Completed, Initiated, and so on.
"""

from __future__ import annotations

import http.client
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.exports import Source
from exporter.ingest.intake import Intake
from exporter.ingest.json_objects import MAX_OBJECTS
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SOURCE = Source("bench", "UTC", UTC)
WEBHOOK = f"/webhooks/clevertap/{SOURCE.slug}"
INTERVAL = 4 * 3600
DURATION = 600
PARTNERS = ("Amazon S3", "Google Cloud Storage", "Microsoft Azure")
TYPES = ("Events", "Profiles", "Campaigns")


def began(runs: int) -> int:
    """When the first of so many runs began, if the last one began an hour ago.

    An hour, so that nothing falls due by the time alone while something is measured.
    """
    return int(time.time()) - 3600 - (runs - 1) * INTERVAL


def occurred_at(number: int, exports: int, since: int) -> int:
    """When an event happened."""
    turn = number // exports
    return since + turn // 2 * INTERVAL + turn % 2 * DURATION


def text_at(seconds: int) -> str:
    """An instant as the vendor writes it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%d/%m/%Y %I:%M:%S %p}"


def event(number: int, exports: int, since: int) -> bytes:
    """The body of an event."""
    export, turn = number % exports, number // exports
    text = (
        f'{{"Export Request Id": {1_000_000_000 + export}, "Partner": "{PARTNERS[export % 3]}", '
        f'"Type": "{TYPES[export // 3 % 3]}", "Status": "{"Completed" if turn % 2 else "Initiated"}", '
        f'"Frequency": "Every 4 hours", "Date and Time": "{text_at(occurred_at(number, exports, since))}"}}'
    )
    return text.encode()


def events(numbers: Iterable[int], exports: int, since: int) -> bytes:
    """The body of a list of events."""
    return b"[%b]" % b",".join(event(number, exports, since) for number in numbers)


def push(number: int, samples: int) -> bytes:
    """The body of a push: as many gauges, each with one sample."""
    return "".join(f"# TYPE bench_{index} gauge\nbench_{index} {number}\n" for index in range(samples)).encode()


def group(number: int, groups: int) -> str:
    """The path of a push."""
    return f"/metrics/job/bench/instance/{number % groups}"


def fill_ledger(path: Path, count: int, exports: int, since: int) -> None:
    """Write the first ``count`` events into a ledger, each as if it had arrived at once."""
    ledger = SqlLedger(f"sqlite:///{path}")
    intake = Intake(ledger, 65536)
    size = min(MAX_OBJECTS, exports)  # so that all events of a list happened at the same time
    for first in range(0, count, size):
        some = min(size, count - first)
        intake.ingest(
            SOURCE, events(range(first, first + some), exports, since), occurred_at(first, exports, since) + 2
        )
    ledger.close()


def stored(path: Path) -> int:
    """How many events a ledger holds, as another process sees it."""
    ledger = SqlLedger(f"sqlite:///{path}")
    count = ledger.last_sequence()
    ledger.close()
    return count


def post_events(port: int, numbers: Sequence[int], exports: int, since: int) -> None:
    """Post events to an exporter in the longest lists that it takes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for at in range(0, len(numbers), MAX_OBJECTS):
        connection.request("POST", WEBHOOK, events(numbers[at : at + MAX_OBJECTS], exports, since))
        response = connection.getresponse()
        response.read()
        assert response.status == http.HTTPStatus.OK
    connection.close()


def fill_groups(port: int, groups: int, samples: int) -> None:
    """Push once to every group of a Pushgateway."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(groups):
        connection.request("PUT", group(number, groups), push(number, samples))
        response = connection.getresponse()
        response.read()
        assert response.status in {http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED}
    connection.close()
