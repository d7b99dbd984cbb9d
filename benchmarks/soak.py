"""An hour of steady work: do memory, open files and latency stay where they are?

50 events a second are posted one by one on four connections, and the metrics are scraped every
five seconds as Prometheus does. What was seen is written as CSV, and drawn as SVG.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median, quantiles

import made_up
import processes
from chart import Panel, draw
from scrape import fetch

EXPORTS = 200
SENDERS = 4
WINDOW_SECONDS = 5.0
BOUNDS = {"resident_mb": 1.1, "files": 1.2, "post_p50_ms": 1.5, "post_p99_ms": 2, "scrape_ms": 1.5}
"""How many times its early value each may have in the end: what leaks grows without an end."""
RESULTS = Path(__file__).parent / "results"
IMAGE = Path(__file__).parents[1] / "docs" / "images" / "soak.svg"


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen in five seconds.

    Attributes:
        minute: since the beginning, at the end of the window.
        files: open file descriptors of all processes.
    """

    minute: float
    events: int
    post_p50_ms: float
    post_p99_ms: float
    scrape_ms: float
    resident_mb: float
    files: int
    processor_share: float


class Senders:
    """Post events at a steady pace; an event that is late does not delay the pace of the others."""

    def __init__(self, port: int, rate: float, since: int) -> None:
        self._port, self._rate, self._since = port, rate, since
        self._lock = threading.Lock()
        self._took: list[float] = []
        self._enough = threading.Event()
        self.refused = 0
        self._threads = [threading.Thread(target=self._send, args=(place,)) for place in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def taken(self) -> list[float]:
        """The seconds that each answer since the last call took."""
        with self._lock:
            took, self._took = self._took, []
        return took

    def stop(self) -> None:
        """Send no more."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _send(self, place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        began, number = time.perf_counter(), place
        while not self._enough.wait(max(0.0, began + number / self._rate - time.perf_counter())):
            sent = time.perf_counter()
            connection.request("POST", made_up.WEBHOOK, made_up.event(number, EXPORTS, self._since))
            answer = connection.getresponse()
            answer.read()
            with self._lock:
                self._took.append(time.perf_counter() - sent)
                self.refused += answer.status != http.HTTPStatus.OK
            number += SENDERS
        connection.close()


def soak(minutes: float, rate: float, folder: Path) -> list[Window]:
    """Run it.

    Raises:
        RuntimeError: something was refused, or something acknowledged is not there.
    """
    ledger = folder / "soak.db"
    since = made_up.began(int(minutes * 60 * rate) // EXPORTS // 2 + 2)
    windows: list[Window] = []
    with processes.exporter(ledger, EXPORTS) as server:
        senders = Senders(server.port, rate, since)
        began, used, sent = time.perf_counter(), server.processor_seconds(), 0
        try:
            while (passed := time.perf_counter() - began) < minutes * 60:
                time.sleep(WINDOW_SECONDS - passed % WINDOW_SECONDS)
                scraped = time.perf_counter()
                fetch(server.admin_port, compressed=True)
                scrape_ms = (time.perf_counter() - scraped) * 1000
                took = senders.taken()
                sent += len(took)
                before, used = used, server.processor_seconds()
                windows.append(
                    Window(
                        minute=round((time.perf_counter() - began) / 60, 3),
                        events=len(took),
                        post_p50_ms=round(median(took) * 1000, 2),
                        post_p99_ms=round(quantiles(took, n=100)[98] * 1000, 2),
                        scrape_ms=round(scrape_ms, 2),
                        resident_mb=round(server.memory()[0] / 1e6, 2),
                        files=server.open_files(),
                        processor_share=round((used - before) / WINDOW_SECONDS, 3),
                    )
                )
        finally:
            senders.stop()
    kept = made_up.stored(ledger)
    if senders.refused or kept < sent:
        message = f"{sent} events acknowledged, {kept} stored, {senders.refused} refused"
        raise RuntimeError(message)
    print(f"{sent} events acknowledged, {kept} stored, none refused")
    return windows


def growth(windows: list[Window], name: str) -> tuple[float, float]:
    """The medians of the second and of the last sixth: what came with the start is not counted."""
    size = max(1, len(windows) // 6)
    values = [float(getattr(each, name)) for each in windows]
    return median(values[size : 2 * size]), median(values[-size:])


def main() -> None:
    """Run it, tell what grew, and keep the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--rate", type=float, default=50, help="events a second")
    arguments.add_argument("--folder", type=Path, help="where the ledger is made and removed again; on a real disk")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=given.folder) as folder:
        windows = soak(given.minutes, given.rate, Path(folder))
    grown = []
    for name, most in BOUNDS.items():
        early, late = growth(windows, name)
        print(f"{name:16} {early:10.2f} -> {late:10.2f}  ({late / early:.2f} x, at most {most} x)")
        grown += [name] if late > most * early else []
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "soak.csv").open("w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Window)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in windows)
    at = [each.minute for each in windows]
    panels = [
        Panel("Resident memory, MB", at, {"all processes": [each.resident_mb for each in windows]}),
        Panel("Open files", at, {"all processes": [float(each.files) for each in windows]}),
        Panel(
            "Time to answer a POST, ms",
            at,
            {"p50": [each.post_p50_ms for each in windows], "p99": [each.post_p99_ms for each in windows]},
        ),
        Panel("Time of a scrape, ms", at, {"scrape": [each.scrape_ms for each in windows]}),
    ]
    IMAGE.write_text(draw(f"{given.rate:g} events a second, a scrape every 5 s", "minutes", panels), "utf-8")
    if grown:
        sys.exit(f"not flat: {', '.join(grown)}")


if __name__ == "__main__":
    main()
