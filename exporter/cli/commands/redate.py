"""The command `redate`: corrects the clock of a boot of a machine that has ended."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import click

from exporter.cli.open_store import open_store
from exporter.cli.options import DURATION, WholeNumber, config_option
from exporter.ingest.redating import Redating
from exporter.ledger.access import Access
from exporter.ledger.instants import to_micros

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@click.argument("boot", type=WholeNumber(1))
@click.option("--ahead", type=DURATION, default="0s", help="How far the clock was ahead, such as 5h30m.")
@click.option("--behind", type=DURATION, default="0s", help="How far the clock was behind.")
def redate(path: Path | None, boot: int, ahead: int, behind: int) -> None:
    """Correct event times after a wrong clock.

    Recomputes the times of events that arrived while a machine's clock was wrong.
    BOOT is the number of a boot of the machine, as `doctor` shows it. The exporter corrects the
    current boot automatically. For a boot that ended with a wrong clock, give the error of the clock.
    The exporter may run.

    \b
    Example:
      dataexport-exporter redate 3 --ahead 5h30m
    """
    if bool(ahead) == bool(behind):
        message = "give one of --ahead and --behind"
        raise click.UsageError(message)
    with open_store(path, Access.WRITE) as (settings, _, ledger):
        epochs = {stored.id: stored for stored in ledger.epochs()}
        if boot not in list(epochs)[:-1]:
            message = f"BOOT: {boot} is not a boot that has ended; `dataexport-exporter doctor` shows the numbers"
            raise click.UsageError(message)
        ledger.correct_epochs({boot: epochs[boot].offset_us + to_micros(behind - ahead)}, measured=True)
        oldest = time.time() - settings.retention if ledger.checkpoints.pruning_state().revision else -math.inf
        redating = Redating(ledger, settings.sources_without_credentials, oldest)
        changed = 0
        while changed_now := redating.redate():
            changed += changed_now
    click.echo(f"{changed} events and quarantined bodies have a new time")
