"""The commands that list what an exporter knows: `exports`, `events` and `sources`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from exporter.cli import tables
from exporter.cli.event_sources import require_known_source, require_source
from exporter.cli.open_exporter import exporter_options, open_exporter, require_store
from exporter.cli.open_store import open_store
from exporter.cli.options import WholeNumber, output_options, source_option
from exporter.cli.watching import refuse_without_terminal, watch
from exporter.domain.state_filter import StateFilter
from exporter.domain.states import CONDITIONS
from exporter.ingest.json_lines import format_line
from exporter.ledger.replay_store import all_with_bodies

if TYPE_CHECKING:
    from exporter.cli.open_exporter import Place


@click.command()
@exporter_options
@output_options
@click.option("--state", type=click.Choice(CONDITIONS), help="Only exports in this state.")
@source_option
@click.option("--owner", help="Only exports of this owner; an empty text for those without one.")
@click.option("--watch", "watches", is_flag=True, help="Show the table again every 3 s, until Ctrl-C.")
def exports(  # noqa: PLR0913 - one for each option
    place: Place, output: str, state: str | None, source: str | None, owner: str | None, *, watches: bool
) -> None:
    """List all exports, the most urgent first.

    A terminal that is too narrow shows fewer columns; --json shows everything. The states are colored
    on a terminal, unless the variable NO_COLOR is set.

    \b
    Example:
      dataexport-exporter exports --state overdue --owner data-platform
      dataexport-exporter exports --url http://127.0.0.1:10047 --watch
    """
    chosen = StateFilter(state, source, owner)
    is_filtered = chosen != StateFilter()
    if watches:
        refuse_without_terminal(output)
    with open_exporter(place) as exporter:
        require_known_source(source, exporter)
        if watches:
            watch(lambda now: tables.exports_table(exporter.list_exports(chosen), now, is_filtered=is_filtered))
            return
        documents = exporter.list_exports(chosen)
        tables.print_documents(
            documents, output, lambda: tables.exports_table(documents, time.time(), is_filtered=is_filtered)
        )


@click.command()
@exporter_options
@output_options
@source_option
@click.option("--limit", default=20, type=WholeNumber(1, 100_000), help="Most events to list.")
@click.option(
    "--for-replay", is_flag=True, help="Print all events with their bodies, one per line, as `replay` reads them."
)
def events(place: Place, output: str, source: str | None, limit: int, *, for_replay: bool) -> None:
    """List the newest events, or all for a replay.

    \b
    Example:
      dataexport-exporter events --limit 5
      dataexport-exporter events --for-replay > events.jsonl
    """
    if for_replay:
        require_store(place, "--for-replay")
        with open_store(place.path) as (settings, _, ledger):
            require_source(source, settings, ledger)
            for slug in sorted(settings.sources) if source is None else [source]:
                for accepted_event in all_with_bodies(ledger.replay_store, slug):
                    click.echo(format_line(accepted_event))
        return
    with open_exporter(place) as exporter:
        require_known_source(source, exporter)
        documents = exporter.list_events(source, limit)
        tables.print_documents(documents, output, lambda: tables.events_table(documents, source))


@click.command()
@exporter_options
@output_options
def sources(place: Place, output: str) -> None:
    """List the sources and what arrived from each.

    Sources that are no longer configured are listed as well, if they have events.

    \b
    Example:
      dataexport-exporter sources
    """
    with open_exporter(place) as exporter:
        documents = exporter.list_sources()
        tables.print_documents(documents, output, lambda: tables.sources_table(documents, time.time()))
