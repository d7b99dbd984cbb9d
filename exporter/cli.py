"""The command line: the only place that wires the parts together."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter import __version__, config, listing, logs, server
from exporter.config import CONFIG_VARIABLE, REVISION_VARIABLE
from exporter.doctor import examine
from exporter.errors import ConfigurationError, ExporterError, StoreRefusedError
from exporter.reader import Reader
from exporter.send import sample_body, send_to
from exporter.service import Service
from exporter.sql_ledger import SqlLedger
from exporter.telemetry import Telemetry
from exporter.web import admin, receiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

    from exporter.config import Config

FAILED = 1
WRONG_USAGE = 2

_config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="The TOML file; without one, defaults and DATAEXPORT_… variables hold.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs instead of a table.")


class Commands(click.Group):
    """Ends every expected failure with one sentence and its exit code, and never a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            ctx.exit(WRONG_USAGE)
        except ExporterError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(FAILED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dataexport-exporter")
def main() -> None:
    """Know when a scheduled CleverTap data export is late.

    \b
    Example:
      dataexport-exporter serve
    """


@main.command()
@_config_option
def serve(path: Path | None) -> None:
    """Receive webhooks and show metrics, until stopped.

    \b
    Example:
      dataexport-exporter serve --config dataexport.toml
    """

    def reread() -> Config:
        return config.load(path, os.environ)

    settings = reread()
    logs.configure(settings.log)
    # Opened here first: what is wrong with it is said before anything listens.
    SqlLedger(settings.store_url).close()
    server.refuse_taken([settings.webhook_listen, settings.admin_listen])

    def start() -> tuple[Service, WSGIApplication, WSGIApplication]:
        telemetry = Telemetry(os.environ.get(REVISION_VARIABLE, ""))
        ledger = SqlLedger(settings.store_url, telemetry.observe_store)
        service = Service(settings, reread, ledger, telemetry)
        service.start()
        return service, receiver.create_app(service), admin.create_app(service)

    server.serve(settings, start)


@main.command("check-config")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
def check_config(path: Path) -> None:
    """Say what is wrong with a configuration file; exit 2 if anything is.

    \b
    Example:
      dataexport-exporter check-config dataexport.toml
    """
    found = config.load(path, os.environ)
    click.echo(f"{path}: fine, {len(found.sources)} sources, {len(found.exports)} declared exports")


@main.command()
@click.option("--url", default="http://127.0.0.1:8080/webhooks/clevertap/default", show_default=True)
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the source's token.")
@click.option("--initiated", "status", flag_value="Initiated", help="An export has begun.")
@click.option(
    "--completed", "status", flag_value="Completed", default="Completed", help="An export is done (the default)."
)
@click.option("--partner", default="Amazon S3", show_default=True)
@click.option("--type", "data_type", default="Events", show_default=True)
@click.option("--frequency", default="Every 24 hours", show_default=True)
@click.option("--request-id", default="1690283492", show_default=True)
@click.option("--at", help="Local time as 2026-12-31T16:50:52; now in UTC if not given.")
@click.option("--test-call", is_flag=True, help="What CleverTap posts when someone creates the webhook.")
def send(url: str, token_file: Path | None, *, test_call: bool, **event: str | None) -> None:
    """Post one made-up event to a running exporter, as CleverTap would.

    \b
    Example:
      dataexport-exporter send --initiated --partner "Amazon S3" --frequency "Every 4 hours"
    """
    body = sample_body(test_call=test_call, now=time.time(), **event)
    click.echo(send_to(url, body, token_file))


@main.command()
@_config_option
@_json_option
def exports(path: Path | None, *, as_json: bool) -> None:
    """List all exports, the most urgent first.

    \b
    Example:
      dataexport-exporter exports --config dataexport.toml --json
    """
    now = time.time()
    _read(path, lambda reader, _: listing.exports(reader.states(now), now, as_json=as_json))


@main.command()
@_config_option
@_json_option
@click.option("--source", help="Only of this source.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000))
def events(path: Path | None, source: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest events.

    \b
    Example:
      dataexport-exporter events --limit 5
    """
    _read(path, lambda _, ledger: listing.events(ledger.newest(source, limit), as_json=as_json))


@main.command()
@_config_option
@_json_option
def sources(path: Path | None, *, as_json: bool) -> None:
    """List the sources and what arrived from each.

    \b
    Example:
      dataexport-exporter sources
    """
    now = time.time()
    _read(path, lambda reader, _: listing.sources(reader.sources(), now, as_json=as_json))


@main.command()
@_config_option
@_json_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000))
def quarantine(path: Path | None, limit: int, *, as_json: bool) -> None:
    """List what was kept but not understood, newest first.

    \b
    Example:
      dataexport-exporter quarantine --json
    """
    _read(path, lambda _, ledger: listing.quarantine(ledger.quarantine(limit), as_json=as_json))


@main.command()
@_config_option
def doctor(path: Path | None) -> None:
    """Examine configuration, store, clocks and zones; exit 1 if anything is wrong.

    \b
    Example:
      dataexport-exporter doctor --config dataexport.toml
    """
    settings = config.load(path, os.environ)
    ledger = SqlLedger(settings.store_url)
    reader = Reader(ledger, settings.plain_sources, settings.exports)
    reader.refresh()
    report = examine(settings, ledger, reader, time.time())
    ledger.close()
    click.echo(report.text)
    sys.exit(0 if report.healthy else FAILED)


def _read(path: Path | None, show: Callable[[Reader, SqlLedger], str]) -> None:
    settings = config.load(path, os.environ)
    name = Path(settings.store_url.removeprefix("sqlite:///"))
    if not name.exists():
        message = f"store.url: there is no database at {name}; start the exporter first, or give its --config"
        raise StoreRefusedError(message)
    ledger = SqlLedger(settings.store_url)
    try:
        reader = Reader(ledger, settings.plain_sources, settings.exports)
        reader.refresh()
        click.echo(show(reader, ledger))
    finally:
        ledger.close()
