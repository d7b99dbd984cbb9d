"""An exporter with a made-up past, a bucket with files of one export, and a Prometheus that scrapes the exporter.

The past of exports, sources and landed files is the exporter's own: ``simulate`` and ``backfill``. What a process
counts for itself, duplicates and test calls have no past; it is drawn as a straight line between
two scrapes, one before and one after some traffic.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

import requests
from prometheus_client.parser import text_string_to_metric_families

from bucket_server import BUCKET, bucket_server
from exporter.cli import simulation
from exporter.cli.backfill import FAMILIES
from exporter.config.loader import load
from exporter.config.variables import REVISION_VARIABLE
from exporter.domain.events import COMPLETED
from exporter.domain.exports import Selection
from exporter.ingest.intake import Intake
from exporter.ingest.vendors.clevertap_samples import sample_body
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.landing_families import LANDING_FAMILIES
from monitoring import clean_environment, find_tool, prometheus_command, started, wait_for
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

HOUR, DAY = 3600, 86400
STEP_SECONDS = 60
SEED = 1
LIMIT_SECONDS = 600
CONFIG = """
[server]
webhook_listen = "127.0.0.1:{webhook}"
admin_listen = "127.0.0.1:{admin}"

[store]
url = "sqlite:///{database}"

[[sources]]
slug = "app"
timezone = "Europe/Berlin"

[[sources]]
slug = "shop"
timezone = "Asia/Kolkata"

"""
DECLARED = """
[[exports]]
name = "nightly-s3"
source = "app"
match = {{ partner = "Amazon S3", frequency = "24h" }}
owner = "data-platform"
runbook_url = "https://wiki.example/nightly-s3"

[[exports]]
name = "warehouse"
source = "shop"
match = {{ partner = "{partner}", data_type = "{data_type}", frequency = "4h" }}
owner = "analytics"
runbook_url = "https://wiki.example/warehouse"

[exports.landing]
url = "s3://{bucket}/warehouse/"
endpoint = "{store}"
region = "us-east-1"
anonymous = true

[[exports]]
name = "old-project"
source = "shop"
match = {{ frequency = "12h" }}
owner = "analytics"
muted_until = {muted:%Y-%m-%dT%H:%M:%SZ}

[[exports]]
name = "new-bucket"
source = "app"
match = {{ partner = "Google Cloud Storage", frequency = "1h" }}
owner = "growth"
first_expected = {first:%Y-%m-%dT%H:%M:%SZ}
"""
LONG_NAME = """
[[exports]]
name = "{name:-<128}"
source = "app"
match = {{ partner = "Microsoft Azure", frequency = "24h" }}
owner = "data-platform"
"""
FILE_BYTES, EVENTS_WITH_FILES = 48_000_000, 40
EXPORTS_FOR_DECLARED_ONES = 8
"""So many made-up exports have those that the declarations match."""
VARIABLES = {REVISION_VARIABLE: "0a1b2c3"}
NOT_UNDERSTOOD = {"Export Request Id": 1, "Partner": "AWS S3", "Type": "Events", "Frequency": "Daily"}


class Stand:
    """The two of them, on free loopback ports.

    Args:
        folder: for everything that they keep.
        exports: how many are made up.
        days: how much of a past they have.
        long_name: whether one of them has a name as long as names can be.
        step: seconds between two samples of the past.
    """

    def __init__(
        self, folder: Path, exports: int, days: int, *, long_name: bool = False, step: int = STEP_SECONDS
    ) -> None:
        self.folder = folder
        self.exports = exports
        self.days = days
        self.has_declared = exports >= EXPORTS_FOR_DECLARED_ONES
        self._long_name = long_name
        self._step = step
        self._webhook, self._admin = free_port(), free_port()
        self.exporter = f"127.0.0.1:{self._admin}"
        self.prometheus_url = f"http://127.0.0.1:{free_port()}"
        self._config = folder / "dataexport.toml"
        self._completions: list[float] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            bucket = stack.enter_context(bucket_server())
            self._fill(bucket.url)
            for number, completed_at in enumerate(self._completions):
                bucket.put(f"warehouse/{number}.csv.gz", FILE_BYTES, completed_at)
            stack.enter_context(
                started("exporter", self._command("serve"), self.folder, f"http://{self.exporter}", VARIABLES)
            )
            before = self._scrape()
            if self.exports:
                self._talk()
            self._backfill(before, self._scrape())
            stack.enter_context(started("prometheus", self._prometheus(), self.folder, self.prometheus_url))
            wait_for(self._scraped, "the first scrapes")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def states(self) -> list[dict[str, Any]]:
        """What the exporter itself says of each export."""
        said: list[dict[str, Any]] = json.loads(self._run(self._command("exports", "--json")))
        return said

    def _command(self, *arguments: str) -> list[str]:
        name, *options = arguments
        return [
            str(Path(sys.executable).with_name("dataexport-exporter")),
            name,
            "--config",
            str(self._config),
            *options,
        ]

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environment(VARIABLES),
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        if done.returncode:
            message = f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
            raise RuntimeError(message)
        return done.stdout

    def _fill(self, store: str) -> None:
        now = time.time()
        database = self.folder / "history.db"
        sources = [("app", ZoneInfo("Europe/Berlin")), ("shop", ZoneInfo("Asia/Kolkata"))]
        config = CONFIG.format(webhook=self._webhook, admin=self._admin, database=database)
        if self.has_declared:
            plans = simulation.fleet(self.exports, sources, now, SEED)
            warehouse = next(plan for plan in plans if plan.source == "shop" and plan.interval == 4 * HOUR)
            config += DECLARED.format(
                partner=warehouse.partner,
                data_type=warehouse.data_type.lower(),
                bucket=BUCKET,
                store=store,
                muted=datetime.fromtimestamp(now + DAY, UTC),
                first=datetime.fromtimestamp(now - DAY / 2, UTC),
            )
        if self._long_name:
            config += LONG_NAME.format(name="a-name-as-long-as-names-can-be")
        self._config.write_text(config, "utf-8")
        if not self.exports:
            return
        self._run(
            self._command(
                "simulate",
                f"--store=sqlite:///{database}",
                f"--exports={self.exports}",
                f"--days={self.days}",
                f"--seed={SEED}",
                "--late=0.01",
                "--missed=0.005",
                "--stuck=0.01",
            )
        )
        settings = load(self._config, {})
        with closing(SqlLedger(f"sqlite:///{database}")) as ledger:
            intake = Intake(ledger, settings.limits.event_bytes)
            for count, hours in enumerate((3, 9, 20)):
                body = json.dumps(NOT_UNDERSTOOD | {"Date and Time": str(count)})
                intake.ingest(settings.sources_without_credentials["shop"], body.encode(), now - hours * HOUR)
            failed = _one_time("Failed", "Microsoft Azure", "Audit", 2, now - 6 * HOUR)
            intake.ingest(settings.sources_without_credentials["app"], failed.encode(), now - 6 * HOUR)
            if self.has_declared:
                of_warehouse = Selection(
                    "shop", partner=warehouse.partner, data_type=warehouse.data_type, frequency="4h"
                )
                newest = islice(ledger.select_newest_first(of_warehouse, sys.maxsize), EVENTS_WITH_FILES)
                self._completions = [event.occurred_at for event in newest if event.status == COMPLETED]

    def _scrape(self) -> list[Metric]:
        answer = requests.get(f"http://{self.exporter}/metrics", timeout=LIMIT_SECONDS)
        answer.raise_for_status()
        return list(text_string_to_metric_families(answer.text))

    def _talk(self) -> None:
        """Post a little of everything."""
        webhook = f"http://127.0.0.1:{self._webhook}/webhooks/clevertap"
        now = time.time()
        good = _one_time("Completed", "Amazon S3", "Events", int(now), now)
        for path, body in (
            *(("app", good),) * 5,
            ("shop", json.dumps({"is_test": True})),
            ("shop", json.dumps(NOT_UNDERSTOOD)),
            ("shop", "no JSON"),
            ("nobody", good),
        ):
            requests.post(f"{webhook}/{path}", body, timeout=LIMIT_SECONDS)

    def _backfill(self, before: list[Metric], after: list[Metric]) -> None:
        history = self.folder / "history.om"
        end = int(time.time())
        if self.exports:
            self._run(self._command("backfill", f"--output={history}", f"--step={self._step}"))
            # Its last line is for the end of the file; the rest of a month of many exports does not fit into memory.
            os.truncate(history, history.stat().st_size - len("# EOF\n"))
        with history.open("a", encoding="utf-8") as file:
            file.writelines(_past(before, after, end))
            file.write("# EOF\n")
        self._run(
            [
                find_tool("promtool") or "promtool",
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "--label=job=dataexport",
                f"--label=instance={self.exporter}",
                "--max-block-duration=720h",
                "--quiet",
                str(history),
                str(self.folder / "prometheus"),
            ]
        )

    def _prometheus(self) -> list[str]:
        config = self.folder / "prometheus.yaml"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "2s"},
                    "scrape_configs": [{"job_name": "dataexport", "static_configs": [{"targets": [self.exporter]}]}],
                }
            ),
            "utf-8",
        )
        # As usual, or as long as samples are apart.
        looks_back = max(300, self._step + 60)
        command = prometheus_command(config, self.folder / "prometheus", self.prometheus_url)
        return [*command, f"--query.lookback-delta={looks_back}s"]

    def _scraped(self) -> bool:
        query = {"query": 'count_over_time(up{job="dataexport"}[1m]) >= 3'}
        answer = requests.get(f"{self.prometheus_url}/api/v1/query", query, timeout=LIMIT_SECONDS)
        return bool(answer.json()["data"]["result"])


def _one_time(status: str, partner: str, data_type: str, request_id: int, at: float) -> str:
    """Make a body about a one-time export, with its local time in the time zone of the source "app"."""
    return sample_body(
        status=status,
        partner=partner,
        data_type=data_type,
        frequency="One Time",
        request_id=str(request_id),
        local_time=datetime.fromtimestamp(at, ZoneInfo("Europe/Berlin")),
    )


def _past(before: list[Metric], after: list[Metric], end: int) -> Iterator[str]:
    """A day of what has no past: counters grow evenly from one scrape to the other."""
    old = {(each.name, frozenset(each.labels.items())): each.value for family in before for each in family.samples}
    told = {family.name for family in FAMILIES + LANDING_FAMILIES}
    for family in after:
        if family.name in told or not family.name.startswith(("dataexport_", "process_")):
            continue
        kind = family.type if family.type in {"counter", "histogram"} else "gauge"
        yield f"# TYPE {family.name} {kind}\n"
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            first = old.get((sample.name, frozenset(sample.labels.items())), 0.0)
            for at in range(end - DAY, end, STEP_SECONDS):
                grown = (sample.value - first) * (1 - (end - at) / DAY) if kind != "gauge" else sample.value - first
                yield f"{sample.name}{{{labels}}} {first + grown} {at}\n"
