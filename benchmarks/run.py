"""Measures the exporter beside Pushgateway on this machine; see README.md in this folder."""

from __future__ import annotations

import argparse
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

import ingest
import processes
import scrape
import stored
from report import Scale

from exporter.sqlite_file import journal_mode, newest_driver

FULL = Scale(seconds=10, rounds=3, exports=(100, 1_000, 10_000), stored=(0, 10_000, 100_000, 1_000_000))
LARGE = Scale(seconds=10, rounds=3, exports=(1_000, 10_000, 100_000), stored=(10_000, 1_000_000, 10_000_000))
QUICK = Scale(seconds=1, rounds=1, exports=(100, 1_000), stored=(0, 10_000))
MEASURES = {"ingest": ingest.measure, "scrape": scrape.measure, "stored": stored.measure}
LATEST = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    """Measure what was asked for, print it, and keep it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="a smoke run of under a minute; its figures mean little"
    )
    arguments.add_argument(
        "--large", action="store_true", help="up to 100,000 exports and ten million events; takes an hour and 10 GB"
    )
    arguments.add_argument("--only", choices=MEASURES, help="this measure and no other")
    arguments.add_argument("--folder", type=Path, help="where the ledgers are made and removed again; on a real disk")
    given = arguments.parse_args()
    scale = QUICK if given.quick else LARGE if given.large else FULL
    found = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=given.folder) as folder:
        machine = describe(Path(folder))
        print("\n".join(f"- {name}: {value}" for name, value in machine.items()), end="\n\n", flush=True)
        for name in [given.only] if given.only else MEASURES:
            result = MEASURES[name](scale, Path(folder))
            print(result.text(), flush=True)
            found[name] = asdict(result)
    machine["load after"] = f"{os.getloadavg()[0]:.2f}"
    print(f"- load after: {machine['load after']}")
    LATEST.parent.mkdir(exist_ok=True)
    kept = {"quick": given.quick, "machine": machine, "results": found}
    LATEST.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    if not processes.pushgateway_binary():
        print("Pushgateway is not installed (Debian: prometheus-pushgateway), so there are no ratios to it.")


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
