"""The commands `serve` and `check-config`."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from exporter.cli.options import config_option
from exporter.config import loader, store_url
from exporter.config.variables import CONFIG_VARIABLE, REVISION_VARIABLE
from exporter.domain.humanize import format_count
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.locks import removed_if_it_fails, serving
from exporter.ledger.sqlite.permissions import refuse_open_folder
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server import gunicorn_app, logs, startup_checks
from exporter.server.service import Service
from exporter.server.service_manager import ServiceManager
from exporter.server.startup_checks import refuse_clock
from exporter.server.store_wait import wait_for_store

if TYPE_CHECKING:
    from exporter.config.loader import Config

log = structlog.get_logger()


@click.command()
@config_option
def serve(path: Path | None) -> None:
    """Receive webhooks and expose metrics.

    \b
    Example:
      dataexport-exporter serve --config dataexport.toml
    """

    def load_config() -> Config:
        config = loader.load(path, os.environ)
        _log_environment(config)
        return config

    manager = ServiceManager(os.environ)
    settings = loader.load(path, os.environ)
    refuse_clock(time.time())
    logs.configure(settings.log)
    _log_environment(settings)

    def start_service() -> Service:
        process_metrics = ProcessMetrics(os.environ.get(REVISION_VARIABLE, ""))
        ledger = SqlLedger(settings.store_url, process_metrics.observe_operation)
        service = Service(settings, load_config, ledger, process_metrics)
        service.start(manager.notify_ready)
        return service

    def open_store() -> None:
        SqlLedger(settings.store_url).close()

    file = store_url.sqlite_file(settings.store_url)
    if file and not settings.allow_open_store_folder:
        refuse_open_folder(file.resolve())
    with ExitStack() as stack:
        # Open the store once before the listeners, so that an unusable one is reported first.
        with removed_if_it_fails(file) if file else nullcontext():
            if file:
                stack.enter_context(serving(file))
                open_store()
            startup_checks.refuse_used_addresses([settings.webhook_listen, settings.admin_listen])
            folders = (*startup_checks.TEMPORARY_FOLDERS, *([str(file.parent)] if file else []))
            temporary_folder = startup_checks.find_temporary_folder(os.environ, folders)
        if not file:
            wait_for_store(open_store, settings.admin_listen)
        gunicorn_app.serve(settings, start_service, temporary_folder)


def _log_environment(config: Config) -> None:
    """Log what environment variables override, and which are ignored."""
    for override in config.overrides:
        log.info(
            "setting_overridden",
            variable=override.variable,
            setting=override.setting,
            value=override.value,
            instead_of=override.file_value,
        )
    if config.ignored_variables:
        log.info("variables_ignored", variables=list(config.ignored_variables))


@click.command("check-config")
@config_option
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE", required=False)
def check_config(path: Path | None, file: Path | None) -> None:
    """Validate a configuration file.

    The exit code is 2 if it is invalid. The command also lists the settings that environment variables override.

    \b
    Example:
      dataexport-exporter check-config dataexport.toml
    """
    checked = file or path
    if checked is None:
        message = f"give the FILE to check, as an argument, with --config or in {CONFIG_VARIABLE}"
        raise click.UsageError(message)
    settings = loader.load(checked, os.environ)
    sources = format_count(len(settings.sources), "source")
    exports = format_count(len(settings.exports), "declared export")
    click.echo(f"{checked}: fine, {sources}, {exports}")
    for override in settings.overrides:
        click.echo(f"note: {override}")
