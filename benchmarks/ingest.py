"""Measures how many events a second are acknowledged on disk, and how many pushes a Pushgateway takes in memory."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import load
import made_up
import processes
from load import Job, Load
from report import Finding, Result, Row
from scrape import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledgers import Places
    from processes import Server
    from report import Scale

EXPORTS = 1000
MANY_EXPORTS = 10_000
LIST = 100
SYNC_MS = 5
SINGLE = "single events"
UNSTORED = "single events, answered without storing them"
LISTS = f"lists of {LIST} events"
MANY = f"single events, {MANY_EXPORTS:,} exports"
SCRAPED = f"single events, {MANY_EXPORTS:,} exports scraped every second"
SLOW = f"single events, 64 connections, a sync takes {SYNC_MS} ms"
SAMPLES = (1, 10)


@dataclass(slots=True)
class Stream:
    """Sends new events to an exporter, and checks afterwards that they are on disk."""

    server: Server
    ledger: Path
    job: Job

    def send(self, seconds: float, *, lists: bool = False, scraped: bool = False) -> Load:
        """Send for so many seconds.

        Raises:
            RuntimeError: an acknowledged event is not in the ledger, or an event was refused.
        """
        job = replace(self.job, kind="list", many=LIST) if lists else self.job
        before = made_up.stored(self.ledger)
        with _scraped(self.server) if scraped else contextlib.nullcontext():
            done = load.send(self.server, job, seconds)
        stored = made_up.stored(self.ledger) - before
        # More may be stored than acknowledged: the generator does not wait for the last responses.
        if done.refused or stored < done.requests * job.step:
            message = f"{done.requests * job.step} events acknowledged, {stored} stored, {done.refused} refused"
            raise RuntimeError(message)
        unused = done.requests + done.broken + 2 * job.connections
        self.job = replace(self.job, first=self.job.first + unused * job.step)
        return done


@contextlib.contextmanager
def stream(
    ledger: Path, exports: int, since: int, more: dict[str, str] | None = None, connections: int = 16
) -> Iterator[Stream]:
    """Start an exporter whose exports have all run twice; yields a stream of the events after those."""
    first = 4 * exports
    made_up.fill_ledger(ledger, first, exports, since)
    with processes.exporter(ledger, exports, more) as server:
        yield Stream(server, ledger, Job("event", first=first, spread=exports, since=since, connections=connections))


def measure(scale: Scale, places: Places) -> Result:
    """Measure all cases in turn in each round."""
    folder, since = places.folder, made_up.began(20_000)
    loads: dict[tuple[str, str], list[Load]] = {}
    notes = []

    def record(case: str, server: str, done: Load) -> None:
        loads.setdefault((case, server), []).append(done)

    with contextlib.ExitStack() as running:
        ours = running.enter_context(stream(folder / "ingest.db", EXPORTS, since))
        many = running.enter_context(stream(folder / "ingest-many.db", MANY_EXPORTS, since))
        shim = slow_sync(folder)
        slow = running.enter_context(stream(folder / "ingest-slow.db", EXPORTS, since, shim, 64)) if shim else None
        unstored_ledger = folder / "ingest-unstored.db"
        unstored = running.enter_context(processes.exporter(unstored_ledger, EXPORTS, storing=False))
        theirs = dict(_gateways(running, folder)) if processes.pushgateway_binary() else {}
        for _ in range(scale.rounds):
            record(SINGLE, "exporter", ours.send(scale.seconds))
            record(UNSTORED, "exporter", _answered(unstored, replace(ours.job, first=4 * EXPORTS), scale.seconds))
            record(LISTS, "exporter", ours.send(scale.seconds, lists=True))
            record(MANY, "exporter", many.send(scale.seconds))
            record(SCRAPED, "exporter", many.send(scale.seconds, scraped=True))
            if slow:
                record(SLOW, "exporter", slow.send(scale.seconds))
            for (case, name), (server, job) in theirs.items():
                record(case, name, _answered(server, job, scale.seconds))
        events, memory = made_up.stored(ours.ledger), ours.server.memory()[0] / 1e6
        notes.append(
            f"Afterwards the exporter has {events:,} events of {EXPORTS:,} exports and {memory:.0f} MB of RSS."
        )
        notes.append(f"Generator: {load.generator()}, {ours.job.connections} connections unless said otherwise.")
        if not slow:
            notes.append("Without a C compiler there is no slow disk.")
        if theirs:
            notes += _ceilings(next(iter(theirs.values()))[0], scale.seconds)
    rows = [_row(case, server, done) for (case, server), done in loads.items()]
    return Result("Ingest", rows, _findings(rows), notes)


def _answered(server: Server, job: Job, seconds: float) -> Load:
    """Send for so many seconds to a server that stores nothing on disk.

    Raises:
        RuntimeError: a request was refused.
    """
    done = load.send(server, job, seconds)
    if done.refused:
        message = f"{done.refused} of {done.requests} requests were refused"
        raise RuntimeError(message)
    return done


def slow_sync(folder: Path) -> dict[str, str]:
    """Return environment variables that make every sync of a process slow; empty without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return {}
    library = folder / "slow_sync.so"
    source = Path(__file__).with_name("slow_sync.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_SYNC_MS": str(SYNC_MS)}


def _gateways(running: contextlib.ExitStack, folder: Path) -> Iterator[tuple[tuple[str, str], tuple[Server, Job]]]:
    for samples in SAMPLES:
        for checked in (True, False):
            file = folder / f"ingest-{samples}-{checked}.data"
            server = running.enter_context(processes.pushgateway(file, checked=checked))
            made_up.fill_groups(server.port, EXPORTS, samples)
            job = Job("push", first=EXPORTS, spread=EXPORTS, many=samples)
            yield (_pushes(samples), _gateway(checked=checked)), (server, job)


def _pushes(samples: int) -> str:
    return f"pushes of {samples} sample{'s' if samples > 1 else ''}"


def _gateway(*, checked: bool) -> str:
    return "Pushgateway" if checked else "Pushgateway, no check"


def _ceilings(server: Server, seconds: float) -> Iterator[str]:
    """Measure the generator's limit: the same requests to a path that the server does not have."""
    since = made_up.began(2)
    for job in (Job("event", since=since), Job("list", many=LIST, since=since), Job("push", many=max(SAMPLES))):
        done = load.send(server, replace(job, prefix="/nowhere"), min(seconds, 3))
        yield f"Ceiling of the generator, {job.kind} to a 404: {done.per_second:,.0f} requests/s."


@contextlib.contextmanager
def _scraped(server: Server) -> Iterator[None]:
    fetch(server.admin_port, compressed=True)  # so that the first timed scrape renders one second of events too
    with processes.repeating(lambda: fetch(server.admin_port, compressed=True), 1):
        yield


def _row(case: str, server: str, rounds: list[Load]) -> Row:
    per_request = LIST if case == LISTS else 1
    rates = [done.per_second * per_request for done in rounds]
    figures = {
        "events or pushes/s": median(rates),
        "least": min(rates),
        "most": max(rates),
        "p50 ms": median(done.p50_ms for done in rounds),
        "p99 ms": median(done.p99_ms for done in rounds),
        "server CPU us each": median(done.server_busy / done.per_second / per_request for done in rounds) * 1e6,
        "server busy": median(done.server_busy for done in rounds),
        "generator busy": median(done.busy for done in rounds),
        "broken": sum(done.broken for done in rounds),
    }
    return Row(case, server, figures)


def _findings(rows: list[Row]) -> list[Finding]:
    rates = {(row.case, row.server): row.figures["events or pushes/s"] for row in rows}
    slowest = {(row.case, row.server): row.figures["p99 ms"] for row in rows}
    checked, unchecked = _gateway(checked=True), _gateway(checked=False)
    comparisons = [
        (SINGLE, (UNSTORED, "exporter"), 0.6),
        (SINGLE, (_pushes(10), checked), 12.0),
        (SINGLE, (_pushes(1), checked), None),
        (SINGLE, (_pushes(10), unchecked), None),
        (LISTS, (_pushes(10), unchecked), 2.0),
        (LISTS, (_pushes(1), unchecked), None),
    ]
    findings = [
        Finding(f"{case} / {other[0]}, {other[1]}", rates[case, "exporter"] / rates[other], goal=goal)
        for case, other, goal in comparisons
        if other in rates
    ]
    other = (_pushes(10), checked)
    if other in slowest:
        ratio = slowest[SINGLE, "exporter"] / slowest[other]
        findings.append(Finding(f"p99: {SINGLE} / {other[0]}, {checked}", ratio, goal=0.1, more_is_better=False))
    if (SLOW, "exporter") in slowest:
        findings.append(Finding(f"p99: {SLOW}", slowest[SLOW, "exporter"], "ms", goal=100, more_is_better=False))
    ratio_scraped = rates[SCRAPED, "exporter"] / rates[MANY, "exporter"]
    findings.append(Finding(f"{SCRAPED} / not scraped", ratio_scraped))
    findings.append(Finding(f"p99: {SCRAPED}", slowest[SCRAPED, "exporter"], "ms", goal=50, more_is_better=False))
    return findings
