"""Time, bytes and memory of a scrape, by the number of exports."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import made_up
import processes
from report import Finding, Result, Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from processes import Server
    from report import Scale

TURNS = 4
"""Events of each export before the first scrape: two runs, so that it is recognised."""
REPEATS = 11


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape, timed from the request to the last byte of the answer."""

    seconds: float
    body: bytes


def fetch(port: int, *, compressed: bool) -> Scrape:
    """Scrape once, on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Accept-Encoding": "gzip"} if compressed else {}
    began = time.perf_counter()
    connection.request("GET", "/metrics", headers=headers)
    response = connection.getresponse()
    body = response.read()
    took = time.perf_counter() - began
    connection.close()
    if response.status != http.HTTPStatus.OK or (response.getheader("Content-Encoding") == "gzip") != compressed:
        message = f"the scrape was answered {response.status} {response.getheader('Content-Encoding')}"
        raise RuntimeError(message)
    return Scrape(took, body)


def figures(scrapes: list[Scrape]) -> dict[str, float]:
    """Median and longest time, and size, of scrapes of the same kind."""
    return {
        "median ms": median(each.seconds for each in scrapes) * 1000,
        "longest ms": max(each.seconds for each in scrapes) * 1000,
        "MB": len(scrapes[-1].body) / 1e6,
    }


def samples(body: bytes) -> int:
    """How many samples a plain body has."""
    return sum(not line.startswith(b"#") for line in body.splitlines())


def measure(scale: Scale, folder: Path) -> Result:
    """Measure it at every size."""
    result = Result("Scrape")
    memory: dict[tuple[str, int], float] = {}
    for exports in scale.exports:
        each, resident = _exporter(exports, scale.rounds, folder)
        result.rows += each
        memory["exporter", exports] = resident
        if processes.pushgateway_binary():
            for count in (10, 35):
                each, resident = _pushgateway(exports, count, folder)
                result.rows += each
                memory[f"Pushgateway, {count} samples each", exports] = resident
    result.findings = _findings(result.rows, scale.exports[-1]) + _per_export(memory, scale.exports)
    result.notes.append(
        "A Pushgateway group has two samples more than were pushed, the times of its last push and failure."
    )
    return result


def _exporter(exports: int, rounds: int, folder: Path) -> tuple[list[Row], float]:
    rows: list[Row] = []

    def tell(case: str, found: dict[str, float]) -> None:
        rows.append(Row(f"{exports:,} exports, {case}", "exporter", found))

    since = made_up.began(50)
    ledger = folder / f"scrape-{exports}.db"
    made_up.fill_ledger(ledger, TURNS * exports, exports, since)
    with processes.exporter(ledger, exports) as server:
        first = fetch(server.admin_port, compressed=True)
        tell("first, gzip", figures([first]))
        whole = fetch(server.admin_port, compressed=False).body
        shown = whole.count(b"\ndataexport_export_info{")
        if shown != exports:
            message = f"{shown} exports in the scrape instead of {exports}"
            raise RuntimeError(message)
        for compressed in (True, False):
            unchanged = [fetch(server.admin_port, compressed=compressed) for _ in range(REPEATS)]
            tell(f"nothing new, {_form(compressed=compressed)}", figures(unchanged))
        turn = TURNS
        for compressed in (True, False):
            changed = []
            for _ in range(max(2, rounds)):
                made_up.post_events(server.port, turn * exports, exports, exports, since)
                changed.append(fetch(server.admin_port, compressed=compressed))
                turn += 1
            tell(f"all new, {_form(compressed=compressed)}", figures(changed))
        one = []
        for _ in range(max(2, rounds)):
            made_up.post_events(server.port, turn * exports, 1, exports, since)
            one.append(fetch(server.admin_port, compressed=True))
            turn += 1
        tell("one new, gzip", figures(one))
        resident = _memory(server, samples(whole), tell)
    return rows, resident


def _pushgateway(groups: int, count: int, folder: Path) -> tuple[list[Row], float]:
    rows: list[Row] = []

    def tell(case: str, found: dict[str, float]) -> None:
        rows.append(Row(f"{groups:,} groups, {case}", f"Pushgateway, {count} samples each", found))

    # Without the check only to fill it sooner; it has no part in a scrape.
    with processes.pushgateway(folder / f"scrape-{groups}-{count}.data", checked=False) as server:
        made_up.fill_groups(server.port, groups, count)
        whole = fetch(server.admin_port, compressed=False).body
        for compressed in (True, False):
            scrapes = [fetch(server.admin_port, compressed=compressed) for _ in range(REPEATS)]
            tell(_form(compressed=compressed), figures(scrapes))
        resident = _memory(server, samples(whole), tell)
    return rows, resident


def _memory(server: Server, shown: int, tell: Callable[[str, dict[str, float]], None]) -> float:
    resident, proportional = server.memory()
    tell("afterwards", {"samples": shown, "RSS MB": resident / 1e6, "PSS MB": proportional / 1e6})
    return resident


def _form(*, compressed: bool) -> str:
    return "gzip" if compressed else "plain"


def _findings(rows: list[Row], most: int) -> list[Finding]:
    times = {(row.case, row.server): row.figures.get("median ms", 0) for row in rows}
    found = []
    for form in ("gzip", "plain"):
        own = times[f"{most:,} exports, nothing new, {form}", "exporter"]
        found.append(Finding(f"{most:,} exports, nothing new, {form}", own, "ms", goal=50, more_is_better=False))
    for form in ("gzip", "plain"):
        for case in ("nothing new", "all new"):
            own = times[f"{most:,} exports, {case}, {form}", "exporter"]
            found += [
                Finding(f"{server}, {most:,} groups, {form} / exporter, {case}, {form}", other / own)
                for (name, server), other in times.items()
                if name == f"{most:,} groups, {form}"
            ]
    return found


def _per_export(memory: dict[tuple[str, int], float], sizes: tuple[int, ...]) -> list[Finding]:
    """Memory that one more export or group takes, between the smallest and the largest size."""
    least, most = sizes[0], sizes[-1]
    return [
        Finding(
            f"RSS for each further export or group, {server}",
            (memory[server, most] - resident) / (most - least) / 1000,
            "kB",
        )
        for (server, exports), resident in memory.items()
        if exports == least
    ]
