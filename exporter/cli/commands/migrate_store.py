"""The command that moves a ledger to another database."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, closing
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr, ValidationError

from exporter.cli.commands import FAILED
from exporter.cli.options import config_option
from exporter.config import loader
from exporter.config.settings import Store
from exporter.domain.errors import StoreRefusedError
from exporter.ingest.intake import quarantine_reasons
from exporter.ledger import store_copy
from exporter.ledger.sql.database import Database
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.file import exclusive_use
from exporter.metrics.renderer import Renderer
from exporter.projection.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click._termui_impl import ProgressBar

    from exporter.config.loader import Config

_SQLITE = "sqlite:///"


class _StoreUrl(click.ParamType[str]):
    """A database as ``store.url`` names it; what was given is not repeated, since a password may be in it."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same, if it is one."""
        try:
            return Store(url=SecretStr(str(value))).url.get_secret_value()
        except ValidationError as error:
            self.fail(error.errors()[0]["msg"].removeprefix("Value error, "), param, ctx)


@click.command("migrate-store")
@config_option
@click.argument("source", metavar="FROM", type=_StoreUrl())
@click.argument("target", metavar="TO", type=_StoreUrl())
@click.option("--force", is_flag=True, help="Although an exporter's heartbeat is fresh: you know that it has ended.")
def migrate_store(path: Path | None, source: str, target: str, *, force: bool) -> None:
    """Copy a ledger into another database, which has to be new: to PostgreSQL and back, or to another file.

    FROM and TO are URLs as in store.url. Stop every exporter on either first. Killed, it goes on
    with what is missing when it is started again; until it is done, no exporter opens TO. At the end
    it compares every row, and the metrics as the configuration has them shown. FROM stays as it is.
    PGPASSWORD and ~/.pgpass are read, so that no password has to stand on the command line.

    \b
    Example:
      dataexport-exporter migrate-store sqlite:///dataexport.db postgresql+psycopg://dataexport@db.example/dataexport
    """
    settings = loader.load(path, os.environ)
    with ExitStack() as opened:
        databases = [_open(opened, name, url, force=force) for name, url in (("FROM", source), ("TO", target))]
        if store_copy.begin_copy(*databases):
            click.echo("going on with the copy that was begun", err=True)
        rows = store_copy.count_rows(databases[0])
        with _progress("copying", rows) as bar:
            for step in store_copy.copy_rows(*databases):
                bar.update(step)
        with _progress("comparing", rows) as bar:
            for found in chain(store_copy.compare_rows(*databases), metric_differences(settings, source, target)):
                if isinstance(found, str):
                    click.echo(f"error: {found}; TO stays marked as unfinished, so that no exporter uses it", err=True)
                    click.get_current_context().exit(FAILED)
                bar.update(found)
        store_copy.finish_copy(*databases)
    click.echo(f"{rows} rows copied and compared")


def metric_differences(settings: Config, source: str, target: str) -> Iterator[str]:
    """The lines of a scrape that are others from the copy."""
    now = time.time()
    for ours, theirs in zip_longest(_metrics(settings, source, now), _metrics(settings, target, now)):
        if ours != theirs:
            yield f"the metrics differ: FROM has {ours}, TO has {theirs}"


def _open(opened: ExitStack, name: str, url: str, *, force: bool) -> Database:
    if url.startswith(_SQLITE):
        file = Path(url.removeprefix(_SQLITE))
        if name == "FROM" and not file.exists():
            message = f"FROM: there is no database at {file}"
            raise StoreRefusedError(message)
        if file.exists():
            with exclusive_use(file):
                pass
    database = opened.enter_context(closing(Database(url, unfinished=True)))
    since = store_copy.heartbeat_age(database, time.time())
    if since < store_copy.HEARTBEAT_TIMEOUT and not force:
        message = (
            f"{name} is in use: the newest heartbeat of an exporter in it is {max(0.0, since):.0f} s old; stop every "
            f"exporter on it, and wait until that is {store_copy.HEARTBEAT_TIMEOUT:.0f} s, or give --force"
        )
        raise StoreRefusedError(message)
    return database


def _progress(label: str, length: int) -> ProgressBar[int]:
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def _metrics(settings: Config, url: str, now: float) -> list[str]:
    with closing(SqlLedger(url, unfinished=True)) as ledger:
        reader = Projector(ledger, settings.sources_without_credentials, settings.exports)
        collector = Renderer(reader, settings.limits.exports_per_source, quarantine_reasons())
        collector.update(now)
        return b"".join(collector.body(openmetrics=False).plain_pieces(b"")).decode().splitlines()
