"""Start, scrape and memory, by the number of stored events: only the start may depend on it."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import made_up
import processes
from report import Finding, Result, Row
from scrape import REPEATS, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from report import Scale

EXPORTS = 1000
GROUPS = 10_000
READY_SECONDS = 5.0


def measure(scale: Scale, folder: Path) -> Result:
    """Measure it at every size."""
    result = Result(f"Stored events, {EXPORTS:,} exports")
    for events in scale.stored:
        result.rows.append(_exporter(events, scale.rounds, folder))
    if processes.pushgateway_binary():
        groups = min(GROUPS, scale.exports[-1])
        result.rows += [_pushgateway(groups, count, scale.rounds, folder) for count in (10, 35)]
    figures = {row.case: row.figures for row in result.rows}
    fewest, most = (_case(events) for events in (min(filter(None, scale.stored)), max(scale.stored)))
    result.findings = [
        Finding(f"ready with {most}", figures[most]["ready s"], "s", READY_SECONDS, more_is_better=False),
        Finding(
            f"nothing new, gzip: {most} / {fewest}",
            figures[most]["nothing new ms"] / figures[fewest]["nothing new ms"],
        ),
    ]
    result.notes.append("The files were read a moment ago, so that they come from memory and not from the disk.")
    return result


def _case(events: int) -> str:
    return f"{events:,} events"


def _exporter(events: int, rounds: int, folder: Path) -> Row:
    ledger = folder / f"stored-{events}.db"
    began = time.perf_counter()
    made_up.fill_ledger(ledger, events, EXPORTS, made_up.began(max(1, events // EXPORTS // 2)))
    filled = time.perf_counter() - began
    ready, first, later, memory = [], [], [], []
    for _ in range(rounds):
        with processes.exporter(ledger, EXPORTS) as server:
            ready.append(server.ready_after)
            first.append(fetch(server.admin_port, compressed=True).seconds)
            later += [fetch(server.admin_port, compressed=True).seconds for _ in range(REPEATS)]
            memory.append(server.memory())
    figures = {
        "ready s": median(ready),
        "longest s": max(ready),
        "first scrape ms": median(first) * 1000,
        "nothing new ms": median(later) * 1000,
        "RSS MB": median(resident for resident, _ in memory) / 1e6,
        "PSS MB": median(proportional for _, proportional in memory) / 1e6,
        "file MB": ledger.stat().st_size / 1e6,
        "filled events/s": events / filled,
    }
    return Row(_case(events), "exporter", figures)


def _pushgateway(groups: int, count: int, rounds: int, folder: Path) -> Row:
    file = folder / f"stored-{count}.data"
    with processes.pushgateway(file, checked=False) as server:
        made_up.fill_groups(server.port, groups, count)
    ready, memory = [], []
    for _ in range(rounds):
        with processes.pushgateway(file, checked=True) as server:
            ready.append(server.ready_after)
            memory.append(server.memory())
    figures = {
        "ready s": median(ready),
        "longest s": max(ready),
        "RSS MB": median(resident for resident, _ in memory) / 1e6,
        "PSS MB": median(proportional for _, proportional in memory) / 1e6,
        "file MB": file.stat().st_size / 1e6,
    }
    return Row(f"{groups:,} groups of {count} samples", "Pushgateway", figures)
