"""How many events a second are on disk and acknowledged, beside pushes that are not on disk."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
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
    from pathlib import Path

    from processes import Server
    from report import Scale

EXPORTS = 1000
LIST = 100
SINGLE = "single events"
SCRAPED = "single events, scraped every second"
LISTS = f"lists of {LIST} events"
SAMPLES = (1, 10)


class _Exporter:
    """An exporter under load, each event of which is new, and counted on disk afterwards."""

    def __init__(self, server: Server, ledger: Path, since: int) -> None:
        self.server = server
        self._ledger = ledger
        self._next = Job("event", first=4 * EXPORTS, spread=EXPORTS, since=since)

    def take(self, case: str, seconds: float) -> Load:
        """Send for so long.

        Raises:
            RuntimeError: something acknowledged is not there.
        """
        job = replace(self._next, kind="list", many=LIST) if case == LISTS else self._next
        before = made_up.stored(self._ledger)
        with _scraped(self.server) if case == SCRAPED else contextlib.nullcontext():
            done = load.send(self.server, job, seconds)
        kept = made_up.stored(self._ledger) - before
        # What was under way at the end is stored as well, though nobody waited for the answer.
        if done.refused or kept < done.requests * job.step:
            message = f"{case}: {done.requests * job.step} events acknowledged, {kept} stored, {done.refused} refused"
            raise RuntimeError(message)
        unused = done.requests + done.broken + 2 * load.CONNECTIONS
        self._next = replace(self._next, first=self._next.first + unused * job.step)
        return done


def measure(scale: Scale, folder: Path) -> Result:
    """Measure it, all cases in turn in each round."""
    since = made_up.began(4000)
    ledger = folder / "ingest.db"
    made_up.fill_ledger(ledger, 4 * EXPORTS, EXPORTS, since)
    loads: dict[tuple[str, str], list[Load]] = {}
    notes = []
    with contextlib.ExitStack() as running:
        ours = _Exporter(running.enter_context(processes.exporter(ledger, EXPORTS)), ledger, since)
        theirs = dict(_gateways(running, folder)) if processes.pushgateway_binary() else {}
        for _ in range(scale.rounds):
            for case in (SINGLE, SCRAPED, LISTS):
                loads.setdefault((case, "exporter"), []).append(ours.take(case, scale.seconds))
            for (case, name), (server, job) in theirs.items():
                done = load.send(server, job, scale.seconds)
                if done.refused:
                    message = f"Pushgateway refused {done.refused} pushes"
                    raise RuntimeError(message)
                loads.setdefault((case, name), []).append(done)
        held, memory = made_up.stored(ledger), ours.server.memory()[0] / 1e6
        notes.append(f"Afterwards the exporter has {held:,} events of {EXPORTS:,} exports and {memory:.0f} MB of RSS.")
        notes.append(f"Generator: {load.generator()}, {load.CONNECTIONS} connections that stay open.")
        if theirs:
            notes += _ceilings(next(iter(theirs.values()))[0], scale.seconds)
    rows = [_row(case, server, done) for (case, server), done in loads.items()]
    return Result("Ingest", rows, _findings(rows), notes)


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
    checked, unchecked = _gateway(checked=True), _gateway(checked=False)
    wanted = [
        (SINGLE, (_pushes(10), checked), 20.0),
        (SINGLE, (_pushes(1), checked), None),
        (SINGLE, (_pushes(10), unchecked), None),
        (LISTS, (_pushes(10), unchecked), 1.0),
        (LISTS, (_pushes(1), unchecked), None),
    ]
    return [
        Finding(f"{case} / {other[0]}, {other[1]}", rates[case, "exporter"] / rates[other], goal=goal)
        for case, other, goal in wanted
        if other in rates
    ]
