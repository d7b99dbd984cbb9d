"""The rules work on what collectors write, with the snippets of docs/how-to/monitoring-stacks.md."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from monitoring import ROOT, clean_environment, find_tool, prometheus_command, started, stop
from ports import free_port
from running import wait_until
from running_here import LocalExporter
from tools import program, tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stacks

PAGE = ROOT / "docs" / "how-to" / "monitoring-stacks.md"
TOKEN = "a-made-up-token-of-the-admin"
CONFIG = f"""
[server]
admin_tokens = ["{TOKEN}"]

[[sources]]
slug = "shop"
timezone = "UTC"

[[exports]]
name = "nightly-s3"
source = "shop"
match = {{ partner = "Amazon S3" }}
interval = "24h"
first_expected = 2026-01-01T00:00:00Z
"""


@dataclass(frozen=True)
class Collector:
    """A program that scrapes the exporter and writes what it reads to Prometheus.

    Attributes:
        heading: the section of the page that has its configuration.
        command: the command that runs it; ``{config}``, ``{folder}`` and ``{port}`` are replaced.
        token_file: the file with the token, as the page names it.
        write_url: the URL to write to, as the page names it.
        job: what names the job in the configuration.
        every_second: what lets the collector scrape every second, which comes after ``job``.
    """

    heading: str
    command: tuple[str, ...]
    token_file: str
    write_url: str
    job: str
    every_second: str

    def configure(self, folder: Path, exporter: LocalExporter, prometheus_url: str) -> Path:
        """Write its configuration and the token, and return the path of the configuration."""
        snippet = re.search(
            rf"^## {re.escape(self.heading)}\n\n```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        assert snippet is not None
        text = snippet[1]
        for shown, here in (
            ("127.0.0.1:10047", f"127.0.0.1:{exporter.admin_port}"),
            (self.write_url, f"{prometheus_url}/api/v1/write"),
            (self.token_file, str(folder / "token")),
            (self.job, self.job + self.every_second),
        ):
            assert shown in text
            text = text.replace(shown, here)
        (folder / "token").write_text(TOKEN, "utf-8")
        config = folder / "collector-config"
        config.write_text(text, "utf-8")
        return config


OPENTELEMETRY = Collector(
    "OpenTelemetry Collector",
    ("otelcol", "--config={config}"),
    "/etc/otelcol/dataexport-admin-token",
    "https://PROMETHEUS/api/v1/write",
    "job_name: dataexport",
    "\n          scrape_interval: 1s",
)
ALLOY = Collector(
    "Grafana Alloy, with Mimir or Grafana Cloud",
    (
        "alloy",
        "run",
        "--disable-reporting",
        "--storage.path={folder}/alloy",
        "--server.http.listen-addr=127.0.0.1:{port}",
        "{config}",
    ),
    "/etc/alloy/dataexport-admin-token",
    "https://MIMIR/api/v1/push",
    'job_name   = "dataexport"',
    '\n  scrape_interval = "1s"\n  scrape_timeout = "1s"',
)


def test_the_rules_work_on_what_the_opentelemetry_collector_writes(tmp_path: Path) -> None:
    wait_for_alert(OPENTELEMETRY, program("otelcol"), tmp_path)


def test_the_rules_work_on_what_grafana_alloy_writes(tmp_path: Path) -> None:
    alloy = find_tool("alloy")
    if alloy is None:  # also with CI=true: unlike other tools, scripts/install-tools cannot get it
        pytest.skip("alloy is not there; install Grafana's package")
    wait_for_alert(ALLOY, alloy, tmp_path)


def wait_for_alert(collector: Collector, path: str, folder: Path) -> None:
    """Run an exporter, a collector and Prometheus, until an alert fires."""
    tool("prometheus")
    prometheus_url = f"http://127.0.0.1:{free_port()}"
    prometheus = folder / "prometheus.yaml"
    rules = [str(ROOT / "alerts" / "dataexport.rules.yaml")]
    prometheus.write_text(yaml.safe_dump({"global": {"evaluation_interval": "1s"}, "rule_files": rules}), "utf-8")
    command = [*prometheus_command(prometheus, folder / "data", prometheus_url), "--web.enable-remote-write-receiver"]
    with (
        LocalExporter(folder, CONFIG) as exporter,
        started("prometheus", command, folder, prometheus_url),
        (folder / "collector.log").open("wb") as log,
    ):
        config = collector.configure(folder, exporter, prometheus_url)
        arguments = [each.format(config=config, folder=folder, port=free_port()) for each in collector.command[1:]]
        process = subprocess.Popen([path, *arguments], env=clean_environment({}), stdout=log, stderr=log)
        try:
            wait_until(lambda: firing(exporter, prometheus_url) == ["nightly-s3"], "the alert")
        finally:
            stop(process)


def firing(exporter: LocalExporter, prometheus_url: str) -> list[str]:
    """Return the exports of which Prometheus says that they never completed, if it regards the exporter as up."""
    alert = 'ALERTS{alertname="ExportNeverCompleted", alertstate="firing", job="dataexport", severity="critical"}'
    query = f"{alert} and on (job) dataexport:target_up_5m == 1"
    answer = exporter.http.get(f"{prometheus_url}/api/v1/query", params={"query": query})
    return [series["metric"]["export"] for series in answer.json()["data"]["result"]]
