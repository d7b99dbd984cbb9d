"""Sends a million bad requests, and events of a million partners: does memory stay flat, and a scrape fast?

    .venv/bin/python benchmarks/hostile.py
    .venv/bin/python benchmarks/hostile.py --requests 100000 --partners 0

The exit code is 1 if memory grew by over a tenth plus 16 MiB, a response was a 5xx, an event was lost, or a scrape took
a second.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import made_up
import processes

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from builders import bad_bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Server

SENDERS = 8
PARTS = 10
LIST_SIZE = 1_000


def partners(first: int, count: int) -> Iterator[bytes]:
    """Yield lists of events, each event with a partner of its own."""
    now = time.gmtime()
    clock = time.strftime("%d/%m/%Y %I:%M:%S %p", now)
    for start in range(first, first + count, LIST_SIZE):
        yield json.dumps(
            [
                {
                    "Export Request Id": number,
                    "Partner": f"partner {number}",
                    "Type": "Events",
                    "Status": "Initiated",
                    "Frequency": "Every 4 hours",
                    "Date and Time": clock,
                }
                for number in range(start, start + LIST_SIZE)
            ]
        ).encode()


def post(port: int, bodies: Iterator[bytes]) -> set[int]:
    """Post bodies over one connection; return the status codes of the responses."""
    codes = set()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for body in bodies:
            connection.request("POST", made_up.WEBHOOK, body)
            response = connection.getresponse()
            response.read()
            codes.add(response.status)
    return codes


def refused(server: Server, requests: int) -> bool:
    """Send bad requests; return True if all are refused and memory stays flat."""
    resident, codes = [], set()
    per_sender = requests // PARTS // SENDERS
    for part in range(PARTS):
        with ThreadPoolExecutor(SENDERS) as senders:
            firsts = [(part * SENDERS + sender) * per_sender for sender in range(SENDERS)]
            codes |= set().union(*senders.map(lambda first: post(server.port, bad_bodies(per_sender, first)), firsts))
        resident.append(server.memory()[0])
        print(f"{(part + 1) * per_sender * SENDERS:>9,} requests: {resident[-1] / 1e6:6.1f} MB, codes {sorted(codes)}")
    return max(codes) < http.HTTPStatus.INTERNAL_SERVER_ERROR and resident[-1] < resident[0] * 1.1 + (16 << 20)


def flooded(server: Server, names: int) -> bool:
    """Send an event of each of so many partners; return True if all are stored, and a scrape stays fast."""
    codes = post(server.port, partners(1, names))
    durations = []
    for _ in range(3):
        started_at = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=600)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        durations.append(time.perf_counter() - started_at)
    lines = text.splitlines()
    counted = sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("dataexport_initiated_total{"))
    seconds = ", ".join(f"{duration:.3f}" for duration in durations)
    print(
        f"{names:>9,} partners: {counted:,.0f} counted, {len(lines):,} lines, "
        f"scrapes of {seconds} s (the first folds), "
        f"{server.memory()[0] / 1e6:.1f} MB, codes {sorted(codes)}"
    )
    return counted == names and durations[-1] < 1


def main() -> int:
    """Send both floods; return 0 if all is well."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=1_000_000)
    arguments.add_argument("--partners", type=int, default=1_000_000)
    options = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.exporter(Path(folder) / "hostile.db", more={"DATAEXPORT_LOG_LEVEL": "error"}) as server,
    ):
        fine = not options.requests or refused(server, options.requests)
        return 0 if (not options.partners or flooded(server, options.partners)) and fine else 1


if __name__ == "__main__":
    sys.exit(main())
