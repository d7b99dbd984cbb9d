"""The README tells the truth: its example runs, and no setting, metric, alert or command is missing."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
import yaml

from exporter.cli.main import COMMANDS, main
from exporter.config.environment import FILE_VARIABLES, VARIABLES
from exporter.config.loader import load
from exporter.config.settings import ExportSettings, Settings, SourceSettings
from exporter.metrics.families import EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.process_metrics import ProcessMetrics
from monitoring import ROOT
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

README = (ROOT / "README.md").read_text("utf-8")
RULES = yaml.safe_load((ROOT / "alerts" / "dataexport.rules.yaml").read_text("utf-8"))
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}


def settings() -> Iterator[str]:
    """Every setting by its dotted name."""
    for table, field in Settings.model_fields.items():
        lists: dict[str, type[BaseModel]] = {"sources": SourceSettings, "exports": ExportSettings}
        section: type[BaseModel] = lists.get(table) or type(field.default)
        if table in lists:
            yield table
        yield from (f"{table}.{name}" for name in section.model_fields)


def own_metrics() -> Iterator[str]:
    """Every metric of the process that is ours, by the name of its samples."""
    for metric in ProcessMetrics().registry.collect():
        if metric.name.startswith("dataexport_"):
            yield f"{metric.name}_total" if metric.type == "counter" else metric.name


def table_rows(text: str) -> set[str]:
    """The first cells of all tables, without what follows the code."""
    return set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", list(settings()))
def test_every_setting_has_a_row(name: str) -> None:
    assert name in table_rows(README)


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_every_variable_is_named_with_its_file_form_where_it_has_one(variable: str) -> None:
    [row] = [line for line in README.splitlines() if f"`{variable}`" in line and line.startswith("|")]
    assert ("`_FILE`" in row) == (variable in FILE_VARIABLES)


@pytest.mark.parametrize(
    "name", [family.sample_name for family in EXPORT_FAMILIES + SOURCE_FAMILIES] + [*own_metrics()]
)
def test_every_metric_has_a_row(name: str) -> None:
    assert name in table_rows(README)


def test_no_metric_is_told_that_does_not_exist() -> None:
    known = {family.sample_name for family in EXPORT_FAMILIES + SOURCE_FAMILIES} | set(own_metrics())
    assert {name for name in table_rows(README) if name.startswith("dataexport_")} == known


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_has_a_row_with_its_severity_and_a_runbook(name: str) -> None:
    [row] = [line for line in README.splitlines() if line.startswith(f"| `{name}`")]
    assert row.endswith(f"| {ALERTS[name].get('labels', {'severity': 'own'})['severity']} |")
    assert (ROOT / "docs" / "runbooks" / f"{name}.md").is_file()
    assert ALERTS[name]["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_row(name: str) -> None:
    assert any(row.split()[0] == name for row in table_rows(README))


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_configuration_shown_is_taken(tmp_path: Path) -> None:
    [toml] = blocks("toml")
    path = tmp_path / "dataexport.toml"
    path.write_text(toml, "utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop").write_text("a-made-up-token!", "utf-8")

    config = load(path, {})

    assert list(config.sources) == ["shop-in1"]
    assert config.exports[0].interval == 24 * 3600


def test_the_sixty_second_example_shows_just_what_it_says(tmp_path: Path) -> None:
    [example] = [block for block in blocks("console") if "curl" in block]
    match = re.search(r"-d '(\{.*?\})'\n(\{.*?\})\n", example, re.DOTALL)
    assert match is not None
    pattern = re.search(r"grep -E '([^']+)'", example)
    assert pattern is not None
    shown = example[pattern.end() :].strip().splitlines()

    with LocalExporter(tmp_path) as exporter:
        answer = exporter.post(json.loads(match[1]))
        assert answer.text.strip() == match[2]
        found = [line for line in exporter.scrape().splitlines() if re.search(pattern[1], line)]
        assert found == shown
        again = exporter.post(json.loads(match[1]))
        assert again.json() == {"accepted": 0, "duplicates": 1, "quarantined": 0}


def test_every_command_that_a_page_gives_can_be_typed() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
    given = [
        (page.name, line)
        for page in pages
        for line in re.findall(
            r"^ *(?:\$ )?dataexport-exporter (.+)|`dataexport-exporter ([^`]+)`", page.read_text("utf-8"), re.MULTILINE
        )
    ]
    assert len(given) > 50
    whole = click.Context(main, **main.context_settings)  # a command remembers the names that its help has at first
    for page, found in given:
        name, *arguments = shlex.split(re.split(r" [|>] ", "".join(found))[0])
        command = main.get_command(whole, name)
        if name == "--version":
            continue
        assert command is not None, (page, name)
        with click.Context(command, parent=whole) as context:
            command.make_parser(context).parse_args(arguments)


def test_every_module_has_its_place_in_the_map_for_contributors() -> None:
    map_of_all = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = [row for row in map_of_all.splitlines() if row.startswith("| `exporter/")]
    named = [name.removeprefix("exporter/") for row in rows for name in re.findall(r"`([^`]+)`", row)]
    placed = {name: {each.name for each in (ROOT / "exporter").glob(name.rstrip("/"))} for name in named}
    assert [name for name, found in placed.items() if not found] == []
    there = {
        each.name for each in (ROOT / "exporter").iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()
    }
    assert there - {"__init__.py"} == set().union(*placed.values())
