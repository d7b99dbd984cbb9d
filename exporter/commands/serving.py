"""The commands that start the exporter, and check before a start."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from exporter import config, logs, server
from exporter.clock import refuse_clock
from exporter.commands.options import config_option
from exporter.environment import REVISION_VARIABLE
from exporter.read_process import ReadProcess
from exporter.service import Service, scope_of
from exporter.sql_ledger import SqlLedger
from exporter.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from exporter.config import Config
    from exporter.sql_database import Observer

log = structlog.get_logger()


@click.command()
@config_option
def serve(path: Path | None) -> None:
    """Receive webhooks and show metrics, until stopped.

    \b
    Example:
      dataexport-exporter serve --config dataexport.toml
    """

    def reread() -> Config:
        return config.load(path, os.environ)

    settings = reread()
    refuse_clock(time.time())
    logs.configure(settings.log)
    if not (settings.admin_listen.is_loopback or settings.admin_credentials.wanted):
        log.warning("anyone who reaches server.admin_listen can read it and reload; set server.admin_tokens_file")
    # Opened here first: what is wrong with it is said before anything listens.
    looked_at = SqlLedger(settings.store_url)
    looked_at.close()
    server.refuse_taken([settings.webhook_listen, settings.admin_listen])

    def opened(observe: Observer) -> SqlLedger:
        return SqlLedger(settings.store_url, observe)

    def start(sockets: Sequence[socket]) -> Service:
        telemetry = Telemetry(os.environ.get(REVISION_VARIABLE, ""))
        model = None
        if looked_at.can_be_read_beside:
            scope = scope_of(settings)
            model = ReadProcess(opened, scope, telemetry.observe_elsewhere, sockets)
            telemetry.follow(model.pid)
        service = Service(settings, reread, opened(telemetry.observe_store), telemetry, model=model)
        service.start()
        return service

    server.serve(settings, start)


@click.command("check-config")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
def check_config(path: Path) -> None:
    """Say what is wrong with a configuration file; exit 2 if anything is.

    \b
    Example:
      dataexport-exporter check-config dataexport.toml
    """
    found = config.load(path, os.environ)
    click.echo(f"{path}: fine, {len(found.sources)} sources, {len(found.exports)} declared exports")
