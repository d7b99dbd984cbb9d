"""The command `doctor`, which checks configuration and store."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from exporter.cli.commands import FAILED
from exporter.cli.doctor import run_checks
from exporter.cli.open_store import open_store
from exporter.cli.options import config_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
def doctor(path: Path | None) -> None:
    """Check configuration, store, clocks and zones.

    The exit code is 1 if anything is wrong. The command also checks mutes and retirements, and whether
    a running exporter uses this configuration, and suggests declarations for undeclared exports.

    \b
    Example:
      dataexport-exporter doctor --config dataexport.toml
    """
    with open_store(path) as (settings, projector, ledger):
        report = run_checks(settings, ledger, projector, time.time())
    click.echo(report.text)
    sys.exit(0 if report.healthy else FAILED)
