"""The generated rules load in Prometheus, and notice a declared export that is not there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from exporter.cli.alert_rules import DASHBOARDS, RUNBOOKS
from exporter.cli.main import main
from monitoring import ROOT, read_yaml
from tools import tool

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = r"""
[[sources]]
slug = "prod"

[[exports]]
name = "nightly"
source = "prod"
match = { partner = "Amazon S3", frequency = "24h" }
owner = "data-platform"
runbook_url = "https://wiki.example/nightly"

[[exports]]
name = 'a "quoted" \ näme 🚚 with {{ braces }}: #1'
source = "prod"
match = { partner = "Amazon S3", frequency = "24h" }
owner = "{{ nobody \"knows\" }}"
"""
SERIES = 'dataexport_export_info{job="dataexport",instance="a:10047",source="prod",export=%s,declared="true"}'
SHIPPED = read_yaml(ROOT / "alerts" / "dataexport.rules.yaml")
STRANGE = 'a "quoted" \\ näme 🚚 with {{ braces }}: #1'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dataexport.toml"
    path.write_text(CONFIG, "utf-8")
    return path


def rules(config: Path, *arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, ["rules", "--config", str(config), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alert(export: str, **labels: str) -> dict[str, Any]:
    details = "".join(
        text
        for name, text in (
            ("owner", f" Owner: {labels.get('owner')}."),
            ("runbook_url", f" Its own runbook: {labels.get('runbook_url')}"),
        )
        if name in labels
    )
    return {
        "exp_labels": {"severity": "warning", "job": "dataexport", "source": "prod", "export": export} | labels,
        "exp_annotations": {
            "summary": "A declared export has no series.",
            "description": f"Prometheus has had no series of export {export} of prod for 15 minutes or more, "
            f"although it was declared. It is not monitored.{details}",
            "runbook_url": f"{RUNBOOKS}/ExportDeclaredAbsent.md",
            "dashboard_url": f"{DASHBOARDS}/d/dataexport-overview?var-source=prod",
        },
    }


def test_a_declared_export_that_vanishes_is_told_by_name_and_one_that_is_there_is_not(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "declared.rules.yaml").write_text(rules(config, "--declared"), "utf-8")
    there = {"series": SERIES % '"nightly"', "values": "1x30 stale _x60"}
    restarted = {"series": SERIES % json.dumps(STRANGE, ensure_ascii=False), "values": "1x30 stale _x9 1x20 stale"}
    nightly = alert("nightly", owner="data-platform", runbook_url="https://wiki.example/nightly")
    strange = alert(STRANGE, owner='{{ nobody "knows" }}')
    checks = {0: [], 44: [], 49: [nightly], 70: [nightly], 80: [nightly, strange]}
    test = {
        "rule_files": ["declared.rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [there, restarted],
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": "ExportDeclaredAbsent", "exp_alerts": alerts}
                    for minute, alerts in checks.items()
                ],
            },
            {
                "interval": "1m",
                "input_series": [],
                "alert_rule_test": [
                    {"eval_time": "1m", "alertname": "ExportDeclaredAbsent"},
                    {"eval_time": "2m", "alertname": "ExportDeclaredAbsent", "exp_alerts": [nightly, strange]},
                ],
            },
        ],
    }
    path = tmp_path / "declared.test.yaml"
    path.write_text(yaml.safe_dump(test, allow_unicode=True), "utf-8")

    promtool("check", "rules", tmp_path / "declared.rules.yaml")
    promtool("test", "rules", path)


def test_without_options_the_rules_are_the_shipped_ones(config: Path) -> None:
    assert yaml.safe_load(rules(config)) == SHIPPED


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        (("--job", "exports"), 'job="dataexport"', 'job="exports"'),
        (("--job", 'a: "b" #c\\'), 'job="dataexport"', r'job="a: \"b\" #c\\"'),
        (("--runbook-url", "https://wiki.example/r#b/"), f"{RUNBOOKS}/", "https://wiki.example/r#b/"),
        (("--dashboard-url", "http://grafana.intern:3000/x"), f"{DASHBOARDS}/", "http://grafana.intern:3000/x/"),
    ],
)
def test_an_option_changes_only_its_own_part_of_every_rule(
    config: Path, tmp_path: Path, options: tuple[str, ...], before: str, after: str
) -> None:
    path = tmp_path / "adapted.rules.yaml"
    path.write_text(rules(config, "--declared", *options), "utf-8")

    adapted = read_yaml(path)

    assert adapted == replaced(yaml.safe_load(rules(config, "--declared")), before, after)
    assert before not in str(adapted)
    promtool("check", "rules", path)


def replaced(value: Any, before: str, after: str) -> Any:  # noqa: ANN401 - any part of a document
    """Replace a text in every text of a document."""
    if isinstance(value, dict):
        return {key: replaced(each, before, after) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, before, after) for each in value]
    return value.replace(before, after) if isinstance(value, str) else value


@pytest.mark.parametrize("option", ["--runbook-url", "--dashboard-url"])
@pytest.mark.parametrize("address", ["wiki", "ftp://wiki", "https://", "https://a b", "https://{{ x }}", 'https://"'])
def test_what_is_no_address_is_refused(option: str, address: str) -> None:
    result = CliRunner().invoke(main, ["rules", option, address])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': {address!r} is not an address; give one such as https://" in result.stderr


def test_no_declared_export_is_no_rule(tmp_path: Path) -> None:
    config = tmp_path / "dataexport.toml"
    config.write_text("", "utf-8")
    path = tmp_path / "declared.rules.yaml"
    path.write_text(rules(config, "--declared"), "utf-8")
    assert read_yaml(path)["groups"][-1] == {"name": "dataexport-declared", "rules": []}
    promtool("check", "rules", path)


def test_its_runbook_is_there() -> None:
    assert (ROOT / "docs" / "runbooks" / "ExportDeclaredAbsent.md").is_file()


def test_an_export_without_owner_and_runbook_is_told_without_them(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text('[[exports]]\nname = "plain"\nmatch = { partner = "Amazon S3", frequency = "24h" }\n', "utf-8")

    [*_, group] = yaml.safe_load(rules(path, "--declared"))["groups"]

    assert group["rules"][0]["labels"] == {"severity": "warning"}
    assert "wner" not in group["rules"][0]["annotations"]["description"]
