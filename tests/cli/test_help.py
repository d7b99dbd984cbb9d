"""The help: commands in groups, short first lines, every default shown, and completion by the shell."""

from __future__ import annotations

import re

import click
import pytest
from click.shell_completion import BashComplete

from commands import run
from exporter.cli.main import COMMANDS, GROUPS, main

NO_DEFAULT = (None, False, ())
CONTEXT = click.Context(main, info_name="dataexport-exporter", **main.context_settings)


def command_named(name: str) -> click.Command:
    command = main.get_command(CONTEXT, name)
    assert command is not None
    return command


def test_the_help_lists_every_command_once_under_its_group() -> None:
    listed = re.findall(r"^  ([a-z-]+)  ", run("--help").stdout, re.MULTILINE)
    assert [name for name in listed if name in COMMANDS] == [name for names in GROUPS.values() for name in names]
    headings = re.findall(r"^(\S.*):$", run("--help").stdout, re.MULTILINE)
    assert headings[headings.index("Options") + 1 :] == list(GROUPS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_of_a_command_fits_into_the_list(name: str) -> None:
    first_line = (command_named(name).help or "").splitlines()[0]
    assert 0 < len(first_line) < 50
    assert first_line == COMMANDS[name].summary
    assert first_line in run("--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_shown_in_brackets(name: str) -> None:
    command = command_named(name)
    with click.Context(command, CONTEXT, name) as context:
        for option in command.params:
            if isinstance(option, click.Option):
                _, shown = option.get_help_record(context) or ("", "")
                assert not re.search(r"[Dd]efault: |the default", shown.partition("  [")[0]), option.name
                has_default = option.to_info_dict()["default"] not in NO_DEFAULT and not option.is_flag
                assert not has_default or "[default: " in shown, option.name


def test_the_shell_completes_commands_options_and_states() -> None:
    shell = BashComplete(main, {}, "dataexport-exporter", "_DATAEXPORT_EXPORTER_COMPLETE")
    assert [item.value for item in shell.get_completions([], "exp")] == ["exports", "explain"]
    assert [item.value for item in shell.get_completions(["mute"], "--un")] == ["--until"]
    assert shell.get_completions(["nonsense"], "--un") == []
