"""The command `simulate`, which makes up the events of a whole fleet."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import simulation
from exporter.cli.http_client import Credential
from exporter.cli.options import INSTANT, Number, WholeNumber, config_option
from exporter.cli.progress import progress_bar
from exporter.cli.webhook_client import post_webhook
from exporter.config import loader
from exporter.domain.event_time import load_zone
from exporter.domain.frequency import DAY
from exporter.domain.humanize import format_count
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from exporter.cli.simulation import SimulatedWebhook

_SHARE = Number(0, 1)


@click.command()
@config_option
@click.option("--store", help="New database to fill, such as sqlite:///demo.db.")
@click.option("--url", help="Webhook of a running exporter to post to.")
@click.option("--jsonl", is_flag=True, help="Print arrivals, bodies and faults as JSON lines.")
@click.option("--token-file", type=click.Path(path_type=Path), help="With --url: file with the source's token.")
@click.option("--speed", default=0.0, type=Number(0), help="With --url: speed-up factor; 0 sends everything at once.")
@click.option("--exports", "count", default=40, type=WholeNumber(1, 100_000), help="Number of exports.")
@click.option("--days", default=30.0, type=Number(0, 3660, min_open=True), help="Days of history.")
@click.option("--until", type=INSTANT, show_default="now", help="End of the history, such as 2026-12-31T16:50:52Z.")
@click.option("--late", default=0.01, type=_SHARE, help="Share of runs that start late.")
@click.option("--missed", default=0.01, type=_SHARE, help="Share of runs that never start.")
@click.option("--stuck", default=0.01, type=_SHARE, help="Share of runs that never end.")
@click.option("--seed", default=1, help="Random seed.")
@click.option(
    "--timezone",
    default="Europe/Berlin",
    help='Time zone of sources with timezone = "auto", and of --url.',
)
def simulate(  # noqa: PLR0913, PLR0917 - an argument for each option
    path: Path | None,
    store: str | None,
    url: str | None,
    token_file: Path | None,
    speed: float,
    count: int,
    days: float,
    until: float | None,
    late: float,
    missed: float,
    stuck: float,
    seed: int,
    timezone: str,
    *,
    jsonl: bool,
) -> None:
    """Generate the events of a fleet of exports.

    Some runs are late, missed or stuck. With --store, the exports are spread over the configured
    sources. With --url, they belong to one source, which must be configured with this --timezone: old
    events do not show a time zone.

    \b
    Example:
      dataexport-exporter simulate --store sqlite:///demo.db --exports 40 --days 30
      dataexport-exporter simulate --url http://127.0.0.1:8080/webhooks/clevertap/default --days 2
    """
    now = time.time()
    ends = now if until is None else until
    begins = ends - days * DAY
    if bool(store) + bool(url) + jsonl != 1:
        message = "give one of --store, --url and --jsonl"
        raise click.UsageError(message)
    if late + missed + stuck > 1:
        message = f"--late, --missed and --stuck are shares of all runs; together they are {late + missed + stuck:g}"
        raise click.UsageError(message)
    if ends > now and not jsonl:
        message = "--until is in the future"
        raise click.UsageError(message)
    settings = loader.load(path, os.environ)
    try:
        zone = load_zone(timezone) or UTC
    except ValueError as error:
        message = f"--timezone: {error}"
        raise click.UsageError(message) from error
    if url:
        plans = simulation.fleet(count, [("url", zone)], begins, seed, {"url": registry.adapter_at(url).name})
    else:
        sources = settings.sources_without_credentials
        zones = [(slug, source.zone or zone) for slug, source in sources.items()]
        vendors = {slug: source.vendor or registry.DEFAULT for slug, source in sources.items()}
        plans = simulation.fleet(count, zones, begins, seed, vendors)
    webhooks = simulation.history(plans, begins, ends, seed, simulation.outcome_by_shares(late, missed, stuck))
    if jsonl:
        for webhook in webhooks:
            click.echo(json.dumps(webhook.record()))
        return
    with progress_bar("simulating", int(days * DAY)) as bar:
        webhooks = _with_progress(webhooks, lambda webhook: bar.update(int(webhook.at - begins) - bar.pos))
        if url:
            headers = Credential("--token-file", token_file).headers()
            sent = simulation.post(webhooks, lambda text: post_webhook(url, text, headers), speed, time.sleep)
        else:
            with closing(simulation.BatchingLedger(store or "")) as ledger:
                sent = simulation.import_history(webhooks, ledger, settings, (begins, ends))
    click.echo(f"{sent} events of {format_count(count, 'export')} in {days:g} days", err=True)


def _with_progress(
    webhooks: Iterable[SimulatedWebhook], on_webhook: Callable[[SimulatedWebhook], object]
) -> Iterator[SimulatedWebhook]:
    for webhook in webhooks:
        on_webhook(webhook)
        yield webhook
