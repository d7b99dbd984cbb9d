"""Runs an hour of steady work: do memory, open files and latency stay flat?

Four connections post 50 events a second, one by one, and the metrics are scraped every five seconds as Prometheus
does. The figures are written as CSV and drawn as SVG.
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
"""By which factor each figure may grow until the end; a leak grows without bound."""
RESULTS = Path(__file__).parent / "results"
IMAGE = Path(__file__).parents[1] / "docs" / "images" / "soak.svg"


@dataclass(frozen=True, slots=True)
class Window:
    """The figures of five seconds.

    Attributes:
        minute: minutes from the beginning to the end of the window.
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
    """Posts events at a steady rate; a slow response does not lower the rate afterwards."""

    def __init__(self, port: int, rate: float, since: int) -> None:
        self._port, self._rate, self._since = port, rate, since
        self._lock = threading.Lock()
        self._durations: list[float] = []
        self._stopping = threading.Event()
        self.refused = 0
        self._threads = [threading.Thread(target=self._send, args=(place,)) for place in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def take_durations(self) -> list[float]:
        """Return the seconds of each request since the last call."""
        with self._lock:
            durations, self._durations = self._durations, []
        return durations

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _send(self, place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        started_at, number = time.perf_counter(), place
        while not self._stopping.wait(max(0.0, started_at + number / self._rate - time.perf_counter())):
            sent = time.perf_counter()
            connection.request("POST", made_up.WEBHOOK, made_up.event(number, EXPORTS, self._since))
            response = connection.getresponse()
            response.read()
            with self._lock:
                self._durations.append(time.perf_counter() - sent)
                self.refused += response.status != http.HTTPStatus.OK
            number += SENDERS
        connection.close()


def soak(minutes: float, rate: float, folder: Path) -> list[Window]:
    """Run the load and return its figures.

    Raises:
        RuntimeError: an event was refused, or an acknowledged one is not in the ledger.
    """
    ledger = folder / "soak.db"
    since = made_up.began(int(minutes * 60 * rate) // EXPORTS // 2 + 2)
    windows: list[Window] = []
    with processes.exporter(ledger, EXPORTS) as server:
        senders = Senders(server.port, rate, since)
        started_at, used, sent = time.perf_counter(), server.processor_seconds(), 0
        try:
            while (passed := time.perf_counter() - started_at) < minutes * 60:
                time.sleep(WINDOW_SECONDS - passed % WINDOW_SECONDS)
                scrape_started_at = time.perf_counter()
                fetch(server.admin_port, compressed=True)
                scrape_ms = (time.perf_counter() - scrape_started_at) * 1000
                durations = senders.take_durations()
                sent += len(durations)
                before, used = used, server.processor_seconds()
                windows.append(
                    Window(
                        minute=round((time.perf_counter() - started_at) / 60, 3),
                        events=len(durations),
                        post_p50_ms=round(median(durations) * 1000, 2),
                        post_p99_ms=round(quantiles(durations, n=100)[98] * 1000, 2),
                        scrape_ms=round(scrape_ms, 2),
                        resident_mb=round(server.memory()[0] / 1e6, 2),
                        files=server.open_files(),
                        processor_share=round((used - before) / WINDOW_SECONDS, 3),
                    )
                )
        finally:
            senders.stop()
    stored = made_up.stored(ledger)
    if senders.refused or stored < sent:
        message = f"{sent} events acknowledged, {stored} stored, {senders.refused} refused"
        raise RuntimeError(message)
    print(f"{sent} events acknowledged, {stored} stored, none refused")
    return windows


def growth(windows: list[Window], name: str) -> tuple[float, float]:
    """Return the medians of the second and of the last sixth; the first is left out because of the start."""
    size = max(1, len(windows) // 6)
    values = [float(getattr(window, name)) for window in windows]
    return median(values[size : 2 * size]), median(values[-size:])


def main() -> None:
    """Run the load, print what grew, and save the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--rate", type=float, default=50, help="events a second")
    arguments.add_argument("--folder", type=Path, help="where the ledger is made and removed again; on a real disk")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=options.folder) as folder:
        windows = soak(options.minutes, options.rate, Path(folder))
    grown = []
    for name, most in BOUNDS.items():
        early, late = growth(windows, name)
        print(f"{name:16} {early:10.2f} -> {late:10.2f}  ({late / early:.2f} x, at most {most} x)")
        grown += [name] if late > most * early else []
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "soak.csv").open("w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Window)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(window) for window in windows)
    at = [window.minute for window in windows]
    panels = [
        Panel("Resident memory, MB", at, {"all processes": [window.resident_mb for window in windows]}),
        Panel("Open files", at, {"all processes": [float(window.files) for window in windows]}),
        Panel(
            "Time to answer a POST, ms",
            at,
            {"p50": [window.post_p50_ms for window in windows], "p99": [window.post_p99_ms for window in windows]},
        ),
        Panel("Time of a scrape, ms", at, {"scrape": [window.scrape_ms for window in windows]}),
    ]
    IMAGE.write_text(draw(f"{options.rate:g} events a second, a scrape every 5 s", "minutes", panels), "utf-8")
    if grown:
        sys.exit(f"not flat: {', '.join(grown)}")


if __name__ == "__main__":
    main()
