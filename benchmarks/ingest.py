"""How many events a second are on disk and acknowledged, beside pushes that are not on disk."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
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
    """An exporter under load, each event of which is new, and counted on disk afterwards."""

    server: Server
    ledger: Path
    job: Job

    def take(self, seconds: float, *, lists: bool = False, scraped: bool = False) -> Load:
        """Send for so long.

        Raises:
            RuntimeError: something acknowledged is not there.
        """
        job = replace(self.job, kind="list", many=LIST) if lists else self.job
        before = made_up.stored(self.ledger)
        with _scraped(self.server) if scraped else contextlib.nullcontext():
            done = load.send(self.server, job, seconds)
        kept = made_up.stored(self.ledger) - before
        # What was under way at the end is stored as well, though nobody waited for the answer.
        if done.refused or kept < done.requests * job.step:
            message = f"{done.requests * job.step} events acknowledged, {kept} stored, {done.refused} refused"
            raise RuntimeError(message)
        unused = done.requests + done.broken + 2 * job.connections
        self.job = replace(self.job, first=self.job.first + unused * job.step)
        return done


@contextlib.contextmanager
def stream(
    ledger: Path, exports: int, since: int, more: dict[str, str] | None = None, connections: int = 16
) -> Iterator[Stream]:
    """An exporter whose exports have all run twice, and the events that follow."""
    first = 4 * exports
    made_up.fill_ledger(ledger, first, exports, since)
    with processes.exporter(ledger, exports, more) as server:
        yield Stream(server, ledger, Job("event", first=first, spread=exports, since=since, connections=connections))


def measure(scale: Scale, places: Places) -> Result:
    """Measure it, all cases in turn in each round."""
    folder, since = places.folder, made_up.began(20_000)
    loads: dict[tuple[str, str], list[Load]] = {}
    notes = []

    def tell(case: str, server: str, done: Load) -> None:
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
            tell(SINGLE, "exporter", ours.take(scale.seconds))
            tell(UNSTORED, "exporter", _answered(unstored, replace(ours.job, first=4 * EXPORTS), scale.seconds))
            tell(LISTS, "exporter", ours.take(scale.seconds, lists=True))
            tell(MANY, "exporter", many.take(scale.seconds))
            tell(SCRAPED, "exporter", many.take(scale.seconds, scraped=True))
            if slow:
                tell(SLOW, "exporter", slow.take(scale.seconds))
            for (case, name), (server, job) in theirs.items():
                tell(case, name, _answered(server, job, scale.seconds))
        held, memory = made_up.stored(ours.ledger), ours.server.memory()[0] / 1e6
        notes.append(f"Afterwards the exporter has {held:,} events of {EXPORTS:,} exports and {memory:.0f} MB of RSS.")
        notes.append(f"Generator: {load.generator()}, {ours.job.connections} connections unless said otherwise.")
        if not slow:
            notes.append("Without a C compiler there is no slow disk.")
        if theirs:
            notes += _ceilings(next(iter(theirs.values()))[0], scale.seconds)
    rows = [_row(case, server, done) for (case, server), done in loads.items()]
    return Result("Ingest", rows, _findings(rows), notes)


def _answered(server: Server, job: Job, seconds: float) -> Load:
    """Send for so long to a server that stores nothing.

    Raises:
        RuntimeError: something was refused.
    """
    done = load.send(server, job, seconds)
    if done.refused:
        message = f"{done.refused} of {done.requests} requests were refused"
        raise RuntimeError(message)
    return done


def slow_sync(folder: Path) -> dict[str, str]:
    """What makes every sync of a process slow, as environment variables; nothing without a C compiler."""
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
    """What the generator alone can do: the same requests to a path that is answered 404."""
    since = made_up.began(2)
    for job in (Job("event", since=since), Job("list", many=LIST, since=since), Job("push", many=max(SAMPLES))):
        done = load.send(server, replace(job, prefix="/nowhere"), min(seconds, 3))
        yield f"Ceiling of the generator, {job.kind} to a 404: {done.per_second:,.0f} requests/s."


@contextlib.contextmanager
def _scraped(server: Server) -> Iterator[None]:
    enough = threading.Event()
    fetch(server.admin_port, compressed=True)  # what came while nobody scraped belongs to no scrape of every second

    def work() -> None:
        while not enough.wait(1):
            fetch(server.admin_port, compressed=True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _row(case: str, server: str, rounds: list[Load]) -> Row:
    each = LIST if case == LISTS else 1
    rates = [done.per_second * each for done in rounds]
    figures = {
        "events or pushes/s": median(rates),
        "least": min(rates),
        "most": max(rates),
        "p50 ms": median(done.p50_ms for done in rounds),
        "p99 ms": median(done.p99_ms for done in rounds),
        "server CPU us each": median(done.server_busy / done.per_second / each for done in rounds) * 1e6,
        "server busy": median(done.server_busy for done in rounds),
        "generator busy": median(done.busy for done in rounds),
        "broken": sum(done.broken for done in rounds),
    }
    return Row(case, server, figures)


def _findings(rows: list[Row]) -> list[Finding]:
    rates = {(row.case, row.server): row.figures["events or pushes/s"] for row in rows}
    slowest = {(row.case, row.server): row.figures["p99 ms"] for row in rows}
    checked, unchecked = _gateway(checked=True), _gateway(checked=False)
    wanted = [
        (SINGLE, (UNSTORED, "exporter"), 0.6),
        (SINGLE, (_pushes(10), checked), 12.0),
        (SINGLE, (_pushes(1), checked), None),
        (SINGLE, (_pushes(10), unchecked), None),
        (LISTS, (_pushes(10), unchecked), 2.0),
        (LISTS, (_pushes(1), unchecked), None),
    ]
    found = [
        Finding(f"{case} / {other[0]}, {other[1]}", rates[case, "exporter"] / rates[other], goal=goal)
        for case, other, goal in wanted
        if other in rates
    ]
    other = (_pushes(10), checked)
    if other in slowest:
        ratio = slowest[SINGLE, "exporter"] / slowest[other]
        found.append(Finding(f"p99: {SINGLE} / {other[0]}, {checked}", ratio, goal=0.1, more_is_better=False))
    if (SLOW, "exporter") in slowest:
        found.append(Finding(f"p99: {SLOW}", slowest[SLOW, "exporter"], "ms", goal=100, more_is_better=False))
    kept = rates[SCRAPED, "exporter"] / rates[MANY, "exporter"]
    found.append(Finding(f"{SCRAPED} / not scraped", kept))
    found.append(Finding(f"p99: {SCRAPED}", slowest[SCRAPED, "exporter"], "ms", goal=50, more_is_better=False))
    return found
