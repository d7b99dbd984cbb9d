"""The command `purge`: removes what a source received in a window, such as from a stranger who had its token."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from exporter.cli.export_selector import describe_export
from exporter.cli.open_store import open_store
from exporter.cli.options import INSTANT, by_option, config_option, why_option
from exporter.cli.tables import format_iso
from exporter.domain.epochs import GIVEN
from exporter.domain.humanize import format_count
from exporter.domain.purges import Window
from exporter.ingest.replay import Replay
from exporter.ledger.access import Access
from exporter.ledger.clock import Clock, ThisMachine
from exporter.projection.baselines import load_source_baseline
from exporter.projection.purge_preview import compare, project_without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.loader import Config
    from exporter.domain.exports import Source
    from exporter.domain.states import ExportState
    from exporter.ledger.sql.ledger import SqlLedger
    from exporter.ledger.sql.purge_store import PurgeCounts
    from exporter.projection.purge_preview import Changes

_COUNTS = ("initiated", "completed", "failed", "abandoned", "in_progress", "slots", "slots_late", "slots_missed")
"""The attributes of a state that the preview compares."""


class _Received(NamedTuple):
    """The window, in Unix seconds."""

    since: float
    until: float


class _ReceivedType(click.ParamType[_Received]):
    """Parses FROM..TO, two points in time in order, neither of which is in the future."""

    name = "FROM..TO"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> _Received:
        """Return the window."""
        since_text, separator, until_text = str(value).partition("..")
        if not separator:
            self.fail(f"{value!r} is not a window; give one such as 2026-06-01T16:00Z..2026-06-01T18:30Z", param, ctx)
        window = _Received(INSTANT.convert(since_text, param, ctx), INSTANT.convert(until_text, param, ctx))
        if window.since >= window.until:
            self.fail(f"{value!r} ends before it begins; give the earlier time first", param, ctx)
        if window.until > time.time():
            self.fail(f"{value!r} ends in the future; give a time until which something was received", param, ctx)
        return window


@click.command()
@config_option
@click.option("--source", "slug", required=True, help="Slug of the source.")
@click.option("--received", type=_ReceivedType(), required=True, help="From the first time until before the second.")
@why_option
@by_option
@click.option(
    "--dry-run", is_flag=True, help="Show what would be removed and which exports would change; change nothing."
)
@click.option("--yes", is_flag=True, help="Remove without asking.")
def purge(  # noqa: PLR0913 - an argument for each option
    path: Path | None, slug: str, received: _Received, by: str, why: str, *, dry_run: bool, yes: bool
) -> None:
    """Remove what a source received in a window.

    There is no undo. The exporter may run. Use it for what a stranger sent with a leaked token.
    Afterwards everything is as if the events, quarantined and refused bodies had never been received;
    only duplicates and test calls stay counted. An event that is delivered again is a new one. Back up
    the store first, or write the events to a file with `events --for-replay`; `replay FILE` restores
    the real ones from it.

    \b
    Example:
      dataexport-exporter purge --source shop --received 2026-06-01T16Z..2026-06-01T18Z --why "leak" --dry-run
    """
    with open_store(path, Access.READ if dry_run else Access.WRITE) as (settings, projector, ledger):
        sources = settings.sources_without_credentials
        if slug not in sources:
            message = f"--source: {slug!r} is not a source; the sources are {', '.join(sorted(sources))}"
            raise click.UsageError(message)
        window = Window(slug, *received)
        after = project_without(ledger, window, sources, settings.exports)
        for line in _preview(ledger.purge_store.count(window), compare(projector, after, time.time())):
            click.echo(line)
        for line in _warnings(settings, ledger, window):
            click.echo(line)
        if dry_run:
            return
        if not yes:
            click.confirm("Remove this?", abort=True)
        clock = Clock(ledger, ThisMachine())
        clock.start()
        removed = ledger.purge_store.remove(window, by, why, *clock.read())
        if sources[slug].zone is None:
            _date_later_events_again(ledger, sources[slug], window)
        ledger.replay_store.amend([], last=True)
        click.echo(f"removed {_format_counts(removed)}")


def _preview(counts: PurgeCounts, changes: Changes) -> Iterator[str]:
    yield f"in the window: {_format_counts(counts)}"
    for state in changes.removed:
        yield f"disappears: {describe_export(state)}"
    for state in changes.added:
        yield f"appears: {describe_export(state)}"
    for before, after in changes.changed:
        yield f"changes: {describe_export(after)}: {_difference(before, after)}"


def _difference(before: ExportState, after: ExportState) -> str:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in _COUNTS)
    counts = [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]
    return ", ".join(counts) or "only times"


def _format_counts(counts: PurgeCounts) -> str:
    return (
        f"{format_count(counts.events, 'event')}, {counts.quarantined} quarantined and {counts.refused} refused bodies"
    )


def _warnings(settings: Config, ledger: SqlLedger, window: Window) -> Iterator[str]:
    """Yield what a purge of the window does not do, or does in addition."""
    source = settings.sources_without_credentials[window.source]
    pruned_until = load_source_baseline(ledger, window.source).state(source, ()).last_accepted
    if pruned_until >= window.since:
        yield (
            f"note: store.retention has pruned events of this source that arrived until {format_iso(pruned_until)}: "
            "those in the window stay counted"
        )
    if source.zone is None:
        yield 'note: timezone = "auto": what the source received since then is dated again'
    yield "note: there is no undo, so back up the store first"


def _date_later_events_again(ledger: SqlLedger, source: Source, window: Window) -> None:
    """Date the events after the window by the offset that the events which are left show."""
    epochs = {GIVEN.id, *(epoch.id for epoch in ledger.epochs())}
    Replay(ledger, ledger.replay_store, {source.slug: source}, -math.inf).redate(source, window.since, epochs)
