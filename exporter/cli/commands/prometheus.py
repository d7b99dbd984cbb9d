"""The commands `backfill` and `rules`, which write files for Prometheus."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

import click

from exporter.cli.alert_rules import declared_rules
from exporter.cli.backfill import FAMILIES, Backfill, BackfillInput
from exporter.cli.open_store import open_store
from exporter.cli.options import INSTANT, config_option
from exporter.config import loader
from exporter.ingest.intake import quarantine_reasons

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@click.option("--from", "since", type=INSTANT, help="The first instant; the first arrival if not given.")
@click.option("--to", "until", type=INSTANT, help="The last instant, such as 2026-12-31T16:50:52Z; now if not given.")
@click.option(
    "--step",
    default=300,
    show_default=True,
    type=click.IntRange(1, 300),
    help="Seconds between two samples of what does not change; over 300, queries would find holes.",
)
@click.option("--output", type=click.File("wb", lazy=False), default="-", help="A file instead of the standard output.")
def backfill(path: Path | None, since: float | None, until: float | None, step: int, output: BinaryIO) -> None:
    """Tell the history as OpenMetrics with timestamps, for a Prometheus that was not there.

    Every metric of exports and sources is told as a scrape would have shown it with the present
    configuration: every --step, and whenever it changed. promtool reads the whole file again for
    every two hours in it, so a long history is done sooner a day at a time, with --from and --to.

    \b
    Example:
      dataexport-exporter backfill --output history.om
      promtool tsdb create-blocks-from openmetrics --label=job=dataexport history.om data/
    """
    with open_store(path) as (settings, _, ledger):
        inputs = BackfillInput(
            ledger,
            settings.sources_without_credentials,
            settings.exports,
            settings.limits.exports_per_source,
            quarantine_reasons(),
        )
        history = Backfill(inputs, since, time.time() if until is None else until, step)
        with click.progressbar(length=history.until - history.since, label="folding", file=sys.stderr) as bar:
            for second in history.fold():
                bar.update(second - history.since - bar.pos)
        with click.progressbar(FAMILIES, label="writing", file=sys.stderr) as families:
            for family in families:
                output.writelines(text.encode() for text in history.text(family))
        output.write(b"# EOF\n")
    click.echo(f"{history.samples} samples of {history.series} series", err=True)


@click.command()
@config_option
@click.option("--job", default="dataexport", show_default=True, help="The scrape job of the exporter in Prometheus.")
def rules(path: Path | None, job: str) -> None:
    """Print Prometheus rules that notice a declared export without series.

    \b
    Example:
      dataexport-exporter rules --config dataexport.toml > declared.rules.yaml
    """
    click.echo(declared_rules(loader.load(path, os.environ).exports, job), nl=False)
