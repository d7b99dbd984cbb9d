"""The command `assets`, which writes the files that the package ships."""

from __future__ import annotations

import os
from pathlib import Path

import click

from exporter.cli import assets as shipped
from exporter.domain.errors import ExporterError


@click.command()
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to."
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist and differ.")
def assets(folder: Path, overwrite: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Write rules, dashboards and examples.

    Also the Alertmanager configuration and the systemd unit. They fit this release. Nothing is written
    if a file exists and differs, unless --overwrite is given.

    \b
    Example:
      dataexport-exporter assets --to dataexport-assets
    """
    contents = {folder / name: shipped.read(name) for name in shipped.names()}
    differing = [str(path) for path, content in contents.items() if path.exists() and path.read_bytes() != content]
    if differing and not overwrite:
        message = f"{', '.join(differing)}: exists and differs; give another folder, or --overwrite to replace it"
        raise ExporterError(message)
    umask = os.umask(0o022)  # Prometheus and Grafana, which read these files, have users of their own
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            click.echo(path)
    except OSError as error:
        message = f"{error.filename}: cannot be written ({error.strerror}); give a folder that this user can write to"
        raise ExporterError(message) from error
    finally:
        os.umask(umask)
