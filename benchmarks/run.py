"""Measures the exporter beside Pushgateway on this machine; see README.md in this folder."""

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
}
LATEST = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    """Measure what was asked for, print it, and keep it beside what else was measured before."""
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
    given = arguments.parse_args()
    if not given.goals:
        with contextlib.ExitStack() as stack:
            made = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
            made.mkdir(exist_ok=True)
            for name in given.only:
                _measure(name, made, quick=given.quick)
    if not given.quick:
        print(goals(_kept()))
    if not processes.pushgateway_binary():
        print("Pushgateway is not installed (Debian: prometheus-pushgateway), so there are no ratios to it.")


def _measure(name: str, kept: Path, *, quick: bool) -> None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=kept) as folder:
        machine = describe(Path(folder))
        result = MEASURES[name](QUICK if quick else FULL, Places(Path(folder), kept))
    machine["load after"] = f"{os.getloadavg()[0]:.2f}"
    machine["took"] = f"{time.perf_counter() - began:.0f} s"
    print("\n".join(f"- {what}: {value}" for what, value in machine.items()), end="\n\n")
    print(result.text(), flush=True)
    if not quick:
        everything = _kept() | {name: {"machine": machine, **asdict(result)}}
        found = {each: everything[each] for each in MEASURES if each in everything}
        LATEST.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def _kept() -> dict[str, Any]:
    """The newest results of each measure."""
    found: dict[str, Any] = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    return found


def describe(folder: Path) -> dict[str, str]:
    """What the figures were measured on."""
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
    """How long a small durable write takes; near 0 in a folder that is no disk."""
    took = []
    with (folder / "probe").open("wb") as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took) * 1000


def _pushgateway_version() -> str:
    binary = processes.pushgateway_binary()
    if binary is None:
        return "not installed"
    told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True, timeout=10)
    return (told.stdout or told.stderr).partition("(")[0].removeprefix("pushgateway, version").strip()


if __name__ == "__main__":
    main()
