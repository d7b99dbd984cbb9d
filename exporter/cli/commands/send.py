"""The command `send`, which makes up one event and posts it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from exporter.cli.configured_exporter import is_on_this_machine, load_configured_exporter
from exporter.cli.http_client import Credential
from exporter.cli.options import SERVER_URL, config_option
from exporter.cli.webhook_client import post_webhook, source_timezone
from exporter.domain.errors import ExporterError
from exporter.domain.event_time import load_zone
from exporter.domain.events import COMPLETED, INITIATED
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from datetime import tzinfo

    from exporter.cli.configured_exporter import ConfiguredExporter


@click.command()
@config_option
@click.option("--url", type=SERVER_URL, show_default="that of the configuration", help="Webhook of the exporter.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    show_default="the token of the configuration, on this machine",
    help="File with the source's token, or the password of --user.",
)
@click.option("--user", default="", help="User name, if the source has HTTP Basic.")
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
    type=SERVER_URL,
    show_default="that of the configuration, on this machine",
    help="Admin listener to ask for the source's time zone.",
)
@click.option(
    "--admin-token-file",
    type=click.Path(path_type=Path),
    help="File with the admin listener's token, or the password of --admin-user.",
)
@click.option("--admin-user", default="", help="User name, if the admin listener has HTTP Basic.")
@click.option(
    "--test-call", is_flag=True, help="Send the test call that the vendor sends when someone creates the webhook."
)
def send(  # noqa: PLR0913, PLR0917 - an argument for each option
    path: Path | None,
    url: str | None,
    token_file: Path | None,
    user: str,
    at: str | None,
    timezone: str | None,
    admin_url: str | None,
    admin_token_file: Path | None,
    admin_user: str,
    *,
    test_call: bool,
    **event: str,
) -> None:
    """Post one test event to a running exporter.

    The vendor in the path of --url determines the format of the event. The event has the local time of
    the source, as the vendor writes it. Beside the exporter, with its configuration and variables, no
    option is needed: addresses and tokens are those of the configuration.

    \b
    Example:
      dataexport-exporter send --initiated --partner "Amazon S3" --frequency "Every 4 hours"
    """
    admin_credential = Credential("--admin-token-file", admin_token_file, user=admin_user)
    configured = None
    if url is None or is_on_this_machine(url):
        configured = load_configured_exporter(path)
        url = url or configured.webhook_url()
    adapter = registry.adapter_at(url)
    if test_call:
        if adapter.test_call is None:
            message = f"--test-call: {adapter.name} makes no such call"
            raise ExporterError(message)
        body = adapter.test_call
    else:
        if at is None:
            if timezone is None:
                timezone = _asked_timezone(url, admin_url, admin_credential, configured)
            local_time = datetime.fromtimestamp(time.time(), _zone(timezone))
        else:
            local_time = _local_time(at)
        body = adapter.sample_body(**event, local_time=local_time.replace(tzinfo=None))
    headers = Credential("--token-file", token_file, user=user).headers()
    if token_file is None and configured:
        headers = configured.source_headers(_slug(url))
    click.echo(post_webhook(url, body, headers))


def _slug(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _asked_timezone(
    url: str, admin_url: str | None, admin_credential: Credential, configured: ConfiguredExporter | None
) -> str | None:
    """Ask the admin listener for the time zone of the source; None if there is none to ask, or it has no answer.

    Raises:
        ExporterError: the token file cannot be read.
    """
    headers = admin_credential.headers()
    if admin_url is None and configured:
        admin_url, headers = configured.admin_url(), headers or configured.admin_headers()
    return source_timezone(admin_url, _slug(url), headers) if admin_url else None


def _zone(timezone: str | None) -> tzinfo:
    """Return a time zone; UTC if it is unknown, or derived from arrivals.

    Raises:
        ExporterError: there is no such time zone.
    """
    if timezone is None:
        click.echo(
            "note: the event time is in UTC, because no exporter could be asked for the source's time zone; "
            "give --admin-url or --timezone",
            err=True,
        )
        return UTC
    try:
        return load_zone(timezone) or UTC
    except ValueError as error:
        message = f"--timezone: {error}"
        raise ExporterError(message) from error


def _local_time(at: str) -> datetime:
    """Return ``--at``, without a zone, because webhook bodies have none.

    Raises:
        ExporterError: ``at`` is not a date and time, or has a zone.
    """
    try:
        local = datetime.fromisoformat(at)
    except ValueError as error:
        message = f"--at: {at!r} is not a date and time; give one such as 2026-12-31T16:50:52"
        raise ExporterError(message) from error
    if local.tzinfo:
        message = f"--at: {at!r} has a zone; give the local time without one"
        raise ExporterError(message)
    return local
