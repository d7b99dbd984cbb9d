"""The command line: the only place that wires the parts together."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import click
import structlog

from exporter import __version__, config, listing, logs, server, simulation
from exporter.backfill import FAMILIES, Backfill, Knowledge
from exporter.config import CONFIG_VARIABLE, REVISION_VARIABLE
from exporter.doctor import examine
from exporter.errors import ConfigurationError, ExporterError, StoreRefusedError
from exporter.event_time import load_zone
from exporter.frequency import DAY
from exporter.reader import Reader
from exporter.rules import declared_rules
from exporter.send import sample_body, send_to
from exporter.service import Service
from exporter.sources.clevertap import REASONS
from exporter.sql_ledger import SqlLedger
from exporter.telemetry import Telemetry
from exporter.web import admin, receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import WSGIApplication

    from exporter.config import Config

log = structlog.get_logger()

FAILED = 1
WRONG_USAGE = 2

_config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="The TOML file; without one, defaults and DATAEXPORT_… variables hold.",
)


class _Instant(click.ParamType[float]):
    """A date and time as Unix seconds; UTC where it names no offset."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Unix seconds."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no date and time; give one such as 2026-12-31T16:50:52Z", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_INSTANT = _Instant()
_SHARE = click.FloatRange(0, 1)

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
    if not (settings.admin_listen.is_loopback or settings.admin_credentials.wanted):
        log.warning("anyone who reaches server.admin_listen can read it and reload; set server.admin_tokens_file")
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
    with _opened(path) as (settings, reader, ledger):
        report = examine(settings, ledger, reader, time.time())
    click.echo(report.text)
    sys.exit(0 if report.healthy else FAILED)


@main.command()
@_config_option
@click.option("--store", help="A new database to fill as if it had listened, such as sqlite:///demo.db.")
@click.option("--url", help="The webhook of a running exporter to post to.")
@click.option("--json-lines", is_flag=True, help="Print arrivals, bodies and faults instead.")
@click.option("--token-file", type=click.Path(path_type=Path), help="With --url: a file with the source's token.")
@click.option(
    "--speed", default=0.0, type=click.FloatRange(0), help="With --url: times faster than it happened; 0 is at once."
)
@click.option("--exports", "count", default=40, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--days", default=30.0, show_default=True, type=click.FloatRange(0, 3660, min_open=True))
@click.option("--until", type=_INSTANT, help="When the history ends, such as 2026-12-31T16:50:52Z; now if not given.")
@click.option("--late", default=0.01, show_default=True, type=_SHARE, help="The share of runs that start late.")
@click.option("--missed", default=0.01, show_default=True, type=_SHARE, help="The share that never starts.")
@click.option("--stuck", default=0.01, show_default=True, type=_SHARE, help="The share that never ends.")
@click.option("--seed", default=1, show_default=True, help="Another seed, another history.")
@click.option(
    "--timezone", default="Europe/Berlin", show_default=True, help="The clock of sources on auto, and of --url."
)
def simulate(  # noqa: PLR0913, PLR0917 - a made-up world has many knobs
    path: Path | None,
    store: str | None,
    url: str | None,
    token_file: Path | None,
    speed: float,
    count: int,
    days: float,
    until: float | None,
    late: float,
    missed: float,
    stuck: float,
    seed: int,
    timezone: str,
    *,
    json_lines: bool,
) -> None:
    """Make up a fleet of exports with delays, misses and stuck runs.

    With --store the exports are spread over the configured sources. With --url they belong to one
    source, which has to be configured with this --timezone: old events say nothing about a clock.

    \b
    Example:
      dataexport-exporter simulate --store sqlite:///demo.db --exports 40 --days 30
      dataexport-exporter simulate --url http://127.0.0.1:8080/webhooks/clevertap/default --days 2
    """
    now = time.time()
    ends = now if until is None else until
    begins = ends - days * DAY
    if bool(store) + bool(url) + json_lines != 1:
        message = "give one of --store, --url and --json-lines"
        raise click.UsageError(message)
    if late + missed + stuck > 1:
        message = f"--late, --missed and --stuck are shares of all runs; together they are {late + missed + stuck:g}"
        raise click.UsageError(message)
    if ends > now and not json_lines:
        message = "--until lies in the future, where nothing has arrived yet"
        raise click.UsageError(message)
    settings = config.load(path, os.environ)
    try:
        clock = load_zone(timezone) or UTC
    except ValueError as error:
        message = f"--timezone: {error}"
        raise click.UsageError(message) from error
    clocks = [(each.slug, each.zone or clock) for each in settings.plain_sources.values()]
    plans = simulation.fleet(count, [("url", clock)] if url else clocks, begins, seed)
    made_up = simulation.history(plans, begins, ends, seed, simulation.rates(late, missed, stuck))
    if json_lines:
        for each in made_up:
            click.echo(json.dumps(each.record()))
        return
    with click.progressbar(length=int(days * DAY), label="simulating", file=sys.stderr) as bar:
        watched = _watched(made_up, lambda each: bar.update(int(each.at - begins) - bar.pos))
        if url:
            done = simulation.post(watched, lambda text: send_to(url, text, token_file), speed, time.sleep)
        else:
            with closing(simulation.HoldingLedger(store or "")) as ledger:
                done = simulation.keep(watched, ledger, settings, (begins, ends))
    click.echo(f"{done} events of {count} exports in {days:g} days", err=True)


@main.command()
@_config_option
@click.option("--from", "since", type=_INSTANT, help="The first instant; the first arrival if not given.")
@click.option("--to", "until", type=_INSTANT, help="The last instant, such as 2026-12-31T16:50:52Z; now if not given.")
@click.option(
    "--step",
    default=300,
    show_default=True,
    type=click.IntRange(1, 300),
    help="Seconds between two samples of what does not change; over 300, queries would find holes.",
)
@click.option("--output", type=click.File("wb", lazy=False), default="-", help="A file instead of the standard output.")
def backfill(path: Path | None, since: float | None, until: float | None, step: int, output: BinaryIO) -> None:
    """Tell the history as OpenMetrics with timestamps, for a Prometheus that was not there.

    Every metric of exports and sources is told as a scrape would have shown it with the present
    configuration: every --step, and whenever it changed. promtool reads the whole file again for
    every two hours in it, so a long history is done sooner a day at a time, with --from and --to.

    \b
    Example:
      dataexport-exporter backfill --output history.om
      promtool tsdb create-blocks-from openmetrics --label=job=dataexport history.om data/
    """
    with _opened(path) as (settings, _, ledger):
        knowledge = Knowledge(
            ledger, settings.plain_sources, settings.exports, settings.limits.exports_per_source, tuple(REASONS)
        )
        told = Backfill(knowledge, since, time.time() if until is None else until, step)
        with click.progressbar(length=told.until - told.since, label="folding", file=sys.stderr) as bar:
            for second in told.fold():
                bar.update(second - told.since - bar.pos)
        with click.progressbar(FAMILIES, label="writing", file=sys.stderr) as families:
            for family in families:
                output.writelines(text.encode() for text in told.text(family))
        output.write(b"# EOF\n")
    click.echo(f"{told.samples} samples of {told.series} series", err=True)


Item = TypeVar("Item")


def _watched(items: Iterable[Item], tell: Callable[[Item], object]) -> Iterator[Item]:
    for each in items:
        tell(each)
        yield each


@main.command()
@_config_option
@click.option("--job", default="dataexport", show_default=True, help="The scrape job of the exporter in Prometheus.")
def rules(path: Path | None, job: str) -> None:
    """Print Prometheus rules that notice a declared export without series.

    \b
    Example:
      dataexport-exporter rules --config dataexport.toml > declared.rules.yaml
    """
    click.echo(declared_rules(config.load(path, os.environ).exports, job), nl=False)


def _read(path: Path | None, show: Callable[[Reader, SqlLedger], str]) -> None:
    with _opened(path) as (_, reader, ledger):
        click.echo(show(reader, ledger))


@contextmanager
def _opened(path: Path | None) -> Iterator[tuple[Config, Reader, SqlLedger]]:
    """The configuration, and what its database has; a command that only looks makes none."""
    settings = config.load(path, os.environ)
    name = Path(settings.store_url.removeprefix("sqlite:///"))
    if not name.exists():
        message = f"store.url: there is no database at {name}; start the exporter first, or give its --config"
        raise StoreRefusedError(message)
    ledger = SqlLedger(settings.store_url)
    try:
        reader = Reader(ledger, settings.plain_sources, settings.exports)
        reader.refresh()
        yield settings, reader, ledger
    finally:
        ledger.close()
