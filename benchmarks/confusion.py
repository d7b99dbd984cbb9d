"""Which pages a month of made-up exports would have raised, beside the pages that it should have raised.

A fleet of 40 exports in three sources, 30 days over both changes of summer time, and 20 planted
faults. The ledger is filled as if it had listened, told as history, and loaded into a real
Prometheus; the shipped alerts, their recording rules written out in them, are evaluated over it
minute by minute.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from alert_history import History, names_in
from planted import CONFIG, MINUTE, OUTAGE, SEED, SINCE, UNTIL, Truth, fate, fleet
from sqlalchemy import create_engine, insert
from verdict import CORE, tell_alerts, tell_confusion

from exporter.cli.backfill import FAMILIES, BackfillInput
from exporter.cli.simulation import BatchingLedger, history, import_history
from exporter.config import loader
from exporter.domain.frequency import HOUR
from exporter.ingest.vendors.clevertap import REASONS
from exporter.ledger.schema import heartbeats

ROOT = Path(__file__).parent.parent
_AGE = "time() - (dataexport_last_completed_timestamp_seconds{{{}}} > 0) > {}"
USUAL = {
    "age > 28.8 h for all": _AGE.format('frequency!="one-time"', 28.8 * HOUR),
    "age > 4.8 h for all": _AGE.format('frequency!="one-time"', 4.8 * HOUR),
    "age > 1.2 x its frequency": " or ".join(
        _AGE.format(f'frequency="{hours}h"', hours * 1.2 * HOUR) for hours in (4, 8, 12, 24)
    ),
}
"""What is usually written on the time of the last success: one threshold, or one for each frequency."""


def main() -> None:
    """Build the history, evaluate the rules over it, and print how they did."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, help="where the history is made and removed again")
    arguments.add_argument("--others", action="store_true", help="evaluate further alerts, of which none is judged")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="confusion-", dir=given.folder) as folder:
        clean = run(Path(folder), others=given.others)
    sys.exit(0 if clean else 1)


def run(folder: Path, *, others: bool) -> bool:
    """The same, with its files in a folder; whether every alert was right."""
    began = time.perf_counter()
    plans = fleet()
    happenings = list(history(plans, SINCE, UNTIL, SEED, fate))
    heard = [each for each in happenings if not OUTAGE[0] <= each.at < OUTAGE[1]]
    (folder / "dataexport.toml").write_text(CONFIG, "utf-8")
    settings = loader.load(folder / "dataexport.toml", {})
    store = f"sqlite:///{folder / 'dataexport.db'}"
    rules = [
        rule
        for group in yaml.safe_load((ROOT / "alerts" / "dataexport.rules.yaml").read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    told = {name for family in FAMILIES for name in (family.name, family.sample_name)}
    alerts, left_out = usable(rules, told, others=others)
    with closing(BatchingLedger(store)) as ledger:
        events = import_history(iter(heard), ledger, settings, (SINCE, UNTIL))
        _listen(store)
        knowledge = BackfillInput(ledger, settings.sources_without_credentials, settings.exports, 200, tuple(REASONS))
        prometheus = History(folder)
        wanted = {name for rule in alerts.values() for name in names_in(rule["expr"])}
        samples = prometheus.load(knowledge, wanted | {"dataexport_last_completed_timestamp_seconds"})
    print(f"{events} events of {len(plans) + 1} exports, {samples} samples, {time.perf_counter() - began:.0f} s")
    truth = Truth(plans, happenings)
    expected, incidents = truth.expected()
    with prometheus.served():
        found = {
            name: prometheus.episodes(name, rule["expr"], _seconds(rule.get("for", "0m")))
            for name, rule in alerts.items()
        }
        usual = {name: prometheus.episodes(name, rule) for name, rule in USUAL.items()}
    print(f"evaluated after {time.perf_counter() - began:.0f} s\n")
    clean = tell_alerts(expected, found, left_out, truth, happenings)
    tell_confusion(incidents, found, usual)
    return clean


def usable(rules: list[dict[str, Any]], told: set[str], *, others: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The alerts that can be evaluated, with recording rules written out in them, and the names of all others."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}

    def written_out(expression: str) -> str:
        # What was recorded once a minute is asked for once a minute.
        def inner(found: re.Match[str]) -> str:
            if found[1] not in recorded:
                return found[0]
            return f"({written_out(recorded[found[1]])})" + (f"[{found[2]}:1m]" if found[2] else "")

        return re.sub(r"\b(dataexport:[a-z0-9_]+)(?:\[(\w+)\])?", inner, expression)

    good: dict[str, dict[str, Any]] = {}
    left_out = []
    for rule in rules:
        if "alert" not in rule:
            continue
        expression = written_out(rule["expr"])
        judged_too = others and rule["labels"]["severity"] in {"warning", "critical"}
        if names_in(expression) <= told and (rule["alert"] in CORE or judged_too):
            good[rule["alert"]] = rule | {"expr": expression}
        else:
            left_out.append(rule["alert"])
    return good, left_out


def _listen(store: str) -> None:
    """Note that somebody listened all the time but for the hour in which the exporter was down."""
    engine = create_engine(store)
    rows = [(SINCE, OUTAGE[0]), (OUTAGE[1], UNTIL)]
    with engine.begin() as connection:
        for began, seen in rows:
            row = {"instance_id": "listening", "started_us": int(began * 1e6), "last_seen_us": int(seen * 1e6)}
            connection.execute(insert(heartbeats), [row])
    engine.dispose()


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": MINUTE, "h": HOUR}[duration[-1]]


if __name__ == "__main__":
    main()
