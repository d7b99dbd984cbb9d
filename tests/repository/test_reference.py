"""The reference pages are what `make reference` writes, and nothing that a user can set, see or call is missing."""

from __future__ import annotations

import ast
import re
import subprocess
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import click
import pytest
import yaml

from exporter.cli.main import COMMANDS, main
from exporter.config.loader import load
from exporter.config.settings import ExportSettings, Settings, SourceSettings
from exporter.config.variables import FILE_VARIABLES, VARIABLES
from exporter.domain.states import CONDITIONS
from exporter.metrics.families import EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.landing_families import LANDING_FAMILIES
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.admin.app import create_app
from generate_reference import FOLDER, PAGES
from monitoring import ROOT, read_yaml
from reference_pages import alerts, http_api, logs, metric_notes
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

    from exporter.server.service import Service

RULES = read_yaml(ROOT / "alerts" / "dataexport.rules.yaml")
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
CONFIGURATION, METRICS, ALERTS_PAGE, CLI, HTTP_API = (
    (FOLDER / f"{name}.md").read_text("utf-8") for name in ("configuration", "metrics", "alerts", "cli", "http-api")
)


def settings() -> Iterator[str]:
    """Every setting by its dotted name."""
    for table, field in Settings.model_fields.items():
        lists: dict[str, type[BaseModel]] = {"sources": SourceSettings, "exports": ExportSettings}
        section: type[BaseModel] = lists.get(table) or type(field.default)
        yield from (f"{table}.{name}" for name in section.model_fields)


def metrics() -> Iterator[str]:
    """Every metric that is ours, by the name of its samples."""
    yield from (family.sample_name for family in EXPORT_FAMILIES + LANDING_FAMILIES + SOURCE_FAMILIES)
    for metric in ProcessMetrics().registry.collect():
        if metric.name.startswith("dataexport_"):
            yield f"{metric.name}_total" if metric.type == "counter" else metric.name


def table_rows(text: str) -> set[str]:
    """The first cells of all tables, without what surrounds the code."""
    return set(re.findall(r"^\| \[?`([^`]+)`", text, re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_script_writes(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "run `make reference`"


def test_every_setting_has_a_row() -> None:
    assert table_rows(CONFIGURATION) >= set(settings())


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_every_variable_is_named_with_its_file_form_where_it_has_one(variable: str) -> None:
    [line] = [line for line in CONFIGURATION.splitlines() if f"`{variable}`" in line and not line.startswith("- ")]
    assert (f"`{variable}_FILE`" in line) == (variable in FILE_VARIABLES)


def test_the_configuration_shown_is_accepted(tmp_path: Path) -> None:
    [toml] = re.findall(r"^```toml\n(.*?)^```", CONFIGURATION, re.MULTILINE | re.DOTALL)
    path = tmp_path / "dataexport.toml"
    path.write_text(toml, "utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop").write_text("a-made-up-token!", "utf-8")

    config = load(path, {})

    assert list(config.sources) == ["shop-in1"]
    assert config.exports[0].interval == 24 * 3600


def test_exactly_the_metrics_that_exist_have_a_row_and_a_section() -> None:
    assert {name for name in table_rows(METRICS) if name.startswith("dataexport_")} == set(metrics())
    assert set(re.findall(r"^### (\w+)", METRICS, re.MULTILINE)) == set(metrics())
    assert metric_notes.NOTES.keys() == set(metrics())


def test_every_query_of_a_metric_can_be_parsed_and_names_the_metric(tmp_path: Path) -> None:
    rules = [
        {"record": f"example:{number}", "expr": note.query} for number, note in enumerate(metric_notes.NOTES.values())
    ]
    path = tmp_path / "examples.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "examples", "rules": rules}]}), "utf-8")
    done = subprocess.run([tool("promtool"), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name, note in metric_notes.NOTES.items() if name not in note.query] == []


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_has_a_row_with_its_severity_and_a_runbook(name: str) -> None:
    [row] = [line for line in ALERTS_PAGE.splitlines() if line.startswith(f"| [`{name}`]")]
    assert f" | {ALERTS[name].get('labels', {'severity': 'own'})['severity']} | " in row
    assert (ROOT / "docs" / "runbooks" / f"{name}.md").is_file()
    assert ALERTS[name]["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")


def test_every_state_that_is_wrong_has_an_alert() -> None:
    states = {state for note in alerts.NOTES.values() for state in note.state.split(", ")}
    assert set(CONDITIONS) - states == {"running", "fine", "muted"}
    assert alerts.NOTES.keys() == {*ALERTS, "ExportDeclaredAbsent"}


@pytest.mark.parametrize(
    ("name", "inhibitors"),
    [
        ("ExportWatchdog", set()),
        ("ExportExporterDown", set()),
        ("ExportWebhookSilent", {"ExportExporterDown", "ExportExporterAbsent", "ExportStoreFailing"}),
        ("ExportUnknownStatus", {"ExportExporterDown", "ExportExporterAbsent"}),
        (
            "ExportOverdueCritical",
            {"ExportExporterDown", "ExportExporterAbsent", "ExportStoreFailing", "ExportWebhookSilent"},
        ),
    ],
)
def test_inhibition_is_what_the_rules_of_alertmanager_do(name: str, inhibitors: set[str]) -> None:
    every = alerts.alerts()
    [alert] = [alert for alert in every if alert.name == name]
    assert set(alerts.inhibited_by(alert, every)) == inhibitors


def test_every_command_has_a_section() -> None:
    assert re.findall(r"^## `(.*)`", CLI, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_has_a_meaning(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert [each.opts for each in command.params if isinstance(each, click.Option) and not each.help] == []


def test_every_endpoint_of_the_admin_listener_has_a_row() -> None:
    app = create_app(cast("Service", None))  # no request is made
    endpoints = {
        f"{method} {re.sub('<.*>', '{id}', rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert table_rows(HTTP_API) >= endpoints


def test_every_status_code_that_the_server_names_is_on_the_page() -> None:
    named = {
        HTTPStatus[node.attr].value
        for path in (ROOT / "exporter" / "server").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "HTTPStatus"
    }
    assert http_api.status_codes() >= named
    assert {408, 414, 431} <= named


def test_every_log_event_has_a_short_name_and_a_meaning_and_the_other_way_round() -> None:
    events = logs.log_events()
    assert len({event.name for event in events}) == len(events), "one event is logged in two ways"
    assert {event.name for event in events} == logs.NOTES.keys()
    assert [name for name in logs.NOTES if not re.fullmatch(r"[a-z]+(_[a-z]+){0,3}", name)] == []
