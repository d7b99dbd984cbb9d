"""Write the ledger of a made-up fortnight, the same every time, with the release that runs this.

    python scripts/golden_ledger.py tests/golden/ledger-0.1.0.db

`tests/guarantees/test_upgrades.py` opens every ``tests/golden/ledger-*.db`` with the release under test. Write one
for each release that changes the tables, named after `exporter.ledger.migrations.NEWEST`, and never change those of
released versions. To write one of an older release, run this with that release on PYTHONPATH.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from exporter.domain.exports import Source
from exporter.domain.terms import Terms
from exporter.ingest.intake import Intake
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

SINCE = datetime(2026, 5, 18, tzinfo=UTC).timestamp()
HOUR = 3600
DAYS = 14
SOURCES = (Source("shop", "Asia/Kolkata", ZoneInfo("Asia/Kolkata")), Source("found-out", "auto", None))
TERMS = {("shop", "nightly"): Terms(24 * HOUR, 2 * HOUR), ("shop", "silent"): Terms(4 * HOUR, HOUR)}
DECLARED = tuple(TERMS)


def bodies() -> Iterator[tuple[Source, float, bytes]]:
    """Yield the source, the arrival time and the bytes of each body."""
    chance = Random(20260518)  # noqa: S311 - made-up data has to be the same every time
    for number in range(DAYS * 24):
        now = SINCE + number * HOUR
        for source in SOURCES:
            if number % 4 == 0 and number not in {100, 104}:  # a day with two runs missing
                yield source, now + 5, body(source, "Initiated", now, 1_700_000_001, "Amazon S3", "Every 4 hours")
                ended = now + 600 + chance.randrange(1200)
                status = "Failed" if number == 60 else "Completed"
                yield source, ended + 3, body(source, status, ended, 1_700_000_001, "AWS S3", "Every 4 hours")
            if number % 24 == 2:
                run = 1_700_100_000 + number
                yield source, now + 9, body(source, "Initiated", now, run, "Azure", "Every 24 hours")
                if number % 72 != 2:
                    yield source, now + 4000, body(source, "Completed", now + 3990, run, "Azure", "Every 24 hours")
            if number % 50 == 7:
                one_time = body(source, "Completed", now, 1_700_200_000 + number, "Google Cloud Storage", "One Time")
                yield from ((source, now + 2, one_time), (source, now + 8, one_time))  # a duplicate
            if number % 90 == 11:
                yield source, now, json.dumps({"Partner": f"unclear {number}"}).encode()
                yield source, now, b'{"is_test": true}'


def body(source: Source, status: str, when: float, run: int, partner: str, frequency: str) -> bytes:  # noqa: PLR0913, PLR0917 - the keys of a body
    """Make a body as CleverTap documents it, in its source's time zone."""
    return json.dumps(
        {
            "Export Request Id": run,
            "Partner": partner,
            "Type": "Profiles" if partner == "Azure" else "Events",
            "Status": status,
            "Frequency": frequency,
            "Date and Time": datetime.fromtimestamp(when, source.zone or UTC).strftime("%d/%m/%Y %I:%M:%S %p"),
        }
    ).encode()


def main(target: Path) -> None:
    """Write the ledger to a new file."""
    if target.exists():
        sys.exit(f"{target} is there already; golden ledgers are never written again")
    ledger = SqlLedger(f"sqlite:///{target}")
    with closing(ledger):
        ledger.record_declarations(DECLARED, SINCE)
        ledger.record_terms(TERMS, SINCE)
        intake = Intake(ledger, most_event_bytes=65_536)
        for source, arrived_at, sent in sorted(bodies(), key=lambda arrival: arrival[1]):
            intake.ingest(source, sent, arrived_at)
    hours = ((0, 101), (107, DAYS * 24))  # an outage of six of them
    heartbeats = [
        ("golden", 0, int(SINCE + started * HOUR) * 10**6, int(SINCE + seen * HOUR) * 10**6) for started, seen in hours
    ]
    with closing(sqlite3.connect(target)) as connection:
        connection.executemany("INSERT INTO heartbeats VALUES (?, ?, ?, ?)", heartbeats)
        connection.commit()
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
