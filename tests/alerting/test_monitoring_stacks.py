"""The snippets of docs/how-to/monitoring-stacks.md work, as far as the programs are there."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from monitoring import ROOT, clean_environment, find_tool, prometheus_command, started, stop
from ports import free_port
from running import wait_until
from running_here import LocalExporter
from tools import tool

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.proof
def test_the_rules_work_on_what_the_opentelemetry_collector_writes(tmp_path: Path) -> None:
    collector = find_tool("otelcol")
    if collector is None:  # also in CI, because it takes minutes to build
        pytest.skip("the OpenTelemetry Collector is not there; scripts/install-tools otelcol builds it")
    prometheus_url = f"http://127.0.0.1:{free_port()}"
    rules = tmp_path / "prometheus.yaml"
    rules.write_text(
        yaml.safe_dump(
            {
                "global": {"evaluation_interval": "1s"},
                "rule_files": [str(ROOT / "alerts" / "dataexport.rules.yaml")],
            }
        ),
        "utf-8",
    )
    command = [*prometheus_command(rules, tmp_path / "data", prometheus_url), "--web.enable-remote-write-receiver"]
    tool("prometheus")
    (tmp_path / "token").write_text(TOKEN, "utf-8")
    with (
        LocalExporter(tmp_path, CONFIG) as exporter,
        started("prometheus", command, tmp_path, prometheus_url),
        (tmp_path / "otelcol.log").open("wb") as log,
    ):
        snippet = re.search(
            r"^## OpenTelemetry Collector\n\n```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        assert snippet is not None
        text = snippet[1]
        for shown, here in (
            ("127.0.0.1:10047", f"127.0.0.1:{exporter.admin_port}"),
            ("https://PROMETHEUS", prometheus_url),
            ("/etc/otelcol/dataexport-admin-token", str(tmp_path / "token")),
            ("job_name: dataexport", "job_name: dataexport\n          scrape_interval: 1s"),
        ):
            assert shown in text
            text = text.replace(shown, here)
        (tmp_path / "otelcol.yaml").write_text(text, "utf-8")
        process = subprocess.Popen(
            [collector, f"--config={tmp_path / 'otelcol.yaml'}"], env=clean_environment({}), stdout=log, stderr=log
        )
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
