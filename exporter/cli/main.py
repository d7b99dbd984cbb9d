"""The entry point of the command line: finds the command and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from exporter import __version__
from exporter.cli.commands import FAILED, WRONG_USAGE
from exporter.config.environment import name_variables
from exporter.config.values import closest
from exporter.domain.errors import ConfigurationError, ExporterError

_MODULES = {
    "assets": ("assets", "assets"),
    "backfill": ("prometheus", "backfill"),
    "backup": ("backup", "backup"),
    "check-config": ("serve", "check_config"),
    "doctor": ("show", "doctor"),
    "events": ("show", "events"),
    "exports": ("show", "exports"),
    "healthcheck": ("healthcheck", "healthcheck"),
    "migrate-store": ("migrate_store", "migrate_store"),
    "mute": ("mute_and_retire", "mute"),
    "mutes": ("mute_and_retire", "mutes"),
    "purge": ("purge", "purge"),
    "quarantine": ("quarantine", "quarantine"),
    "redate": ("redate", "redate"),
    "replay": ("replay", "replay"),
    "restore": ("backup", "restore"),
    "retire": ("mute_and_retire", "retire"),
    "rules": ("prometheus", "rules"),
    "send": ("send", "send"),
    "serve": ("serve", "serve"),
    "simulate": ("simulate", "simulate"),
    "sources": ("show", "sources"),
    "unmute": ("mute_and_retire", "unmute"),
    "verify": ("verify", "verify"),
}
"""For each command, the module of `exporter.cli.commands` that defines it, and the name of its function there."""

GROUPS = {
    "Run": ("serve", "check-config", "healthcheck"),
    "Inspect": ("exports", "events", "sources", "quarantine", "mutes", "doctor"),
    "Act": ("mute", "unmute", "retire", "replay", "redate", "purge"),
    "Data": ("backup", "restore", "migrate-store"),
    "Prometheus": ("rules", "assets", "backfill"),
    "Test": ("verify", "send", "simulate"),
}
"""The commands by the heading under which the help lists them."""

COMMANDS = tuple(name for names in GROUPS.values() for name in names)
"""The names of all commands, in the order of the help."""


class CommandGroup(click.Group):
    """Prints every expected error as a message without a traceback, and exits with the matching code.

    Imports only the module of the command that runs: importing all of them takes twice as long.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import and return a command, or None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, function = _MODULES[cmd_name]
        command: click.Command = getattr(import_module(f"exporter.cli.commands.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under the headings of their groups."""
        width = max(map(len, COMMANDS))
        for heading, names in GROUPS.items():
            commands = [command for name in names if (command := self.get_command(ctx, name))]
            rows = [(str(command.name).ljust(width), command.get_short_help_str(50)) for command in commands]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or fail with the name that is most like it."""
        close = closest(args[0], list(COMMANDS))
        if args[0] not in COMMANDS and close and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}; did you mean {close}?")
        if args[0] != "serve":
            _volunteer_for_oom_killer()  # before the command is imported, which takes most of its memory
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - click's
        """Run the command; a character that the terminal or the pipe cannot show is escaped."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        if sys.platform == "win32":
            sys.exit("dataexport-exporter runs on Linux and macOS; on Windows, use a container or WSL")
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, and handle the errors that it raises deliberately."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            ctx.exit(WRONG_USAGE)
        except ExporterError as error:
            click.echo(f"error: {name_variables(str(error), os.environ)}", err=True)
            ctx.exit(FAILED)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="dataexport-exporter")
def main() -> None:
    """Monitor scheduled CleverTap data exports, and export metrics for Prometheus.

    DATAEXPORT_CONFIG names the configuration file for all commands; --config overrides it.

    \b
    Example:
      dataexport-exporter serve
    """
    os.umask(0o077)


def _volunteer_for_oom_killer() -> None:
    """Let the kernel end this process, and not an exporter in the same container, if memory runs out."""
    with suppress(OSError):  # only Linux has the file
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
