"""The commands `backup` and `restore`, for SQLite stores."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli.options import config_option
from exporter.cli.progress import progress_bar
from exporter.config import loader, store_url
from exporter.domain.errors import ExporterError
from exporter.domain.humanize import format_count
from exporter.ledger.access import Access
from exporter.ledger.clock import Clock, ThisMachine
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite import backup as sqlite_backup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.ledger.sqlite.backup import Progress, StoreSummary

_BYTE_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


@click.command()
@config_option
@click.argument("target", type=click.Path(path_type=Path), metavar="FILE", required=False)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--done", is_flag=True, help="Copy nothing. Record a backup that was just made by other means.")
def backup(path: Path | None, target: Path | None, *, force: bool, done: bool) -> None:
    """Back up a SQLite store to FILE.

    The exporter may run. The backup contains every event acknowledged before the command started. It is
    checked before it gets its name, so FILE is complete or does not exist. The store then records the
    time of the backup, for the metric and the alert. For PostgreSQL, use pg_dump, and record it with
    --done.

    \b
    Examples:
      dataexport-exporter backup /var/backups/dataexport-2026-12-31.db
      pg_dump --format=custom --file=FILE --dbname=URL && dataexport-exporter backup --done
    """
    url = loader.load(path, os.environ).store_url
    if done:
        if target is not None:
            message = "--done copies nothing; give the FILE to write, or --done, not both"
            raise click.UsageError(message)
        _record_backup(url)
        click.echo("recorded: the store was backed up just now")
        return
    if target is None:
        message = "give the FILE to write, or --done to record a backup that was made by other means"
        raise click.UsageError(message)
    database = require_sqlite_file(
        url, "pg_dump --format=custom --file=FILE --dbname=URL && dataexport-exporter backup --done"
    )
    with _progress("copying") as on_progress:
        contents = sqlite_backup.back_up(database, target, on_progress, overwrite=force)
    click.echo(f"{target}: {_format_summary(contents)}")
    try:
        _record_backup(url)
    except ExporterError as error:  # the copy is whole all the same, and reading the store was enough for it
        click.echo(
            f"note: metrics and alerts do not show this backup, since it could not be recorded: {error}", err=True
        )


@click.command()
@config_option
@click.argument("copy", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--force", is_flag=True, help="Proceed although a heartbeat is less than 30 s old. Only if the exporter is stopped."
)
def restore(path: Path | None, copy: Path, *, force: bool) -> None:
    """Replace a SQLite store with a backup.

    Stop the exporter first. The previous store is kept beside it, under a name that is printed. For
    PostgreSQL, use pg_restore.

    \b
    Example:
      dataexport-exporter restore /var/backups/dataexport-2026-12-31.db
    """
    database = require_sqlite_file(
        loader.load(path, os.environ).store_url, "pg_restore --clean --if-exists --dbname=URL FILE"
    )
    with _progress("restoring") as on_progress:
        restored = sqlite_backup.restore(copy, database, time.time(), on_progress, force=force)
    click.echo(f"{database}: {_format_summary(restored.contents)}")
    if restored.previous is not None:
        click.echo(f"{restored.previous}: the previous store")


def require_sqlite_file(url: str, postgres_command: str) -> Path:
    """Return the file that a store URL names.

    Raises:
        UsageError: the store is not SQLite; the message shows ``postgres_command`` to use instead.
    """
    file = store_url.sqlite_file(url)
    if file is None:
        message = (
            f"store.url is not a SQLite file; with PostgreSQL, run this instead: {postgres_command} "
            "(URL is that of store.url, but begins with postgresql://)"
        )
        raise click.UsageError(message)
    return file


def _record_backup(url: str) -> None:
    ledger = SqlLedger(url, access=Access.WRITE)
    try:
        clock = Clock(ledger, ThisMachine())
        clock.start()
        ledger.record_backup(*clock.read())
    finally:
        ledger.close()


@contextmanager
def _progress(label: str) -> Iterator[Progress]:
    with progress_bar(label, 1) as bar:

        def on_progress(done: int, pages: int) -> None:
            bar.length = pages
            bar.update(done - bar.pos)

        yield on_progress


def _format_summary(contents: StoreSummary) -> str:
    size = next(
        (f"{contents.bytes / unit:.1f} {name}" for name, unit in _BYTE_UNITS if contents.bytes >= unit), "0 KiB"
    )
    return f"{format_count(contents.events, 'event')}, {size}"
