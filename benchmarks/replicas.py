"""Measures ingest and scrapes of one and two exporters on one PostgreSQL, and of one on SQLite.

benchmarks/NOTES.md has the figures. It starts its own PostgreSQL server (see `scripts/install-tools`), with fsync on.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "scripts")]

import load  # noqa: E402 - after sys.path
import made_up  # noqa: E402
import processes  # noqa: E402
from load import Job  # noqa: E402
from report import Result, Row  # noqa: E402
from run import describe  # noqa: E402
from scrape import fetch  # noqa: E402

from postgres import Postgres  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from load import Load
    from processes import Server

EXPORTS = 1000
CONNECTIONS = 16
APART = 10_000_000
"""The distance between the event numbers of two generators, so that all events are new."""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10, help="of each load")
    arguments.add_argument("--rounds", type=int, default=3, help="print the medians of so many")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, ExitStack() as running:
        folder = Path(name)
        for what, value in describe(folder).items():
            print(f"- {what}: {value}")
        database = running.enter_context(Postgres({"fsync": "on", "shared_buffers": "128MB"}))
        [(version,)] = database.execute("SHOW server_version")
        print(f"- postgresql: {version}, default settings but for shared_buffers = 128MB\n")
        since = made_up.began(20_000)
        cases = {"SQLite, 1 exporter": [started(running, folder / "alone.db")]}
        for count in (1, 2):
            database.create(f"replicas_{count}")
            more = {"DATAEXPORT_STORE_URL": database.url(f"replicas_{count}")}
            cases[f"PostgreSQL, {count} exporter{'s' * (count > 1)}"] = [
                started(running, folder / f"replica_{count}_{number}.db", more) for number in range(count)
            ]
        for servers in cases.values():
            made_up.post_events(servers[0].port, range(4 * EXPORTS), EXPORTS, since)
        turns = [(case, servers, scrapers) for scrapers in (1, 2, 4) for case, servers in cases.items()]
        scrapes = Result(f"Scrapes of {EXPORTS:,} exports, 10 events a second")
        scrapes.rows += [scraped(*turn, options.seconds) for turn in turns]
        print(scrapes.text(), flush=True)
        ingest = Result(f"Single events, {CONNECTIONS} connections in all")
        ingest.rows += posted(cases, options.rounds, options.seconds, since)
        print(ingest.text())
    print(f"- load after: {os.getloadavg()[0]:.2f}")


def started(running: ExitStack, ledger: Path, more: dict[str, str] | None = None) -> Server:
    """Start an exporter that runs until the end."""
    return running.enter_context(processes.exporter(ledger, EXPORTS, more))


def posted(cases: dict[str, list[Server]], rounds: int, seconds: float, since: int) -> Iterator[Row]:
    """Measure how many events a second all exporters of a case accept together; the cases take turns."""
    loads: dict[str, list[list[Load]]] = {case: [] for case in cases}
    firsts = iter(range(4 * EXPORTS, sys.maxsize, 400_000))
    with ThreadPoolExecutor() as pool:
        for _ in range(rounds):
            first = next(firsts)
            for case, servers in cases.items():
                job = Job("event", spread=EXPORTS, since=since, connections=CONNECTIONS // len(servers))
                jobs = [replace(job, first=first + place * APART) for place in range(len(servers))]
                done = list(pool.map(load.send, servers, jobs, [seconds] * len(servers)))
                assert not any(result.refused or result.broken for result in done), done
                loads[case].append(done)
    for case, turns in loads.items():
        rates = [sum(result.per_second for result in done) for done in turns]
        figures = {
            "events/s": median(rates),
            "least": min(rates),
            "most": max(rates),
            "p50 ms": median(result.p50_ms for done in turns for result in done),
            "p99 ms": median(max(result.p99_ms for result in done) for done in turns),
            "exporters busy": median(sum(result.server_busy for result in done) for done in turns),
        }
        yield Row(case, "exporter", figures)


def scraped(case: str, servers: list[Server], scrapers: int, seconds: float) -> Row:
    """Measure scrapes without a pause, with the scrapers spread over the exporters."""
    durations: list[float] = []
    until = time.perf_counter() + seconds

    def work(place: int) -> None:
        while time.perf_counter() < until:
            durations.append(fetch(servers[place % len(servers)].admin_port, compressed=True).seconds)

    def trickle() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", servers[0].port, timeout=10)
        number = 0
        while time.perf_counter() < until:
            connection.request("POST", made_up.WEBHOOK, made_up.event(number, EXPORTS, made_up.began(2) + scrapers))
            connection.getresponse().read()
            number += 1
            time.sleep(0.1)
        connection.close()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(scrapers)]
    threads.append(threading.Thread(target=trickle))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hundredths = quantiles(durations, n=100)
    figures = {
        "scrapers": float(scrapers),
        "scrapes/s": len(durations) / seconds,
        "p50 ms": hundredths[49] * 1000,
        "p99 ms": hundredths[98] * 1000,
    }
    return Row(case, "exporter", figures)


if __name__ == "__main__":
    main()
