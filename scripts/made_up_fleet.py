"""Three weeks of made-up exports of every kind, for pictures of the pages and for the tests in a browser."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from exporter.domain.exports import Source
from exporter.ingest.intake import Intake
from exporter.ingest.vendors.clevertap_samples import sample_body
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600
DAYS = 21
SOURCES = {
    "shop-in1": Source("shop-in1", "Asia/Kolkata", ZoneInfo("Asia/Kolkata")),
    "shop-eu1": Source("shop-eu1", "Europe/Berlin", ZoneInfo("Europe/Berlin")),
}
OUTAGE = (9.0, 30.0)
"""When no exporter ran, in hours before now: it began the second and ended the first."""

CONFIG = """
[[sources]]
slug = "shop-in1"
timezone = "Asia/Kolkata"

[[sources]]
slug = "shop-eu1"
timezone = "Europe/Berlin"

[[exports]]
name = "nightly-profiles"
source = "shop-in1"
match = {{ partner = "Amazon S3", data_type = "profiles", frequency = "24h" }}
owner = "data-platform"
runbook_url = "https://wiki.example.org/nightly-profiles"

[[exports]]
name = "orders-to-warehouse"
source = "shop-in1"
match = {{ partner = "Google Cloud Storage", frequency = "4h" }}
owner = "analytics"

[[exports]]
name = "churn-model"
source = "shop-eu1"
match = {{ partner = "Microsoft Azure", frequency = "12h" }}
owner = "data-science"
muted_until = {muted:%Y-%m-%dT%H:%M:%SZ}

[[exports]]
name = "finance-monthly"
source = "shop-eu1"
match = {{ partner = "Amazon S3", data_type = "invoices", frequency = "24h" }}
first_expected = {never:%Y-%m-%dT%H:%M:%SZ}
owner = "finance"
"""


class Plan(NamedTuple):
    """A recurring export.

    Attributes:
        hours: between two runs.
        age: of the newest start, in hours.
        minutes: that a run takes.
        skip: one run in so many never happens; 0 for none.
        ending: the status that ends the newest run; empty if nothing has ended it.
    """

    source: str
    partner: str
    data_type: str
    hours: int
    age: float
    minutes: float
    skip: int = 0
    ending: str = "Completed"


PLANS = (
    Plan("shop-in1", "Amazon S3", "Profiles", 24, 5.2, 47),
    Plan("shop-in1", "Google Cloud Storage", "Events", 4, 6.1, 12),  # overdue
    Plan("shop-in1", "Amazon S3", "Events", 4, 2.1, 22, skip=17),
    Plan("shop-in1", "Amazon S3", "Events", 24, 3.4, 65),
    Plan("shop-in1", "Microsoft Azure", "Events", 8, 0.3, 35, ending=""),  # running
    Plan("shop-eu1", "Microsoft Azure", "Events", 12, 8.0, 18),  # muted
    Plan("shop-eu1", "Amazon S3", "Events", 1, 0.6, 6, skip=23),
    Plan("shop-eu1", "Google Cloud Storage", "Profiles", 12, 3.0, 40, ending="Failed"),
    Plan("shop-eu1", "Google Cloud Storage", "Events", 4, 5.5, 30, ending=""),  # stuck
    Plan("shop-eu1", "Amazon S3", "Profiles", 24, 20.0, 50),
)


def config(now: float) -> str:
    """Return the configuration of the fleet."""
    today = datetime.fromtimestamp(now, UTC)
    return CONFIG.format(muted=today + timedelta(days=3), never=today - timedelta(days=1))


def write_history(database: Path, now: float) -> None:
    """Write the events of the fleet up to ``now`` to a new SQLite file."""
    ledger = SqlLedger(f"sqlite:///{database}")
    with closing(ledger):
        ledger.record_declarations([("shop-eu1", "finance-monthly")], now - DAYS * 24 * HOUR)
        intake = Intake(ledger, most_event_bytes=65_536)
        for arrived_at, source, body in sorted(bodies(now), key=lambda arrival: arrival[0]):
            intake.ingest(SOURCES[source], body, arrived_at)
    write_heartbeats(database, now)


def write_heartbeats(database: Path, now: float) -> None:
    """Write the heartbeats of the exporters that received the events.

    The last one is a day ahead: there is no outage until the next exporter starts, however long that takes.
    """
    hours_ago = ((DAYS * 24, OUTAGE[1]), (OUTAGE[0], -24))
    heartbeats = [
        ("made up", 0, *(int(now - hours * HOUR) * 10**6 for hours in started_and_seen))
        for started_and_seen in hours_ago
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO heartbeats VALUES (?, ?, ?, ?)", heartbeats)


def bodies(now: float) -> Iterator[tuple[float, str, bytes]]:
    """Yield the arrival time, the source and the bytes of each body."""
    chance = Random(7)  # noqa: S311 - made-up data has to be the same every time
    for number, plan in enumerate(PLANS):
        request_id = 1_700_000_001 + number
        for run in count():
            started = now - plan.age * HOUR - run * plan.hours * HOUR - chance.randrange(120)
            if started < now - DAYS * 24 * HOUR:
                break
            if plan.skip and run % plan.skip == plan.skip - 2:
                continue
            delay = 0.35 * plan.hours * HOUR if chance.randrange(25) == 0 and run > 1 else 0
            ended = started + plan.minutes * 60 * chance.uniform(0.8, 1.3) + delay
            statuses = [("Initiated", started), (plan.ending if run == 0 else "Completed", ended)]
            for status, instant in statuses:
                arrived_at = instant + chance.uniform(1, 8)
                if status and arrived_at < now and not OUTAGE[0] < (now - arrived_at) / HOUR < OUTAGE[1]:
                    yield arrived_at, plan.source, body(plan, status, instant, request_id)
    yield now - 2 * HOUR, "shop-in1", b'{"Partner": "Amazon S3", "Status": "Completed"}'


def body(plan: Plan, status: str, instant: float, request_id: int) -> bytes:
    """Make a body as CleverTap documents it, in the time zone of its source."""
    return sample_body(
        status=status,
        partner=plan.partner,
        data_type=plan.data_type,
        frequency="Every hour" if plan.hours == 1 else f"Every {plan.hours} hours",
        request_id=str(request_id),
        local_time=datetime.fromtimestamp(instant, SOURCES[plan.source].zone),
    ).encode()
