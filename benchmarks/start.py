"""Measures the time from the start of the process to the end of its first scrape, of the exporter and Pushgateway."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import ledgers
import made_up
import processes
from report import Finding, Result, Row
from scrape import GROUP_SAMPLES, TURNS, fetch
from stored import ROOM, history_of, size_of, without_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ledgers import Places
    from processes import Server
    from report import Scale

SHARE = 0.8
FEW_EXPORTS = 500
FEW_SECONDS = 0.7
"""The goal for `FEW_EXPORTS` exports with `TURNS` events each, in seconds."""
SAMPLES = (10, GROUP_SAMPLES)
TIMES = 3
"""Starts per round: a start is short, and a machine may be slower for some seconds."""


@dataclass(slots=True)
class Case:
    """One server with one file, and its figures so far."""

    name: str
    server: str
    file: Path
    start: Callable[[], AbstractContextManager[Server]]
    ready: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def take_turn(self) -> None:
        """Start, scrape and stop."""
        with self.start() as server:
            self.ready.append(server.ready_after)
            self.first.append(fetch(server.admin_port, compressed=True).seconds)
            self.memory.append(server.memory())

    @property
    def took(self) -> float:
        """Seconds from the start to the end of the first scrape."""
        return median(map(sum, zip(self.ready, self.first, strict=True)))

    def row(self) -> Row:
        """Return the medians."""
        figures = {
            "start to first scrape s": self.took,
            "ready s": median(self.ready),
            "longest s": max(self.ready),
            "first scrape ms": median(self.first) * 1000,
            "RSS MB": median(resident for resident, _ in self.memory) / 1e6,
            "PSS MB": median(proportional for _, proportional in self.memory) / 1e6,
            "file MB": self.file.stat().st_size / 1e6,
        }
        return Row(self.name, self.server, figures)


def measure(scale: Scale, places: Places) -> Result:
    """Measure all cases in turn in each round."""
    exports, events = scale.started
    ledger = ledgers.saved_ledger(places.saved, events, exports, ROOM)
    with ExitStack() as stack:
        path = stack.enter_context(ledgers.copied(ledger, places.folder))
        cold = without_checkpoint(path, exports)
        small = ledgers.saved_ledger(places.saved, TURNS * FEW_EXPORTS, FEW_EXPORTS, ROOM)
        small_path = stack.enter_context(ledgers.copied(small, places.folder))
        cases = [
            Case(size_of(ledger), "exporter", path, lambda: processes.exporter(path, exports)),
            Case(size_of(small), "exporter", small_path, lambda: processes.exporter(small_path, FEW_EXPORTS)),
        ]
        if processes.pushgateway_binary():
            cases += [_pushgateway(exports, samples, places.folder) for samples in SAMPLES]
        for _ in range(TIMES * scale.rounds):
            for case in cases:
                case.take_turn()
        rows = [case.row() for case in cases]
    rows[0].figures["without a checkpoint s"] = cold
    ours, few, *others = cases
    findings = [
        Finding(
            f"start to first scrape: {ours.name} / Pushgateway, {other.name}",
            ours.took / other.took,
            goal=SHARE if other is others[-1] else None,
            more_is_better=False,
        )
        for other in others
    ]
    findings.append(Finding(f"start to first scrape: {few.name}", few.took, "s", FEW_SECONDS, more_is_better=False))
    notes = [
        history_of(ledger),
        "The files were read a moment ago, so that they come from memory and not from the disk.",
    ]
    return Result("Start", rows, findings, notes)


def _pushgateway(groups: int, samples: int, folder: Path) -> Case:
    """Fill and stop a Pushgateway, so that all groups are in its file; return its case."""
    file = folder / f"start-{samples}.data"
    file.unlink(missing_ok=True)
    with processes.pushgateway(file, checked=False) as server:
        made_up.fill_groups(server.port, groups, samples)
    name = f"{groups:,} groups of {samples} samples"
    return Case(name, "Pushgateway", file, lambda: processes.pushgateway(file, checked=True))
