"""A million bad requests, and a million partners: does memory stay flat, and does a scrape stay fast?

    .venv/bin/python benchmarks/hostile.py
    .venv/bin/python benchmarks/hostile.py --requests 100000 --partners 0

Exit code 1 where memory grew by over a tenth and 16 MiB, an answer was a 5xx, a name was lost, or a
scrape took a second.
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
A_LIST = 1_000


def partners(first: int, count: int) -> Iterator[bytes]:
    """Lists of events, each of another partner."""
    now = time.gmtime()
    clock = time.strftime("%d/%m/%Y %I:%M:%S %p", now)
    for start in range(first, first + count, A_LIST):
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
                for number in range(start, start + A_LIST)
            ]
        ).encode()


def post(port: int, bodies: Iterator[bytes]) -> set[int]:
    """Post bodies over one connection; the codes of the answers."""
    codes = set()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for body in bodies:
            connection.request("POST", made_up.WEBHOOK, body)
            answer = connection.getresponse()
            answer.read()
            codes.add(answer.status)
    return codes


def refused(server: Server, requests: int) -> bool:
    """Whether bad requests are all refused and leave nothing in memory."""
    seen, codes = [], set()
    each = requests // PARTS // SENDERS
    for part in range(PARTS):
        with ThreadPoolExecutor(SENDERS) as senders:
            firsts = [(part * SENDERS + sender) * each for sender in range(SENDERS)]
            for told in senders.map(lambda first: post(server.port, bad_bodies(each, first)), firsts):
                codes |= told
        seen.append(server.memory()[0])
        print(f"{(part + 1) * each * SENDERS:>9,} requests: {seen[-1] / 1e6:6.1f} MB, codes {sorted(codes)}")
    return max(codes) < http.HTTPStatus.INTERNAL_SERVER_ERROR and seen[-1] < seen[0] * 1.1 + (16 << 20)


def flooded(server: Server, names: int) -> bool:
    """Whether all events of so many partners are kept, and a scrape stays fast."""
    codes = post(server.port, partners(1, names))
    took = []
    for _ in range(3):
        began = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=600)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        took.append(time.perf_counter() - began)
    lines = text.splitlines()
    kept = sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("dataexport_initiated_total{"))
    seconds = ", ".join(f"{each:.3f}" for each in took)
    print(
        f"{names:>9,} partners: {kept:,.0f} counted, {len(lines):,} lines, scrapes of {seconds} s (the first folds), "
        f"{server.memory()[0] / 1e6:.1f} MB, codes {sorted(codes)}"
    )
    return kept == names and took[-1] < 1


def main() -> int:
    """Send both floods; 0 where all was well."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--requests", type=int, default=1_000_000)
    asked.add_argument("--partners", type=int, default=1_000_000)
    given = asked.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.exporter(Path(folder) / "hostile.db", more={"DATAEXPORT_LOG_LEVEL": "error"}) as server,
    ):
        fine = not given.requests or refused(server, given.requests)
        return 0 if (not given.partners or flooded(server, given.partners)) and fine else 1


if __name__ == "__main__":
    sys.exit(main())
