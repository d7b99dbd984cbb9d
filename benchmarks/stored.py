"""Measures start, scrape, ingest and memory by the number of stored events: only the file may grow."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import ledgers
import processes
from ingest import Stream
from load import Job
from report import Finding, Result, Row
from scrape import fetch

from exporter.ledger.sqlite import file

if TYPE_CHECKING:
    from pathlib import Path

    from ledgers import Places, SavedLedger
    from load import Load
    from report import Scale

EXPORTS = 1000
ROOM = 2000
"""How many runs of each export fit between its last one in a ledger and now, so that no event is in the future."""
RENEWED = 100_000
"""A ledger of at most so many events is copied again for each round, since the events of a round would multiply it."""
MAX_COLD_EVENTS = 1_000_000
"""The largest ledger for which a start without a checkpoint is measured."""
STEADY = 60
"""Scrapes with nothing new per round: each takes a few milliseconds, so that a median of few would be noise."""
READY_SECONDS = 5.0
GROWTH = 1.2


@dataclass(slots=True)
class Case:
    """One size, and its figures so far."""

    ledger: SavedLedger
    path: Path
    job: Job
    ready: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    cold: float = 0

    @property
    def name(self) -> str:
        """The description of its ledger."""
        return size_of(self.ledger)

    def take_turn(self, seconds: float) -> None:
        """Start, scrape, and send events for so many seconds."""
        if self.ledger.events <= RENEWED:
            shutil.copyfile(self.ledger.path, self.path)
            processes.sync(self.path)
        with processes.exporter(self.path, self.ledger.exports) as server:
            self.ready.append(server.ready_after)
            self.first.append(fetch(server.admin_port, compressed=True).seconds)
            self.later += [fetch(server.admin_port, compressed=True).seconds for _ in range(STEADY)]
            self.memory.append(server.memory())
            stream = Stream(server, self.path, self.job)
            self.loads.append(stream.send(seconds))
            self.job = stream.job

    def row(self) -> Row:
        """Return the medians."""
        figures = {
            "ready s": median(self.ready),
            "longest s": max(self.ready),
            "first scrape ms": median(self.first) * 1000,
            "nothing new ms": median(self.later) * 1000,
            "RSS MB": median(resident for resident, _ in self.memory) / 1e6,
            "PSS MB": median(proportional for _, proportional in self.memory) / 1e6,
            "file MB": self.ledger.path.stat().st_size / 1e6,
            "ingest/s": median(done.per_second for done in self.loads),
            "ingest p99 ms": median(done.p99_ms for done in self.loads),
            "server CPU us each": median(done.server_busy / done.per_second for done in self.loads) * 1e6,
        }
        return Row(self.name, "exporter", figures | ({"without a checkpoint s": self.cold} if self.cold else {}))


def measure(scale: Scale, places: Places) -> Result:
    """Measure every size in turn in each round."""
    result = Result("Stored events")
    with ExitStack() as stack:
        cases = []
        for events in scale.stored:
            ledger = ledgers.saved_ledger(places.saved, events, EXPORTS, ROOM)
            path = stack.enter_context(ledgers.copied(ledger, places.folder))
            job = Job("event", first=events, spread=EXPORTS, since=ledger.since)
            cases.append(Case(ledger, path, job))
            result.notes.append(history_of(ledger))
        for case in cases:
            if 0 < case.ledger.events <= MAX_COLD_EVENTS:
                case.cold = without_checkpoint(case.path, EXPORTS)
        for _ in range(scale.rounds):
            for case in cases:
                case.take_turn(scale.seconds)
    result.rows = [case.row() for case in cases]
    result.findings = _findings([case for case in cases if case.ledger.events])
    result.notes.append("The files were read a moment ago, so that they come from memory and not from the disk.")
    return result


def size_of(ledger: SavedLedger) -> str:
    """Describe the size of a ledger."""
    return f"{ledger.events:,} events of {ledger.exports:,} exports"


def history_of(ledger: SavedLedger) -> str:
    """Describe how a ledger was made."""
    return (
        f"{size_of(ledger)}: made {ledger.made_at} in {ledger.fill_seconds:.0f} s; the first exporter folded them "
        f"all, and was ready after {ledger.fold_seconds:.0f} s (whatever else the machine did then)."
    )


def without_checkpoint(path: Path, exports: int) -> float:
    """Return the seconds until an exporter is ready that folds every event; it writes a checkpoint at its end."""
    with closing(file.connect(path, "rw")) as connection:
        connection.execute("UPDATE checkpoint_header SET fingerprint = ''")
    with processes.exporter(path, exports) as server:
        return server.ready_after


def _findings(cases: list[Case]) -> list[Finding]:
    fewest, *_, most = (case.row() for case in (cases[0], *cases))
    return [
        Finding(f"ready with {most.case}", most.figures["ready s"], "s", READY_SECONDS, more_is_better=False),
        *(
            Finding(what, value, goal=GROWTH, more_is_better=False)
            for what, value in (
                (
                    f"scrape, nothing new, gzip: {most.case} / {fewest.case}",
                    most.figures["nothing new ms"] / fewest.figures["nothing new ms"],
                ),
                (
                    f"single events a second: {fewest.case} / {most.case}",
                    fewest.figures["ingest/s"] / most.figures["ingest/s"],
                ),
            )
        ),
    ]
