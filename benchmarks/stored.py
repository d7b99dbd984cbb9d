"""Start, scrape, ingest and memory, by the number of stored events: nothing but the file may grow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import load
import made_up
import processes
from load import Job
from report import Finding, Result, Row
from scrape import REPEATS, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from report import Scale

EXPORTS = 1000
GROUPS = 10_000
READY_SECONDS = 5.0
GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class Case:
    """So many stored events of so many exports."""

    events: int
    exports: int = EXPORTS

    @property
    def name(self) -> str:
        """As it is told."""
        return f"{self.events:,} events of {self.exports:,} exports"


def measure(scale: Scale, folder: Path) -> Result:
    """Measure it at every size."""
    result = Result("Stored events")
    cases = [Case(events) for events in scale.stored]
    groups = min(GROUPS, scale.exports[-1])
    many = Case(min(1_000_000, max(scale.stored)), groups)
    for case in [*cases, many]:
        result.rows += _exporter(case, scale, folder)
    if processes.pushgateway_binary():
        result.rows += [_pushgateway(groups, count, scale.rounds, folder) for count in (10, 35)]
    result.findings = _findings(cases, many, {row.case: row.figures for row in result.rows})
    result.notes.append("The files were read a moment ago, so that they come from memory and not from the disk.")
    return result


def _findings(cases: list[Case], many: Case, figures: dict[str, dict[str, float]]) -> list[Finding]:
    fewest, most = min(filter(lambda each: each.events, cases), key=_events).name, max(cases, key=_events).name
    return [
        Finding(f"ready with {most}", figures[most]["ready s"], "s", READY_SECONDS, more_is_better=False),
        *(
            Finding(
                f"start to first scrape: {many.name} / Pushgateway, {name}",
                _first(figures[many.name]) / _first(each),
                goal=1 / 3 if name.endswith("35 samples") else None,
                more_is_better=False,
            )
            for name, each in figures.items()
            if "groups" in name
        ),
        Finding(
            f"scrape, nothing new, gzip: {most} / {fewest}",
            figures[most]["nothing new ms"] / figures[fewest]["nothing new ms"],
            goal=GROWTH,
            more_is_better=False,
        ),
        Finding(
            f"single events a second: {fewest} / {most}",
            figures[fewest]["ingest/s"] / figures[most]["ingest/s"],
            goal=GROWTH,
            more_is_better=False,
        ),
    ]


def _first(figures: dict[str, float]) -> float:
    """Seconds from the start to the end of the first scrape."""
    return figures["ready s"] + figures["first scrape ms"] / 1000


def _events(case: Case) -> int:
    return case.events


def _exporter(case: Case, scale: Scale, folder: Path) -> list[Row]:
    ledger = folder / f"stored-{case.events}-{case.exports}.db"
    since = made_up.began(max(1, case.events // case.exports // 2) + 2000)
    began = time.perf_counter()
    made_up.fill_ledger(ledger, case.events, case.exports, since)
    filled = time.perf_counter() - began
    ready, first, later, memory = [], [], [], []
    cold = 0.0
    for turn in range(scale.rounds + 1):
        with processes.exporter(ledger, case.exports) as server:
            if turn == 0:  # nothing was ever folded; it leaves what it folded behind
                cold = server.ready_after
                continue
            ready.append(server.ready_after)
            first.append(fetch(server.admin_port, compressed=True).seconds)
            later += [fetch(server.admin_port, compressed=True).seconds for _ in range(REPEATS)]
            memory.append(server.memory())
    figures = {
        "cold start s": cold,
        "ready s": median(ready),
        "longest s": max(ready),
        "first scrape ms": median(first) * 1000,
        "nothing new ms": median(later) * 1000,
        "RSS MB": median(resident for resident, _ in memory) / 1e6,
        "PSS MB": median(proportional for _, proportional in memory) / 1e6,
        "file MB": ledger.stat().st_size / 1e6,
        "filled events/s": case.events / filled,
    }
    with processes.exporter(ledger, case.exports) as server:
        done = load.send(server, Job("event", first=case.events, spread=case.exports, since=since), scale.seconds)
        figures["ingest/s"] = done.per_second
        figures["ingest p99 ms"] = done.p99_ms
    ledger.unlink()
    return [Row(case.name, "exporter", figures)]


def _pushgateway(groups: int, count: int, rounds: int, folder: Path) -> Row:
    file = folder / f"stored-{count}.data"
    with processes.pushgateway(file, checked=False) as server:
        made_up.fill_groups(server.port, groups, count)
    ready, first, memory = [], [], []
    for _ in range(rounds):
        with processes.pushgateway(file, checked=True) as server:
            ready.append(server.ready_after)
            first.append(fetch(server.admin_port, compressed=True).seconds)
            memory.append(server.memory())
    figures = {
        "ready s": median(ready),
        "longest s": max(ready),
        "first scrape ms": median(first) * 1000,
        "RSS MB": median(resident for resident, _ in memory) / 1e6,
        "PSS MB": median(proportional for _, proportional in memory) / 1e6,
        "file MB": file.stat().st_size / 1e6,
    }
    return Row(f"{groups:,} groups of {count} samples", "Pushgateway", figures)
