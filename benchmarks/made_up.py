"""Makes up events and pushes from their numbers; load.lua makes the same texts.

Event ``n`` belongs to export ``n % exports``. Every export runs every four hours for ten minutes, and its events are
numbered in chronological order: Initiated, Completed, Initiated, and so on.
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
    """Return when the first of so many runs began, in Unix seconds, if the last one began an hour ago.

    An hour ago, so that no deadline passes during a measurement.
    """
    return int(time.time()) - 3600 - (runs - 1) * INTERVAL


def occurred_at(number: int, exports: int, since: int) -> int:
    """Return when an event happened, in Unix seconds."""
    turn = number // exports
    return since + turn // 2 * INTERVAL + turn % 2 * DURATION


def text_at(seconds: int) -> str:
    """Format an instant as the vendor does."""
    return f"{datetime.fromtimestamp(seconds, UTC):%d/%m/%Y %I:%M:%S %p}"


def event(number: int, exports: int, since: int) -> bytes:
    """Make the body of an event."""
    export, turn = number % exports, number // exports
    text = (
        f'{{"Export Request Id": {1_000_000_000 + export}, "Partner": "{PARTNERS[export % 3]}", '
        f'"Type": "{TYPES[export // 3 % 3]}", "Status": "{"Completed" if turn % 2 else "Initiated"}", '
        f'"Frequency": "Every 4 hours", "Date and Time": "{text_at(occurred_at(number, exports, since))}"}}'
    )
    return text.encode()


def events(numbers: Iterable[int], exports: int, since: int) -> bytes:
    """Make the body of a list of events."""
    return b"[%b]" % b",".join(event(number, exports, since) for number in numbers)


def push(number: int, samples: int) -> bytes:
    """Make the body of a push of so many gauges, each with one sample."""
    return "".join(f"# TYPE bench_{index} gauge\nbench_{index} {number}\n" for index in range(samples)).encode()


def group(number: int, groups: int) -> str:
    """Return the path of a push."""
    return f"/metrics/job/bench/instance/{number % groups}"


def fill_ledger(path: Path, count: int, exports: int, since: int) -> None:
    """Ingest the first ``count`` events into a ledger, with arrivals 2 s after each list's first event."""
    ledger = SqlLedger(f"sqlite:///{path}")
    intake = Intake(ledger, 65536)
    size = min(MAX_OBJECTS, exports)  # so that all events of a list happened at the same time
    for first in range(0, count, size):
        number = min(size, count - first)
        intake.ingest(
            SOURCE, events(range(first, first + number), exports, since), occurred_at(first, exports, since) + 2
        )
    ledger.close()


def stored(path: Path) -> int:
    """Return the number of events in a ledger, as another process sees it."""
    ledger = SqlLedger(f"sqlite:///{path}")
    count = ledger.last_sequence()
    ledger.close()
    return count


def post_events(port: int, numbers: Sequence[int], exports: int, since: int) -> None:
    """Post events to an exporter in the longest lists that it accepts."""
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
