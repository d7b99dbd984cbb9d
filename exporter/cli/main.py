"""The entry point of the command line: finds the command and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import click

from exporter import __version__
from exporter.cli.commands import FAILED, WRONG_USAGE
from exporter.cli.usage_errors import explained_usage_errors
from exporter.config.variables import name_variables
from exporter.domain.errors import ConfigurationError, ExporterError
from exporter.domain.spelling import closest


class _Entry(NamedTuple):
    """A command.

    Attributes:
        module: the module of `exporter.cli.commands` that defines it.
        summary: the first line of its help. The list of commands is shown without importing them.
    """

    module: str
    summary: str


GROUPS = {
    "Run": {
        "serve": _Entry("serve", "Receive webhooks and expose metrics."),
        "check-config": _Entry("serve", "Validate a configuration file."),
        "healthcheck": _Entry("healthcheck", "Check that the running exporter is ready."),
    },
    "Inspect": {
        "exports": _Entry("show", "List all exports, the most urgent first."),
        "explain": _Entry("explain", "Show why an export is in its state."),
        "events": _Entry("show", "List the newest events, or all for a replay."),
        "sources": _Entry("show", "List the sources and what arrived from each."),
        "quarantine": _Entry("quarantine", "List or delete bodies that could not be parsed."),
        "mutes": _Entry("mute_and_retire", "List what is muted or retired, by whom and why."),
        "doctor": _Entry("doctor", "Check configuration, store, clocks and zones."),
    },
    "Act": {
        "mute": _Entry("mute_and_retire", "Suppress alerts for one export for a time."),
        "unmute": _Entry("mute_and_retire", "End a mute before its time."),
        "retire": _Entry("mute_and_retire", "Remove an export that is no longer used."),
        "replay": _Entry("replay", "Reprocess quarantined, stored or imported events."),
        "redate": _Entry("redate", "Correct event times after a wrong clock."),
        "purge": _Entry("purge", "Remove what a source received in a window."),
    },
    "Data": {
        "backup": _Entry("backup", "Back up a SQLite store to FILE."),
        "restore": _Entry("backup", "Replace a SQLite store with a backup."),
        "migrate-store": _Entry("migrate_store", "Copy a store into a new database."),
    },
    "Prometheus": {
        "rules": _Entry("prometheus", "Print the Prometheus rules with your addresses."),
        "assets": _Entry("assets", "Write rules, dashboards and examples."),
        "backfill": _Entry("prometheus", "Write past metrics for Prometheus to import."),
    },
    "Test": {
        "verify": _Entry("verify", "Check the public webhook, or send a test page."),
        "send": _Entry("send", "Post one test event to a running exporter."),
        "simulate": _Entry("simulate", "Generate the events of a fleet of exports."),
    },
}
"""The commands by their names, under the headings of the help. A command's function has its name, with underscores."""

COMMANDS = {name: entry for entries in GROUPS.values() for name, entry in entries.items()}
"""All commands, in the order of the help."""


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
        module = import_module(f"exporter.cli.commands.{COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the commands under the headings of their groups."""
        width = max(map(len, COMMANDS))
        for heading, entries in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in entries.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or fail with the name that is most like it."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:  # the shell completes what may still be wrong
            close = closest(args[0], list(COMMANDS))
            hint = f"did you mean {close}?" if close else "`dataexport-exporter --help` lists the commands"
            ctx.fail(f"no such command: {args[0]}; {hint}")
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

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's
    ) -> click.Context:
        """Parse the options before the command."""
        with explained_usage_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, and handle the errors that it raises deliberately."""
        try:
            with explained_usage_errors():
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
