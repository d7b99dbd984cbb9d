"""The command `healthcheck`, in a module of its own: it runs often, and beside an exporter with little memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from exporter.cli.options import Number, config_option
from exporter.cli.readiness import check_readiness
from exporter.config import loader
from exporter.domain.errors import ConfigurationError, ExporterError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@click.option("--timeout", default=3.0, type=Number(0, 60, min_open=True), help="Seconds to wait.")
def healthcheck(path: Path | None, timeout: float) -> None:
    """Check that the running exporter is ready.

    For containers. The exit code is 1 if it is not ready. The configuration gives the address of the
    admin listener. No credential is needed.

    \b
    Example:
      dataexport-exporter healthcheck --config dataexport.toml
    """
    try:
        address = loader.admin_address(path, os.environ)
    except ConfigurationError as error:  # not its exit code: docker reserves 2
        raise ExporterError(str(error)) from error
    click.echo(check_readiness(address, timeout))
