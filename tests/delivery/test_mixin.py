"""The mixin has the rules and dashboards that everybody loads, with your addresses and changes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import _jsonnet

from monitoring import read_yaml
from tools import tool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alerts" / "dataexport.rules.yaml"


def evaluate(field: str, config: str = "{}") -> Any:  # noqa: ANN401 - any JSON
    """Return a field of the mixin, with some of its configuration changed.

    Args:
        field: such as ``prometheusAlerts``.
        config: an object in Jsonnet.
    """
    mixin = f"((import 'mixin/mixin.libsonnet') + {{ _config+:: {config} }}).{field}"
    return json.loads(_jsonnet.evaluate_snippet("test", mixin, import_callback=read))


def read(folder: str, name: str) -> tuple[str, bytes]:
    path = (ROOT / folder / name).resolve()
    return str(path), path.read_bytes()


def test_as_it_comes_it_has_the_shipped_rules() -> None:
    assert evaluate("prometheusAlerts") == read_yaml(RULES)


def test_addresses_are_replaced_everywhere() -> None:
    config = "{ runbookURL: 'https://wiki.example/r', grafanaURL: 'https://g.example' }"
    text = json.dumps(evaluate("prometheusAlerts", config))
    assert "github.com/dataexport" not in text
    assert "https://grafana.example" not in text
    assert "https://wiki.example/r/ExportOverdue.md" in text


def test_one_alert_can_be_changed_and_prometheus_accepts_the_result(tmp_path: Path) -> None:
    config = "{ alerts: { ExportRunSlow: { 'for': '1h', labels+: { severity: 'info', team: 'data' } } } }"
    rules = evaluate("prometheusAlerts", config)
    [slow] = [rule for group in rules["groups"] for rule in group["rules"] if rule.get("alert") == "ExportRunSlow"]
    assert slow["for"] == "1h"
    assert slow["labels"] == {"severity": "info", "team": "data"}
    (tmp_path / "rules.json").write_text(json.dumps(rules), "utf-8")
    subprocess.run([tool("promtool"), "check", "rules", tmp_path / "rules.json"], check=True, capture_output=True)


def test_it_has_every_dashboard() -> None:
    dashboards = evaluate("grafanaDashboards")
    assert dashboards == {
        path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "grafana" / "dashboards").glob("*.json")
    }
