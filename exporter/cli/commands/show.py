"""The read-only commands: `exports`, `events`, `sources` and `doctor`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from exporter.cli import tables
from exporter.cli.commands import FAILED
from exporter.cli.doctor import run_checks
from exporter.cli.event_sources import newest_of_unconfigured_sources, require_source
from exporter.cli.open_store import open_store
from exporter.cli.options import config_option, json_option, source_option
from exporter.ingest.json_lines import format_line
from exporter.ledger.replay_store import all_with_bodies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.ledger.sql.ledger import SqlLedger
    from exporter.projection.projector import Projector


@click.command()
@config_option
@json_option
def exports(path: Path | None, *, as_json: bool) -> None:
    """List all exports, the most urgent first.

    \b
    Example:
      dataexport-exporter exports --config dataexport.toml --json
    """
    now = time.time()
    _show(path, lambda projector, _: tables.exports_table(projector.list_states(now), now, as_json=as_json))


@click.command()
@config_option
@json_option
@source_option
@click.option("--limit", default=20, type=click.IntRange(1, 100_000), help="Most events to list.")
@click.option(
    "--for-replay", is_flag=True, help="Print all events with their bodies, one per line, as `replay` reads them."
)
def events(path: Path | None, source: str | None, limit: int, *, as_json: bool, for_replay: bool) -> None:
    """List the newest events, or all for a replay.

    \b
    Example:
      dataexport-exporter events --limit 5
      dataexport-exporter events --for-replay > events.jsonl
    """
    if for_replay:
        with open_store(path) as (settings, _, ledger):
            require_source(source, settings, ledger)
            for slug in sorted(settings.sources) if source is None else [source]:
                for accepted_event in all_with_bodies(ledger.replay_store, slug):
                    click.echo(format_line(accepted_event))
        return
    with open_store(path) as (settings, _, ledger):
        require_source(source, settings, ledger)
        click.echo(tables.events_table(ledger.newest(source, limit), source, as_json=as_json))


@click.command()
@config_option
@json_option
def sources(path: Path | None, *, as_json: bool) -> None:
    """List the sources and what arrived from each.

    Sources that are no longer configured are listed as well, if they have events.

    \b
    Example:
      dataexport-exporter sources
    """
    now = time.time()
    with open_store(path) as (settings, projector, ledger):
        newest = newest_of_unconfigured_sources(settings, ledger)
        click.echo(tables.sources_table(projector.list_sources(), newest, now, as_json=as_json))


@click.command()
@config_option
def doctor(path: Path | None) -> None:
    """Check configuration, store, clocks and zones.

    The exit code is 1 if anything is wrong. The command also checks mutes and retirements, and whether
    a running exporter uses this configuration, and suggests declarations for undeclared exports.

    \b
    Example:
      dataexport-exporter doctor --config dataexport.toml
    """
    with open_store(path) as (settings, projector, ledger):
        report = run_checks(settings, ledger, projector, time.time())
    click.echo(report.text)
    sys.exit(0 if report.healthy else FAILED)


def _show(path: Path | None, render: Callable[[Projector, SqlLedger], str]) -> None:
    with open_store(path) as (_, projector, ledger):
        click.echo(render(projector, ledger))
