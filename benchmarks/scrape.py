"""Measures time, bytes and memory of a scrape by the number of exports."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import made_up
import processes
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from report import Finding, Result, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledgers import Places
    from processes import Server
    from report import Scale

TURNS = 4
"""Events of each export before the first scrape: two runs, so that it is detected."""
REPEATS = 11
GROUP_SAMPLES = 36
"""How many samples to push to a group: with the two that Pushgateway adds, as many as an export has."""
FEW = "1 % new"
GOALS = {10_000: 40.0}
"""How many times faster a scrape with `FEW` should be than that of another server with as many samples."""


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """One scrape, timed from the request to the last byte of the response."""

    seconds: float
    body: bytes


def fetch(port: int, *, compressed: bool) -> ScrapeResult:
    """Scrape once, on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Accept-Encoding": "gzip"} if compressed else {}
    started_at = time.perf_counter()
    connection.request("GET", "/metrics", headers=headers)
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - started_at
    connection.close()
    if response.status != http.HTTPStatus.OK or (response.getheader("Content-Encoding") == "gzip") != compressed:
        message = f"the scrape was answered {response.status} {response.getheader('Content-Encoding')}"
        raise RuntimeError(message)
    return ScrapeResult(seconds, body)


def figures(scrapes: list[ScrapeResult]) -> dict[str, float]:
    """Return the median and the longest time, and the size, of scrapes of the same kind."""
    return {
        "median ms": median(scrape.seconds for scrape in scrapes) * 1000,
        "longest ms": max(scrape.seconds for scrape in scrapes) * 1000,
        "MB": len(scrapes[-1].body) / 1e6,
    }


def samples(body: bytes) -> int:
    """Return the number of samples in an uncompressed body."""
    return sum(not line.startswith(b"#") for line in body.splitlines())


def measure(scale: Scale, places: Places) -> Result:
    """Measure at every size."""
    result = Result("Scrape")
    memory: dict[tuple[str, int], float] = {}
    for exports in scale.exports:
        rows, resident = _exporter(exports, scale.rounds, places.folder)
        result.rows += rows
        memory["exporter", exports] = resident
        if processes.pushgateway_binary():
            for count in (10, GROUP_SAMPLES):
                rows, resident = _pushgateway(exports, count, places.folder)
                result.rows += rows
                memory[f"Pushgateway, {count} samples each", exports] = resident
    result.findings = _findings(result.rows, scale.exports) + _per_export(memory, scale.exports)
    result.notes.append(
        "A Pushgateway group has two samples more than were pushed, the times of its last push and failure."
    )
    return result


def _exporter(exports: int, rounds: int, folder: Path) -> tuple[list[Row], float]:
    rows: list[Row] = []

    def record(case: str, values: dict[str, float]) -> None:
        rows.append(Row(f"{exports:,} exports, {case}", "exporter", values))

    since = made_up.began(50)
    ledger = folder / f"scrape-{exports}.db"
    made_up.fill_ledger(ledger, TURNS * exports, exports, since)
    with processes.exporter(ledger, exports) as server:
        first = fetch(server.admin_port, compressed=True)
        record("first, gzip", figures([first]))
        whole = fetch(server.admin_port, compressed=False).body
        shown = whole.count(b"\ndataexport_export_info{")
        if shown != exports:
            message = f"{shown} exports in the scrape instead of {exports}"
            raise RuntimeError(message)
        turn = TURNS

        def post_and_fetch(every: int, *, compressed: bool) -> ScrapeResult:
            """Scrape after a new event of every Nth export; these are far apart in the text."""
            nonlocal turn
            made_up.post_events(server.port, range(turn * exports, (turn + 1) * exports, every), exports, since)
            turn += 1
            return fetch(server.admin_port, compressed=compressed)

        for compressed in (True, False):
            unchanged = [fetch(server.admin_port, compressed=compressed) for _ in range(REPEATS)]
            record(f"nothing new, {_form(compressed=compressed)}", figures(unchanged))
        for case, every in (("one new", exports), (FEW, 100)):
            changed = [post_and_fetch(every, compressed=True) for _ in range(REPEATS)]
            record(f"{case}, gzip", figures(changed))
        for compressed in (True, False):
            changed = [post_and_fetch(1, compressed=compressed) for _ in range(max(2, rounds))]
            record(f"all new, {_form(compressed=compressed)}", figures(changed))
        resident = _memory(server, samples(whole), record)
    rows.append(Row(f"{exports:,} exports, plain", "client library", {"median ms": _by_the_library(whole, rounds)}))
    return rows, resident


class _PlainCollector(Collector):
    """A collector with the samples of a scrape that makes the client library's metrics at each scrape, as is usual."""

    def __init__(self, scrape: bytes) -> None:
        self._families = [
            (
                family.name,
                family.documentation,
                family.type,
                [(sample.name, sample.labels, sample.value) for sample in samples],
            )
            for family in text_string_to_metric_families(scrape.decode())
            if (samples := family.samples)
        ]

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        for name, documentation, kind, family_samples in self._families:
            metric = Metric(name, documentation, kind)
            for sample, labels, value in family_samples:
                metric.add_sample(sample, labels, value)
            yield metric


def _by_the_library(scrape: bytes, rounds: int) -> float:
    """Return the milliseconds that the client library takes to render as many samples, without sending them."""
    registry = CollectorRegistry()
    collector = _PlainCollector(scrape)
    registry.register(collector)
    durations = []
    for _ in range(max(2, rounds)):
        started_at = time.perf_counter()
        generate_latest(registry)
        durations.append(time.perf_counter() - started_at)
    return median(durations) * 1000


def _pushgateway(groups: int, count: int, folder: Path) -> tuple[list[Row], float]:
    rows: list[Row] = []

    def record(case: str, values: dict[str, float]) -> None:
        rows.append(Row(f"{groups:,} groups, {case}", f"Pushgateway, {count} samples each", values))

    # Without its consistency check it fills faster; the check plays no part in a scrape.
    with processes.pushgateway(folder / f"scrape-{groups}-{count}.data", checked=False) as server:
        made_up.fill_groups(server.port, groups, count)
        whole = fetch(server.admin_port, compressed=False).body
        for compressed in (True, False):
            scrapes = [fetch(server.admin_port, compressed=compressed) for _ in range(REPEATS)]
            record(_form(compressed=compressed), figures(scrapes))
        resident = _memory(server, samples(whole), record)
    return rows, resident


def _memory(server: Server, shown: int, record: Callable[[str, dict[str, float]], None]) -> float:
    resident, proportional = server.memory()
    record("afterwards", {"samples": shown, "RSS MB": resident / 1e6, "PSS MB": proportional / 1e6})
    return resident


def _form(*, compressed: bool) -> str:
    return "gzip" if compressed else "plain"


def _findings(rows: list[Row], sizes: tuple[int, ...]) -> list[Finding]:
    times = {(row.case, row.server): row.figures.get("median ms", 0) for row in rows}
    most = sizes[-1]
    findings = []
    for form in ("gzip", "plain"):
        case = f"{most:,} exports, nothing new, {form}"
        findings.append(Finding(case, times[case, "exporter"], "ms"))
    for exports in (size for size in sizes if size >= sizes[-1] // 10):
        for form in ("gzip", "plain"):
            for case in ("nothing new", FEW, "all new"):
                ours = times.get((f"{exports:,} exports, {case}, {form}", "exporter"))
                if ours is None:
                    continue
                what = f"exporter, {case}, {form}"
                goal = GOALS.get(exports) if case == FEW else None
                for (name, server), other in times.items():
                    if name == f"{exports:,} groups, {form}":
                        as_many = f", {GROUP_SAMPLES} " in server
                        text = f"{exports:,}: {server}, {form} / {what}"
                        findings.append(Finding(text, other / ours, goal=goal if as_many else None))
                if form == "gzip" and (library := times.get((f"{exports:,} exports, plain", "client library"))):
                    findings.append(Finding(f"{exports:,}: client library / {what}", library / ours, goal=goal))
    return findings


def _per_export(memory: dict[tuple[str, int], float], sizes: tuple[int, ...]) -> list[Finding]:
    """Return the memory per additional export or group, between the smallest and the largest size."""
    least, most = sizes[0], sizes[-1]
    kilobytes = {
        server: (memory[server, most] - resident) / (most - least) / 1000
        for (server, exports), resident in memory.items()
        if exports == least and (server, most) in memory
    }
    findings = [
        Finding(f"RSS for each further export or group, {server}", value, "kB") for server, value in kilobytes.items()
    ]
    other = kilobytes.get(f"Pushgateway, {GROUP_SAMPLES} samples each")
    if other:
        what = "RSS for each further export / group of as many samples"
        findings.append(Finding(what, kilobytes["exporter"] / other, goal=0.25, more_is_better=False))
    return findings
