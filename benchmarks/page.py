"""Measures the pages of the admin listener with 2,000 exports: time, bytes and processor time."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import made_up
import processes
from report import Finding, Result, Row
from scrape import FEW, TURNS, ScrapeResult, figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledgers import Places
    from processes import Server
    from report import Scale

EXPORTS = 2_000
REPEATS = 15
GOAL_MILLISECONDS = 200.0
"""Within what time a page should be answered."""
ALL_NEW, ALL_EXPORTS = "status page, all new", "API, all exports"
WITHOUT_GOAL = (ALL_NEW, ALL_EXPORTS)
"""The first folds new events of every export, as a scrape would have to, and the second is 3 MB."""


def measure(_: Scale, places: Places) -> Result:
    """Measure each page with nothing new, and the status page with new events as well."""
    since = made_up.began(50)
    ledger = places.folder / "page.db"
    made_up.fill_ledger(ledger, TURNS * EXPORTS, EXPORTS, since)
    result = Result(f"Pages with {EXPORTS:,} exports")

    with processes.exporter(ledger, EXPORTS) as server:
        turn = TURNS

        def post(every: int) -> None:
            nonlocal turn
            made_up.post_events(server.port, range(turn * EXPORTS, (turn + 1) * EXPORTS, every), EXPORTS, since)
            turn += 1

        (export,) = json.loads(http_get(server.admin_port, "/api/v1/exports?limit=1").body)["exports"]
        cases: dict[str, tuple[str, Callable[[], None] | None]] = {
            "status page, nothing new": ("/", None),
            "status page, one new": ("/", lambda: post(EXPORTS)),
            f"status page, {FEW}": ("/", lambda: post(100)),
            ALL_NEW: ("/", lambda: post(1)),
            "status page, a search": (f"/?search={quote('amazon 10')}&sort=deadline", None),
            "page of an export": (f"/exports/{export['id']}", None),
            "sources page": ("/sources", None),
            "quarantine page": ("/quarantine", None),
            ALL_EXPORTS: ("/api/v1/exports?limit=2000", None),
        }
        for case, (path, before) in cases.items():
            values = _figures(server, path, before)
            result.rows.append(Row(case, "exporter", values))
            goal = None if case in WITHOUT_GOAL else GOAL_MILLISECONDS
            result.findings.append(
                Finding(f"{EXPORTS:,} exports: {case}", values["median ms"], "ms", goal, more_is_better=False)
            )
    return result


def _figures(server: Server, path: str, before: Callable[[], None] | None) -> dict[str, float]:
    """Ask for a page `REPEATS` times, each time after ``before``."""
    answers, processor = [], 0.0
    for _ in range(REPEATS):
        if before:
            before()
        begun = server.processor_seconds()
        answers.append(http_get(server.admin_port, path))
        processor += server.processor_seconds() - begun
    return figures(answers) | {"server CPU each ms": processor / REPEATS * 1000}


def http_get(port: int, path: str) -> ScrapeResult:
    """Ask for a page once, on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    started_at = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - started_at
    connection.close()
    if response.status != http.HTTPStatus.OK:
        message = f"{path} was answered {response.status}"
        raise RuntimeError(message)
    return ScrapeResult(seconds, body)
