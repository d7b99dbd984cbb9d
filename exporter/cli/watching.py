"""Shows a table again and again on a terminal, until Ctrl-C."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from exporter.cli.tables import TABLE, format_iso
from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Callable

WATCH_SECONDS = 3.0
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def refuse_without_terminal(output: str) -> None:
    """Refuse to watch where there is nobody to press Ctrl-C, or in a form for programs.

    Raises:
        UsageError: standard output is not a terminal, or the output is not a table.
    """
    if output != TABLE:
        message = "--watch shows a table; leave out --json and --jsonl, or ask for them again and again"
        raise click.UsageError(message)
    if not sys.stdout.isatty():
        message = "--watch needs a terminal as standard output; without one, run the command again and again"
        raise click.UsageError(message)


def watch(table: Callable[[float], str]) -> None:
    """Show what ``table`` returns for the current time every `WATCH_SECONDS`, until Ctrl-C.

    An error is shown in its place, so that a restart of the exporter does not end it.
    """
    click.clear()
    try:
        while True:
            now = time.time()
            try:
                text = table(now)
            except ExporterError as error:
                text = f"error: {error}"
            _redraw([f"{format_iso(now)}, every {WATCH_SECONDS:g} s, Ctrl-C to end", "", *text.splitlines()])
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        click.echo()


def _redraw(lines: list[str]) -> None:
    """Replace what the terminal shows, with as many lines as fit, without flickering."""
    most = shutil.get_terminal_size().lines - 1
    if len(lines) > most:
        lines = [*lines[: most - 1], f"… and {len(lines) - most + 1} more"]
    click.echo(_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW, nl=False)
