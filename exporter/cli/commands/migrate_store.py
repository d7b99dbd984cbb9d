"""The command `migrate-store`: copies a store to another database and compares the two."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli.commands import FAILED
from exporter.cli.options import config_option
from exporter.cli.progress import progress_bar
from exporter.config import loader, store_url
from exporter.domain.errors import StoreRefusedError
from exporter.ingest.intake import quarantine_reasons
from exporter.ledger import store_copy
from exporter.ledger.access import Access
from exporter.ledger.contract import HEARTBEAT_TIMEOUT
from exporter.ledger.sql.database import Database
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.locks import exclusive_use
from exporter.metrics.renderer import Renderer
from exporter.projection.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.loader import Config


class _StoreUrl(click.ParamType[str]):
    """Parses a URL as in ``store.url``; errors do not repeat the value, because it may contain a password."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL with an absolute path if it is valid."""
        try:
            return store_url.absolute(store_url.check(str(value)), Path())
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("migrate-store")
@config_option
@click.argument("source", metavar="FROM", type=_StoreUrl())
@click.argument("target", metavar="TO", type=_StoreUrl())
@click.option(
    "--force", is_flag=True, help="Proceed although a heartbeat is less than 30 s old. Only if the exporter is stopped."
)
def migrate_store(path: Path | None, source: str, target: str, *, force: bool) -> None:
    """Copy a store into a new database.

    From SQLite to PostgreSQL, back, or to another file. FROM and TO are URLs as in store.url. Stop
    every exporter on both first. FROM is not changed. If the command is killed, run it again: it
    continues with the missing rows. No exporter opens TO before the copy is complete. At the end, the
    command compares every row, and the metrics under the configuration. Give the password in PGPASSWORD
    or ~/.pgpass, not on the command line.

    \b
    Example:
      dataexport-exporter migrate-store sqlite:///dataexport.db postgresql+psycopg://dataexport@db.example/dataexport
    """
    settings = loader.load(path, os.environ)
    with ExitStack() as stack:
        databases = [_open(stack, name, url, force=force) for name, url in (("FROM", source), ("TO", target))]
        if store_copy.begin_copy(*databases):
            click.echo("continuing an unfinished copy", err=True)
        rows = store_copy.count_rows(databases[0])
        with progress_bar("copying", rows) as bar:
            for step in store_copy.copy_rows(*databases):
                bar.update(step)
        with progress_bar("comparing", rows) as bar:
            for finding in chain(store_copy.compare_rows(*databases), metric_differences(settings, source, target)):
                if isinstance(finding, str):
                    click.echo(
                        f"error: {finding}; TO stays marked as unfinished, so that no exporter uses it", err=True
                    )
                    click.get_current_context().exit(FAILED)
                bar.update(finding)
        store_copy.finish_copy(*databases)
    click.echo(f"{rows} rows copied and compared")


def metric_differences(settings: Config, source: str, target: str) -> Iterator[str]:
    """Yield a message for each line in which the scrapes of the two stores differ."""
    now = time.time()
    for from_line, to_line in zip_longest(_metric_lines(settings, source, now), _metric_lines(settings, target, now)):
        if from_line != to_line:
            yield f"the metrics differ: FROM has {from_line}, TO has {to_line}"


def _open(stack: ExitStack, name: str, url: str, *, force: bool) -> Database:
    """Open a database until ``stack`` closes, and refuse one that an exporter uses.

    Raises:
        StoreRefusedError: FROM does not exist, or the database is in use.
    """
    file = store_url.sqlite_file(url)
    if file is not None and name == "FROM" and not file.exists():
        message = f"FROM: there is no database at {file}"
        raise StoreRefusedError(message)
    if file is not None and file.exists():
        with exclusive_use(file):
            pass
    access = Access.WRITE if name == "FROM" else Access.CREATE
    database = stack.enter_context(closing(Database(url, unfinished=True, access=access)))
    age = store_copy.heartbeat_age(database, time.time())
    if age < HEARTBEAT_TIMEOUT and not force:
        message = (
            f"{name} is in use: the newest heartbeat of an exporter in it is {age:.0f} s old; stop every "
            f"exporter on it, and wait until the heartbeat is {HEARTBEAT_TIMEOUT:.0f} s old, or give --force"
        )
        raise StoreRefusedError(message)
    return database


def _metric_lines(settings: Config, url: str, now: float) -> list[str]:
    with closing(SqlLedger(url, unfinished=True)) as ledger:
        projector = Projector(ledger, settings.sources_without_credentials, settings.exports)
        renderer = Renderer(projector, settings.limits.exports_per_source, quarantine_reasons())
        renderer.update(now)
        return renderer.body(openmetrics=False).plain(b"").decode().splitlines()
