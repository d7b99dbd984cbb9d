"""The alerts and their runbooks name only what exists, and leave out nothing that they promise."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter.cli.main import COMMANDS
from exporter.metrics.families import EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.landing_families import LANDING_FAMILIES
from exporter.metrics.process_metrics import ProcessMetrics
from monitoring import ROOT, read_yaml
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = [rule for group in read_yaml(ROOT / "alerts" / "dataexport.rules.yaml")["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDS = {rule["record"]: rule for rule in RULES if "record" in rule}
TESTS = [test for path in sorted((ROOT / "alerts" / "tests").glob("*.test.yaml")) for test in read_yaml(path)["tests"]]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("Export*.md"))
TRIAGE = ROOT / "docs" / "runbooks" / "README.md"
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "When to mute"]
SEVERITIES = {"critical", "warning", "info", "none"}
OWN_SEVERITY = {"ExportOverdue", "ExportNeverCompleted", "ExportNothingLanded"}
"""The alerts with the severity of the export as it is configured."""
PER_EXPORT = {"source", "export", "partner", "data_type", "frequency"}


def metrics() -> Iterator[str]:
    """The name of every sample of our own in a scrape."""
    families = [(family.sample_name, family.kind) for family in EXPORT_FAMILIES + LANDING_FAMILIES + SOURCE_FAMILIES]
    own = [
        (f"{each.name}_total" if each.type == "counter" else each.name, each.type)
        for each in ProcessMetrics().registry.collect()
    ]
    for name, kind in families + own:
        yield name
        if kind == "histogram":
            yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))


def severity(name: str) -> str:
    """The severity of an alert, or ``own`` if it is that of the export."""
    if name in OWN_SEVERITY:
        assert "labels" not in ALERTS[name]
        return "own"
    label: str = ALERTS[name]["labels"]["severity"]
    return label


def named_metrics(text: str) -> set[str]:
    """Everything in ``text`` that is written as a metric or a record of ours."""
    text = re.sub(r"\^dataexport_(\w*)\(([\w|]+)\)(\w*)", _spelled_out, text)
    return set(re.findall(r"\bdataexport[_:][a-z0-9_]+", text))


def _spelled_out(match: re.Match[str]) -> str:
    """A search for one of several names, as a list of the metrics that it finds."""
    before, words, after = match.groups()
    starts = [f"dataexport_{before}{word}{after}" for word in words.split("|")]
    return " ".join(
        name for start in starts for name in [each for each in metrics() if each.startswith(start)] or [start]
    )


def queries(text: str) -> list[str]:
    """The queries of a runbook: blocks, one a line, and what is written in a line of text."""
    blocks = re.findall(r"^ *```promql\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]*dataexport[_:][^`\n]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_rules_name_only_metrics_and_records_that_exist() -> None:
    known = {*metrics(), *RECORDS}
    assert {name for rule in RULES for name in named_metrics(rule["expr"])} <= known


def test_no_record_is_without_use_but_those_that_people_look_at() -> None:
    used = {name for rule in RULES for name in named_metrics(rule["expr"])}
    read = {name for page in RUNBOOKS for name in named_metrics(page.read_text("utf-8"))}
    assert set(RECORDS) <= used | read


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_says_what_whose_and_where_to_look(name: str) -> None:
    rule = ALERTS[name]
    said = rule["annotations"]
    assert severity(name) in SEVERITIES | {"own"}
    assert set(said) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "{{" not in said["summary"]
    assert re.fullmatch(r"[A-Z][^.]*\.", said["summary"]), "one sentence"
    assert said["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
    assert said["dashboard_url"].startswith("https://grafana.example/d/dataexport-")
    if "$labels.export" in said["description"]:
        assert "$labels.source" in said["description"]
        assert "$labels.owner" in said["description"]
    # An age stands in the expression, where a restart of Prometheus does not begin it again.
    assert rule.get("for", "0m") in {"0m", "1m", "2m"}
    assert "process_start_time" not in rule["expr"]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_is_seen_to_fire_with_its_text_and_to_stay_silent(name: str) -> None:
    checks = [each for test in TESTS for each in test.get("alert_rule_test", []) if each["alertname"] == name]
    assert any(each.get("exp_alerts") for each in checks)
    silent = [
        check
        for test in TESTS
        for check in test.get("promql_expr_test", [])
        if "ALERTS" in check["expr"]
        and name not in json.dumps(check.get("exp_samples", []))
        and name not in re.findall(r"\w+", check["expr"].replace(f'alertname="{name}"', ""))
    ]
    assert silent or name == "ExportWatchdog"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_has_a_runbook(name: str) -> None:
    assert ROOT / "docs" / "runbooks" / f"{name}.md" in RUNBOOKS


def test_every_alert_is_in_the_table_with_its_severity() -> None:
    table = dict(re.findall(r"^\| \[`(\w+)`\]\(\1\.md\) \| (\w+) \|", TRIAGE.read_text("utf-8"), re.MULTILINE))
    of_commands = {"ExportDeclaredAbsent": "warning", "ExportTestPage": "critical"}
    assert table == {name: severity(name) for name in ALERTS} | of_commands


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_every_runbook_begins_with_a_decision_and_links_to_how_its_commands_are_run(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}\n\n**")
    assert "](../how-to/run-the-cli.md" in text


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_every_runbook_has_its_parts_and_names_only_what_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == HEADINGS
    assert named_metrics(text) <= {*metrics(), *RECORDS}
    for command in re.findall(r"dataexport-exporter ([a-z-]+)", text):
        assert command in COMMANDS, command
    for target in re.findall(r"\]\(([^):]+\.md)\)", text):
        assert (page.parent / target).is_file(), target
    [diagnosis] = re.findall(r"^## Diagnosis\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert "```" in diagnosis or "`" in diagnosis, "a query or a command"


def test_every_query_of_a_runbook_can_be_asked(tmp_path: Path) -> None:
    found: list[dict[str, Any]] = [
        {"record": f"runbook:{page.stem}_{number}", "expr": query}
        for page in RUNBOOKS
        for number, query in enumerate(queries(page.read_text("utf-8")))
        if not re.search(r"-exporter|curl|\.toml|\.db|muted_until|\*$", query)
    ]
    assert len(found) > len(RUNBOOKS)
    path = tmp_path / "queries.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": found}]}), "utf-8")
    done = subprocess.run([tool("promtool"), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
