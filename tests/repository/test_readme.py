"""The README tells the truth: its example runs, and its links and commands exist."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import click

from exporter.cli.main import main
from exporter.config.loader import load
from monitoring import ROOT
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_configuration_shown_is_accepted(tmp_path: Path) -> None:
    [toml] = blocks("toml")
    path = tmp_path / "dataexport.toml"
    path.write_text(toml, "utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop").write_text("a-made-up-token!", "utf-8")

    [export] = load(path, {}).exports

    assert (export.interval, export.grace) == (24 * 3600, 2 * 3600)


def test_the_readme_has_at_most_100_lines() -> None:
    assert len(README.splitlines()) <= 100


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
