"""Compares the pages that a month of simulated exports would have raised with those that it should have raised.

The fleet has 40 exports in three sources, 30 days across both summer-time changes, and 20 planted faults. The events
are imported into a ledger, backfilled, and loaded into a real Prometheus, which evaluates the shipped alerts minute by
minute, with their recording rules expanded.
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

from alert_history import BUILD_INFO, History, names_in
from planted import CONFIG, MINUTE, OUTAGE, SEED, SINCE, UNTIL, Truth, fleet, outcomes, plant
from sqlalchemy import create_engine, insert
from verdict import CORE, print_alerts, print_confusion

from exporter.cli.backfill import FAMILIES, BackfillInput
from exporter.cli.simulation import BatchingLedger, history, import_history
from exporter.config import loader
from exporter.domain.frequency import HOUR
from exporter.ingest.vendors.clevertap import REASONS
from exporter.ledger.schema import heartbeats
from monitoring import read_yaml

ROOT = Path(__file__).parent.parent
_AGE = "time() - (dataexport_last_completed_timestamp_seconds{{{}}} > 0) > {}"
COMMON = {
    "age > 28.8 h for all": _AGE.format('frequency!="one-time"', 28.8 * HOUR),
    "age > 4.8 h for all": _AGE.format('frequency!="one-time"', 4.8 * HOUR),
    "age > 1.2 x its frequency": " or ".join(
        _AGE.format(f'frequency="{hours}h"', hours * 1.2 * HOUR) for hours in (4, 8, 12, 24)
    ),
}
"""Common alerts on the age of the last success: one threshold, or one per frequency."""
NO_LANDINGS = {"dataexport_landing_unannounced_timestamp_seconds"}
"""Metrics that a fleet without landings does not have; the expressions that name them expect that."""


def main() -> None:
    """Build the history, evaluate the rules over it, and print how they did."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, help="where the history is made and removed again")
    arguments.add_argument("--others", action="store_true", help="evaluate further alerts, of which none is judged")
    arguments.add_argument("--seed", type=int, default=SEED, help="another seed makes another month")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="confusion-", dir=options.folder) as folder:
        clean = run(Path(folder), options.seed, others=options.others)
    sys.exit(0 if clean else 1)


def run(folder: Path, seed: int, *, others: bool) -> bool:
    """Do so with the files in a folder; return True if every alert was right."""
    started_at = time.perf_counter()
    plans = fleet()
    faults = plant(plans, seed)
    webhooks = list(history(plans, SINCE, UNTIL, seed, outcomes(faults)))
    received = [webhook for webhook in webhooks if not OUTAGE[0] <= webhook.at < OUTAGE[1]]
    (folder / "dataexport.toml").write_text(CONFIG, "utf-8")
    settings = loader.load(folder / "dataexport.toml", {})
    store = f"sqlite:///{folder / 'dataexport.db'}"
    rules = [
        rule for group in read_yaml(ROOT / "alerts" / "dataexport.rules.yaml")["groups"] for rule in group["rules"]
    ]
    backfilled = {name for family in FAMILIES for name in (family.name, family.sample_name)}
    alerts, left_out = usable(rules, backfilled | NO_LANDINGS | {BUILD_INFO}, others=others)
    with closing(BatchingLedger(store)) as ledger:
        events = import_history(iter(received), ledger, settings, (SINCE, UNTIL))
        _record_heartbeats(store)
        backfill_input = BackfillInput(
            ledger, settings.sources_without_credentials, settings.exports, 200, tuple(REASONS)
        )
        prometheus = History(folder)
        names = {name for rule in alerts.values() for name in names_in(rule["expr"])}
        samples = prometheus.load(backfill_input, names | {"dataexport_last_completed_timestamp_seconds"})
    print(f"{events} events of {len(plans) + 1} exports, {samples} samples, {time.perf_counter() - started_at:.0f} s")
    truth = Truth(plans, faults, webhooks)
    expected, incidents = truth.expected()
    with prometheus.served():
        raised = {
            name: prometheus.episodes(name, rule["expr"], _seconds(rule.get("for", "0m")), _severity_of(rule))
            for name, rule in alerts.items()
        }
        common = {name: prometheus.episodes(name, rule) for name, rule in COMMON.items()}
    print(f"evaluated after {time.perf_counter() - started_at:.0f} s\n")
    clean = print_alerts(expected, raised, left_out, truth, webhooks)
    print_confusion(incidents, raised, common)
    return clean


def usable(
    rules: list[dict[str, Any]], known: set[str], *, others: bool
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the alerts on known metrics, with their recording rules expanded, and the names of the others."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}

    def expanded(expression: str) -> str:
        # A range of a rule that is recorded once a minute becomes a subquery with that step.
        def replacement(match: re.Match[str]) -> str:
            if match[1] not in recorded:
                return match[0]
            return f"({expanded(recorded[match[1]])})" + (f"[{match[2]}:1m]" if match[2] else "")

        return re.sub(r"\b(dataexport:[a-z0-9_]+)(?:\[(\w+)\])?", replacement, expression)

    alerts: dict[str, dict[str, Any]] = {}
    left_out = []
    for rule in rules:
        if "alert" not in rule:
            continue
        expression = expanded(rule["expr"])
        is_further = others and _severity_of(rule) != "info"
        if names_in(expression) <= known and (rule["alert"] in CORE or is_further):
            alerts[rule["alert"]] = rule | {"expr": expression}
        else:
            left_out.append(rule["alert"])
    return alerts, left_out


def _record_heartbeats(store: str) -> None:
    """Write heartbeats for the whole month, except the outage of an hour."""
    engine = create_engine(store)
    rows = [(SINCE, OUTAGE[0]), (OUTAGE[1], UNTIL)]
    with engine.begin() as connection:
        for started, seen in rows:
            row = {"instance_id": "listening", "epoch": 0, "started_us": int(started * 1e6)}
            connection.execute(insert(heartbeats), [row | {"last_seen_us": int(seen * 1e6)}])
    engine.dispose()


def _severity_of(rule: dict[str, Any]) -> str:
    """Return the severity that a rule sets; empty if its series carry that of the export."""
    severity: str = rule.get("labels", {}).get("severity", "")
    return severity


def _seconds(duration: str) -> float:
    return float(duration[:-1]) * {"s": 1, "m": MINUTE, "h": HOUR}[duration[-1]]


if __name__ == "__main__":
    main()
