"""Shows how far long work has come, on a terminal only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


def progress_bar(label: str, length: int) -> ProgressBar[int]:
    """Return a progress bar on standard error; it is hidden if ``length`` is 0, or without a terminal."""
    hidden = not (length and sys.stderr.isatty())
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)
