"""Measures single events and scrapes beside 500 exports whose files are looked for in a store that hangs."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import ingest
import made_up
from report import Finding, Result, Row
from scrape import FEW, REPEATS, fetch, figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest import Stream
    from ledgers import Places
    from load import Load
    from report import Scale
    from scrape import ScrapeResult

LANDINGS = 500
LOAD_SECONDS = 4.0
GOAL = 1.1
"""How many times as long everything may take with landings."""
WITH, WITHOUT = "with landings", "without"


def measure(scale: Scale, places: Places) -> Result:
    """Measure an exporter with landings and one without in turn in each round."""
    since = made_up.began(20_000)
    loads: dict[str, list[Load]] = {WITH: [], WITHOUT: []}
    scrapes: dict[tuple[str, str], list[ScrapeResult]] = {}
    with contextlib.ExitStack() as running:
        store = running.enter_context(hanging_store())
        streams = {
            name: running.enter_context(
                ingest.stream(places.folder / f"landing-{number}.db", ingest.EXPORTS, since, _settings(endpoint))
            )
            for number, (name, endpoint) in enumerate({WITH: store, WITHOUT: ""}.items())
        }
        for turn in range(scale.rounds):
            for name in (WITH, WITHOUT)[:: 1 if turn % 2 == 0 else -1]:
                # Scraped, as always in use: otherwise only the exporter with landings would fold what it receives.
                loads[name].append(streams[name].send(min(scale.seconds, LOAD_SECONDS), scraped=True))
        for case, every in (("nothing new", 0), ("one new", ingest.EXPORTS), (FEW, 100)):
            for stream in streams.values():
                fetch(stream.server.admin_port, compressed=True)
            for _ in range(scale.rounds * REPEATS):
                for name, stream in streams.items():
                    scrapes.setdefault((case, name), []).append(_scrape(stream, every, since))
    rows = [
        Row(
            "single events, scraped every second",
            name,
            {
                "events/s": median(each.per_second for each in rounds),
                "p50 ms": median(each.p50_ms for each in rounds),
                "p99 ms": median(each.p99_ms for each in rounds),
                "server CPU us each": median(each.server_busy / each.per_second for each in rounds) * 1e6,
            },
        )
        for name, rounds in loads.items()
    ]
    rows += [Row(f"scrape, gzip, {case}", name, figures(results)) for (case, name), results in scrapes.items()]
    return Result(f"{LANDINGS} landings in a store that hangs", rows, _findings(rows))


def _settings(endpoint: str) -> dict[str, str]:
    """Declare 500 of the exports, with a landing each unless ``endpoint`` is empty."""
    landing = {"endpoint": endpoint, "region": "us-east-1", "anonymous": True}
    exports = [
        {
            "name": f"e{number}",
            "source": made_up.SOURCE.slug,
            "match": {"request_id": str(1_000_000_000 + number)},
            **({"landing": {"url": f"s3://bucket/{number}/", **landing}} if endpoint else {}),
        }
        for number in range(LANDINGS)
    ]
    return {"DATAEXPORT_EXPORTS": json.dumps(exports)}


def _scrape(stream: Stream, every: int, since: int) -> ScrapeResult:
    """Scrape after a new event of every Nth export, or of none."""
    exports, server = ingest.EXPORTS, stream.server
    if every:
        first = (stream.job.first // exports + 1) * exports
        made_up.post_events(server.port, range(first, first + exports, every), exports, since)
        stream.job = replace(stream.job, first=first)
    return fetch(server.admin_port, compressed=True)


@contextlib.contextmanager
def hanging_store() -> Iterator[str]:
    """Run a server that accepts connections and never answers; yields its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        clients: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):  # the server was closed
                while True:
                    clients.append(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in clients:
                client.close()


def _findings(rows: list[Row]) -> list[Finding]:
    values = {(row.case, row.server): row.figures for row in rows}
    findings = []
    for case in dict.fromkeys(row.case for row in rows):
        one, other = values[case, WITH], values[case, WITHOUT]
        if "events/s" in one:
            ratio = other["events/s"] / one["events/s"]
            findings.append(Finding(f"{case}: rate {WITHOUT} / {WITH}", ratio, goal=GOAL, more_is_better=False))
        else:
            ratio = one["median ms"] / other["median ms"]
            findings.append(Finding(f"{case}: time {WITH} / {WITHOUT}", ratio, goal=GOAL, more_is_better=False))
    return findings
