"""The alerts for Grafana's own alerting: the Prometheus alerts, without recording rules."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataexport_dashboards import alerting
from monitoring import read_yaml
from tools import tool

ROOT = Path(__file__).parents[2]
PROVISIONING = ROOT / "grafana" / "provisioning"
GIVEN = {rule["alert"]: rule for group in alerting.groups() for rule in group["rules"] if "alert" in rule}
GRAFANA = {
    rule["title"]: rule
    for group in read_yaml(PROVISIONING / "alerting" / "dataexport.yaml")["groups"]
    for rule in group["rules"]
}
RULE_TESTS = sorted((ROOT / "alerts" / "tests").glob("*.test.yaml"))

each_alert = pytest.mark.parametrize("name", list(GIVEN))


def without_guards(text: str) -> str:
    """A text of Grafana's as Prometheus has it: a value and a label need no guard there."""
    text = re.sub(r"\{\{ with \$values\.A \}\}\{\{ \.Value([^}]*) \}\}\{\{ end \}\}", r"{{ $value\1 }}", text)
    return re.sub(
        r'\{\{ with (\$labels\.\w+) \}\}\{\{ \. \}\}\{\{ else \}\}\{\{ ("[^"]*") \}\}\{\{ end \}\}',
        r"{{ or \1 \2 }}",
        text,
    )


def thresholds(expression: str) -> list[str]:
    """Each comparison with a number, such as ``> 0.9``."""
    return re.findall(r"[<>=!]=?\s*-?[\d.]+(?:e-?\d+)?", expression)


def test_every_alert_is_there() -> None:
    assert list(GRAFANA) == list(GIVEN)
    assert len({rule["uid"] for rule in GRAFANA.values()}) == len(GRAFANA)


@each_alert
def test_an_alert_means_the_same(name: str) -> None:
    rule, given = GRAFANA[name], GIVEN[name]
    assert rule["labels"] == given.get("labels", {})
    assert rule["for"] == given.get("for", "0s")
    assert len(rule["uid"]) <= 40


@each_alert
def test_an_alert_has_the_same_texts_and_thresholds(name: str) -> None:
    rule, given = GRAFANA[name], GIVEN[name]
    texts = {key: without_guards(text) for key, text in rule["annotations"].items()}
    assert texts == given["annotations"]
    query, condition = rule["data"]
    assert Counter(thresholds(given["expr"])) <= Counter(thresholds(query["model"]["expr"]))
    # Grafana adds no threshold of its own: an alert fires for each result, whatever its value.
    assert condition["model"]["expression"] == "is_number($A)"


@each_alert
def test_an_alert_needs_no_recording_rule_and_no_environment(name: str) -> None:
    query, condition = GRAFANA[name]["data"]
    assert "dataexport:" not in query["model"]["expr"]
    # Grafana would put environment variables in here; in annotations it does not.
    assert "$" not in query["model"]["expr"]
    assert "$" not in str(GRAFANA[name]["labels"])
    assert (GRAFANA[name]["condition"], condition["refId"]) == ("B", "B")


@each_alert
def test_an_alert_computes_again_what_the_guide_says(name: str) -> None:
    query, _ = GRAFANA[name]["data"]
    ranges = set(re.findall(r"\[(\w+):\w+\]", query["model"]["expr"]))
    assert ranges <= ({"15m", "1d"} if name == "ExportEventsQuarantined" else {"15m"})
    assert (GRAFANA[name]["noDataState"], GRAFANA[name]["execErrState"]) == ("OK", "Error")


@each_alert
def test_a_text_uses_the_value_only_where_there_is_one(name: str) -> None:
    for key, text in GRAFANA[name]["annotations"].items():
        # Grafana fills texts in while nothing fires, too: an error, then, and the raw template as the text.
        assert not re.search(r"\$value\b", text)
        guarded = re.sub(r"\{\{ with \$values\.A \}\}\{\{ \.Value(?: \| [^}]*)? \}\}\{\{ end \}\}", "", text)
        assert "$values" not in guarded
        assert ("$value" in text) == ("$value" in GIVEN[name]["annotations"][key])


def test_alerts_and_dashboards_ask_the_data_source_that_is_provided() -> None:
    [source] = read_yaml(PROVISIONING / "datasources" / "dataexport.yaml")["datasources"]
    assert source["uid"] == alerting.DATASOURCE_UID
    assert {rule["data"][0]["datasourceUid"] for rule in GRAFANA.values()} == {source["uid"]}


@pytest.fixture
def inlined_rules(tmp_path: Path) -> Path:
    """The alerts as Grafana asks for them, in a Prometheus rule file."""
    path = tmp_path / "dataexport.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": alerting.inlined_groups()}), "utf-8")
    return path


def of_alerts(test: dict[str, Any]) -> dict[str, Any]:
    """A rule test without what it asks of recording rules, by their names or a pattern of names."""
    recorded = re.compile(r'dataexport:|__name__=~"[^"]*:')
    checks = [each for each in test.get("promql_expr_test", []) if not recorded.search(each["expr"])]
    return test | {"promql_expr_test": checks}


@pytest.mark.proof
@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in RULE_TESTS])
def test_the_alerts_fire_and_stay_silent_as_the_prometheus_alerts_do(path: Path, inlined_rules: Path) -> None:
    promtool = tool("promtool")
    content = read_yaml(path)
    content["rule_files"] = [inlined_rules.name]
    content["tests"] = [of_alerts(test) for test in content["tests"]]
    copy = inlined_rules.with_name(path.name)
    copy.write_text(yaml.safe_dump(content), "utf-8")
    done = subprocess.run([promtool, "test", "rules", copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
