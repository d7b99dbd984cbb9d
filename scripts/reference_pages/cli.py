"""Writes docs/reference/cli.md from the `--help` of every command."""

from __future__ import annotations

import click

from exporter.cli.main import COMMANDS, main
from reference_pages.markdown import document

WIDTH = 100
PROGRAM = "dataexport-exporter"

INTRODUCTION = """\
Each command prints what is below with `--help`. Where and as which user to run the commands is in \
[run the CLI](../how-to/run-the-cli.md).

- Every command that reads the store or the configuration takes `--config FILE`, or the variable `DATAEXPORT_CONFIG`.
- Commands that look or decide take `--url URL`, or the variable `DATAEXPORT_URL`, to ask a running \
exporter instead of the store; `--token-file FILE`, or `DATAEXPORT_URL_TOKEN_FILE`, has the admin token. \
For HTTP Basic, it has the password of `--user`, or `DATAEXPORT_URL_USER`.
- Commands that list something take `--json` and `--jsonl`.
- Exit codes: 0 success, 1 a check or the work failed, 2 wrong usage or an invalid configuration.
- On PostgreSQL, use `pg_dump` and `pg_restore` instead of `backup` and `restore`."""


def page() -> str:
    """Return the text of the page."""
    whole = click.Context(main, info_name=PROGRAM, terminal_width=WIDTH, **main.context_settings)
    blocks = [INTRODUCTION, f"```text\n{main.get_help(whole)}\n```"]
    for name in COMMANDS:
        command = main.get_command(whole, name)
        if command is None:
            raise LookupError(name)
        with click.Context(command, whole, name, terminal_width=WIDTH) as context:
            blocks += [f"## `{name}`", f"```text\n{command.get_help(context)}\n```"]
    return document("Command line", *blocks)
