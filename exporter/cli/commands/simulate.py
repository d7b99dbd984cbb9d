"""The commands `send` and `simulate`, which make up one event, or the events of a whole fleet."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from exporter.cli import simulation
from exporter.cli.http_client import Credential
from exporter.cli.options import INSTANT, config_option
from exporter.cli.progress import progress_bar
from exporter.cli.webhook_client import post_webhook, source_timezone
from exporter.config import loader
from exporter.config.settings import DEFAULT_SOURCE
from exporter.domain.errors import ExporterError
from exporter.domain.event_time import load_zone
from exporter.domain.events import COMPLETED, INITIATED
from exporter.domain.frequency import DAY
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from exporter.cli.simulation import SimulatedWebhook

URL = f"http://127.0.0.1:8080{registry.webhook_path(registry.DEFAULT, DEFAULT_SOURCE)}"
"""The webhook of an exporter that was started without a configuration."""
ADMIN_URL = "http://127.0.0.1:10047"
"""The admin listener of an exporter that was started without a configuration."""
_SHARE = click.FloatRange(0, 1)


@click.command()
@click.option("--url", default=URL, help="Webhook of the exporter.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the source's token.")
@click.option("--initiated", "status", flag_value=INITIATED, help="Send Initiated: the export has started.")
@click.option(
    "--completed", "status", flag_value=COMPLETED, default=COMPLETED, help="Send Completed: the export has completed."
)
@click.option("--partner", default="Amazon S3", help="Partner of the export.")
@click.option("--data-type", default="Events", help="Type of the data.")
@click.option("--frequency", default="Every 24 hours", help="Frequency of the export.")
@click.option("--request-id", default="1690283492", help="Export request id.")
@click.option("--at", show_default="now", help="Local time of the source, such as 2026-12-31T16:50:52.")
@click.option("--timezone", show_default="that of the admin listener", help="Time zone of the source.")
@click.option(
    "--admin-url",
    show_default=f"{ADMIN_URL} if --url is on this machine",
    help="Admin listener to ask for the source's time zone.",
)
@click.option("--admin-token-file", type=click.Path(path_type=Path), help="File with the admin listener's token.")
@click.option(
    "--test-call", is_flag=True, help="Send the test call that the vendor sends when someone creates the webhook."
)
def send(  # noqa: PLR0913, PLR0917 - an argument for each option
    url: str,
    token_file: Path | None,
    at: str | None,
    timezone: str | None,
    admin_url: str | None,
    admin_token_file: Path | None,
    *,
    test_call: bool,
    **event: str,
) -> None:
    """Post one test event to a running exporter.

    The vendor in the path of --url determines the format of the event. The event has the local time of
    the source, as the vendor writes it.

    \b
    Example:
      dataexport-exporter send --initiated --partner "Amazon S3" --frequency "Every 4 hours"
    """
    adapter = registry.adapter_at(url)
    if not test_call:
        if at is None:
            local_time = datetime.fromtimestamp(time.time(), _source_zone(url, timezone, admin_url, admin_token_file))
        else:
            local_time = _local_time(at)
        body = adapter.sample_body(**event, local_time=local_time.replace(tzinfo=None))
    elif adapter.test_call is not None:
        body = adapter.test_call
    else:
        message = f"--test-call: {adapter.name} makes no such call"
        raise ExporterError(message)
    click.echo(post_webhook(url, body, Credential("--token-file", token_file).headers()))


def _source_zone(url: str, timezone: str | None, admin_url: str | None, admin_token_file: Path | None) -> tzinfo:
    """Return the time zone of the source that a webhook's URL names; UTC if it is unknown, or derived from arrivals.

    Raises:
        ExporterError: ``--timezone`` is no time zone, or the token file cannot be read.
    """
    name = timezone
    address = urlsplit(url)
    is_local = address.hostname in {"localhost", "127.0.0.1", "::1"}
    if name is None and (admin_url or is_local):
        slug = address.path.rpartition("/")[2]
        name = source_timezone(admin_url or ADMIN_URL, slug, admin_token_file)
    if name is None:
        click.echo(
            "note: the time of the event is in UTC, for no exporter could be asked for the source's time zone; "
            "give --admin-url or --timezone",
            err=True,
        )
        return UTC
    try:
        return load_zone(name) or UTC
    except ValueError as error:
        message = f"--timezone: {error}"
        raise ExporterError(message) from error


def _local_time(at: str) -> datetime:
    """Return ``--at``, without a zone, because webhook bodies have none.

    Raises:
        ExporterError: ``at`` is no date and time, or has a zone.
    """
    try:
        local = datetime.fromisoformat(at)
    except ValueError as error:
        message = f"--at: {at!r} is no date and time; give one such as 2026-12-31T16:50:52"
        raise ExporterError(message) from error
    if local.tzinfo:
        message = f"--at: {at!r} has a zone; give the local time without one"
        raise ExporterError(message)
    return local


@click.command()
@config_option
@click.option("--store", help="New database to fill, such as sqlite:///demo.db.")
@click.option("--url", help="Webhook of a running exporter to post to.")
@click.option("--jsonl", is_flag=True, help="Print arrivals, bodies and faults as JSON lines.")
@click.option("--token-file", type=click.Path(path_type=Path), help="With --url: file with the source's token.")
@click.option(
    "--speed", default=0.0, type=click.FloatRange(0), help="With --url: speed-up factor; 0 sends everything at once."
)
@click.option("--exports", "count", default=40, type=click.IntRange(1, 100_000), help="Number of exports.")
@click.option("--days", default=30.0, type=click.FloatRange(0, 3660, min_open=True), help="Days of history.")
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
        message = "--until lies in the future, where nothing has arrived yet"
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
    click.echo(f"{sent} events of {count} exports in {days:g} days", err=True)


def _with_progress(
    webhooks: Iterable[SimulatedWebhook], on_webhook: Callable[[SimulatedWebhook], object]
) -> Iterator[SimulatedWebhook]:
    for webhook in webhooks:
        on_webhook(webhook)
        yield webhook
