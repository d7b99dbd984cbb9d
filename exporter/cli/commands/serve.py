"""The commands `serve` and `check-config`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli.options import config_option
from exporter.config import loader
from exporter.config.environment import REVISION_VARIABLE
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server import gunicorn_app, logs, startup_checks
from exporter.server.service import Service
from exporter.server.startup_checks import refuse_clock

if TYPE_CHECKING:
    from exporter.config.loader import Config


@click.command()
@config_option
def serve(path: Path | None) -> None:
    """Receive webhooks and show metrics, until stopped.

    \b
    Example:
      dataexport-exporter serve --config dataexport.toml
    """

    def load_config() -> Config:
        return loader.load(path, os.environ)

    settings = load_config()
    refuse_clock(time.time())
    logs.configure(settings.log)
    # Open the store once before any port is open, so that an unusable one is reported first.
    SqlLedger(settings.store_url).close()
    startup_checks.refuse_used_addresses([settings.webhook_listen, settings.admin_listen])

    def start_service() -> Service:
        process_metrics = ProcessMetrics(os.environ.get(REVISION_VARIABLE, ""))
        ledger = SqlLedger(settings.store_url, process_metrics.observe_operation)
        service = Service(settings, load_config, ledger, process_metrics)
        service.start()
        return service

    gunicorn_app.serve(settings, start_service)


@click.command("check-config")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
def check_config(path: Path) -> None:
    """Say what is wrong with a configuration file; exit 2 if anything is.

    \b
    Example:
      dataexport-exporter check-config dataexport.toml
    """
    settings = loader.load(path, os.environ)
    click.echo(f"{path}: fine, {len(settings.sources)} sources, {len(settings.exports)} declared exports")
