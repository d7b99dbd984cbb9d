"""The commands `backfill` and `rules`, which write files for Prometheus."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO

import click

from exporter.cli import assets
from exporter.cli.alert_rules import DASHBOARDS, JOB, RUNBOOKS, Installation, adapt_rules, declared_rules
from exporter.cli.backfill import Backfill, BackfillInput
from exporter.cli.open_store import open_store
from exporter.cli.options import ADDRESS, INSTANT, WholeNumber, config_option
from exporter.cli.progress import progress_bar
from exporter.config import loader
from exporter.ingest.intake import quarantine_reasons

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@click.option("--from", "since", type=INSTANT, show_default="the first arrival", help="Start of the history.")
@click.option(
    "--to", "until", type=INSTANT, show_default="now", help="End of the history, such as 2026-12-31T16:50:52Z."
)
@click.option(
    "--step",
    default=300,
    type=WholeNumber(1, 300),
    help="Seconds between two samples of an unchanged series. Above 300, queries would find gaps.",
)
@click.option(
    "--output",
    type=click.File("wb", lazy=False),
    default="-",
    show_default="standard output",
    help="Write to this file.",
)
def backfill(path: Path | None, since: float | None, until: float | None, step: int, output: BinaryIO) -> None:
    """Write past metrics for Prometheus to import.

    The format is OpenMetrics. Each metric of exports and sources has the values that scrapes with the
    current configuration would have shown: one sample every --step, and one at each change. So have the
    metrics of landed files, from what checks found at that time. promtool reads the whole file once per
    two hours of history, so import a long history one day at a time, with --from and --to.

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
            settings.landings,
        )
        history = Backfill(inputs, since, time.time() if until is None else until, step)
        with progress_bar("folding", history.until - history.since) as bar:
            for second in history.fold():
                bar.update(second - history.since - bar.pos)
        with progress_bar("writing", len(history.families)) as bar:
            for family in history.families:
                output.writelines(text.encode() for text in history.text(family))
                bar.update(1)
        output.write(b"# EOF\n")
    click.echo(f"{history.samples} samples of {history.series} series", err=True)


@click.command()
@config_option
@click.option("--job", default=JOB, help="Scrape job of the exporter in Prometheus, for --declared.")
@click.option("--runbook-url", type=ADDRESS, default=RUNBOOKS, help="Where your copies of the runbooks are.")
@click.option("--dashboard-url", type=ADDRESS, default=DASHBOARDS, help="Where your Grafana is.")
@click.option("--declared", is_flag=True, help="Also alert if a declared export of the configuration has no series.")
def rules(path: Path | None, job: str, runbook_url: str, dashboard_url: str, *, declared: bool) -> None:
    """Print the Prometheus rules with your addresses.

    They are the rules of this release. With --declared, print them again when the declared exports change.

    \b
    Example:
      dataexport-exporter rules --dashboard-url https://grafana.example > dataexport.rules.yaml
      dataexport-exporter rules --declared --config dataexport.toml > dataexport.rules.yaml
    """
    installation = Installation(job, runbook_url, dashboard_url)
    text = adapt_rules(assets.read(assets.RULES).decode(), installation)
    if declared:
        text += declared_rules(loader.load(path, os.environ).exports, installation)
    click.echo(text, nl=False)
