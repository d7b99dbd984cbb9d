"""Measures the exporter and Pushgateway on this machine; see README.md in this folder."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import fleet
import ingest
import landing
import page
import processes
import scrape
import slow_clients
import start
import stored
from ledgers import Places
from report import Scale, goals

from exporter.ledger.sqlite.file import journal_mode, newest_driver

FULL = Scale(
    seconds=8,
    rounds=3,
    exports=(100, 1_000, 10_000),
    stored=(0, 10_000, 1_000_000, 10_000_000),
    started=(10_000, 1_000_000),
    fleet=100_000,
)
QUICK = Scale(seconds=1, rounds=1, exports=(100, 1_000), stored=(0, 10_000), started=(1_000, 10_000), fleet=2_000)
MEASURES = {
    "ingest": ingest.measure,
    "scrape": scrape.measure,
    "start": start.measure,
    "fleet": fleet.measure,
    "stored": stored.measure,
    "slow_clients": slow_clients.measure,
    "page": page.measure,
    "landing": landing.measure,
}
LATEST = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    """Run the chosen measurements, print the results, and save them with the earlier ones of the others."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="a smoke run of two minutes; its figures mean little and are not kept"
    )
    arguments.add_argument(
        "--only", choices=MEASURES, nargs="+", default=list(MEASURES), metavar="MEASURE", help=", ".join(MEASURES)
    )
    arguments.add_argument("--goals", action="store_true", help="measure nothing; print the goals of what is kept")
    arguments.add_argument(
        "--folder", type=Path, help="on a real disk; large ledgers are kept there, and need not be made the next time"
    )
    options = arguments.parse_args()
    if not options.goals:
        with contextlib.ExitStack() as stack:
            saved = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
            saved.mkdir(exist_ok=True)
            for name in options.only:
                _measure(name, saved, quick=options.quick)
    if not options.quick:
        print(goals(_saved_results()))
    if not processes.pushgateway_binary():
        print("Pushgateway is not installed (Debian: prometheus-pushgateway), so there are no ratios to it.")


def _measure(name: str, saved: Path, *, quick: bool) -> None:
    started_at = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=saved) as folder:
        machine = describe(Path(folder))
        result = MEASURES[name](QUICK if quick else FULL, Places(Path(folder), saved))
    machine["load after"] = f"{os.getloadavg()[0]:.2f}"
    machine["took"] = f"{time.perf_counter() - started_at:.0f} s"
    print("\n".join(f"- {what}: {value}" for what, value in machine.items()), end="\n\n")
    print(result.text(), flush=True)
    if not quick:
        results = _saved_results() | {name: {"machine": machine, **asdict(result)}}
        ordered = {measure: results[measure] for measure in MEASURES if measure in results}
        LATEST.write_text(json.dumps(ordered, indent=2) + "\n", "utf-8")


def _saved_results() -> dict[str, Any]:
    """Return the newest results of each measurement."""
    results: dict[str, Any] = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    return results


def describe(folder: Path) -> dict[str, str]:
    """Describe the machine and the software of a measurement."""
    driver = newest_driver()
    models = [line for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if line.startswith("model name")]
    software = [f"{name} {version(name)}" for name in ("dataexport-exporter", "gunicorn", "Flask", "SQLAlchemy")]
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {models[0].partition(':')[2].strip() if models else platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "disk": f"a synced write of 4 KiB takes {_sync_milliseconds(folder):.2f} ms (median)",
        "python": platform.python_version(),
        "sqlite": f"{driver.sqlite_version}, journal_mode {journal_mode(driver.sqlite_version_info)}, synchronous FULL",
        "software": ", ".join(software),
        "pushgateway": _pushgateway_version(),
    }


def _sync_milliseconds(folder: Path) -> float:
    """Measure how long a small synced write takes; near 0 in a folder in memory."""
    durations = []
    with (folder / "probe").open("wb") as file:
        for _ in range(100):
            started_at = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            durations.append(time.perf_counter() - started_at)
    return median(durations) * 1000


def _pushgateway_version() -> str:
    binary = processes.pushgateway_binary()
    if binary is None:
        return "not installed"
    result = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, timeout=10)
    return (result.stdout or result.stderr).partition("(")[0].removeprefix("pushgateway, version").strip()


if __name__ == "__main__":
    main()
