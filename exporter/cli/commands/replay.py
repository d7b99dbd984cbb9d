"""The command `replay`: reprocesses quarantined, stored or imported events with the current parser."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

import click

from exporter.cli.commands import FAILED
from exporter.cli.event_sources import require_configured_source
from exporter.cli.open_exporter import exporter_options, open_exporter, require_store
from exporter.cli.open_store import open_store
from exporter.cli.progress import progress_bar
from exporter.domain.humanize import format_duration
from exporter.ingest.replay import QuarantineSelection, Replay, ReplayResult, oldest_acceptable
from exporter.ledger.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.cli.open_exporter import Place

MAX_LISTED = 10
"""How many time shifts the summary of a rebuild lists."""


@click.command()
@exporter_options
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--quarantine", is_flag=True, help="Retry quarantined bodies.")
@click.option(
    "--rebuild", is_flag=True, help="Recompute the time of stored events, after you correct `timezone` or upgrade."
)
@click.option("--source", help="Only this source.")
@click.option("--reason", help="With --quarantine: only bodies quarantined for this reason.")
@click.option("--dry-run", is_flag=True, help="With --quarantine or --rebuild: only show what would change.")
def replay(  # noqa: PLR0913 - an argument for each option
    place: Place,
    file: BinaryIO | None,
    source: str | None,
    reason: str | None,
    *,
    quarantine: bool,
    rebuild: bool,
    dry_run: bool,
) -> None:
    """Reprocess quarantined, stored or imported events.

    The current parser and time zones apply. FILE has one event per line, as `events --for-replay` writes them:
    {"source": …, "arrived_at": …, "body": {…}}; - is standard input. Events keep their original
    arrival time. An event already stored is skipped and counted as a duplicate. The exporter may run.

    \b
    Example:
      dataexport-exporter replay --quarantine --dry-run
      dataexport-exporter replay --rebuild --source shop
      dataexport-exporter events --for-replay --config old.toml | dataexport-exporter replay -
    """
    if quarantine + rebuild + (file is not None) != 1:
        message = "give one of FILE, --quarantine and --rebuild"
        raise click.UsageError(message)
    if reason is not None and not quarantine:
        message = "--reason goes with --quarantine"
        raise click.UsageError(message)
    if dry_run and file is not None:
        message = "--dry-run goes with --quarantine or --rebuild"
        raise click.UsageError(message)
    access = Access.READ if dry_run else Access.WRITE
    if quarantine:
        with open_exporter(place, access) as exporter:
            require_configured_source(source, exporter)
            result = exporter.replay_quarantine(QuarantineSelection(source, reason), dry_run=dry_run)
        click.echo(_format_counts(result, dry_run=dry_run))
        return
    require_store(place, "FILE or --rebuild")
    with open_store(place.path, access) as (settings, _, ledger):
        sources = settings.sources_without_credentials
        if source is not None and source not in sources:
            message = f"--source: {source!r} is not a source; the sources are {', '.join(sorted(sources))}"
            raise click.UsageError(message)
        slugs = sorted(sources) if source is None else [source]
        oldest = oldest_acceptable(ledger, settings.retention, time.time())
        replayer = Replay(ledger, ledger.replay_store, sources, oldest)
        if file is not None:
            lines = _with_progress(file)
            result = _last_result(replayer.replay_lines(lines, source, time.time(), _print_error))
            click.echo(_format_counts(result, dry_run=False))
        else:
            total = sum(map(ledger.replay_store.count_events, slugs))
            result = ReplayResult()
            with progress_bar("replaying", total) as bar:
                for result in replayer.rebuild(slugs, dry_run=dry_run):
                    bar.update(_processed(result) - bar.pos)
            click.echo(format_rebuild(result, dry_run=dry_run))
    sys.exit(FAILED if result.bad_lines else 0)


def _print_error(text: str) -> None:
    click.echo(text, err=True)


def _last_result(results: Iterator[ReplayResult]) -> ReplayResult:
    """Run a replay to its end and return the last of its results, which are cumulative."""
    last = deque(results, maxlen=1)
    return last[0] if last else ReplayResult()


def _with_progress(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, with a progress bar if its length is known."""
    length = 0
    if file.seekable():
        length = file.seek(0, 2)
        file.seek(0)
    with progress_bar("replaying", length) as bar:
        for line in file:
            yield line
            bar.update(len(line))


def _processed(result: ReplayResult) -> int:
    return result.changed + result.unchanged


def _format_counts(result: ReplayResult, *, dry_run: bool) -> str:
    counts = [(result.accepted, "would be accepted" if dry_run else "accepted"), (result.duplicates, "duplicates")]
    counts += [(result.test_calls, "test calls"), (result.bad_lines, "bad lines")]
    counts += [
        (number, f"could not be parsed: {reason}") for reason, number in sorted(result.still_quarantined.items())
    ]
    return "\n".join(f"{number} {text}" for number, text in counts if number) or "nothing to replay"


def format_rebuild(result: ReplayResult, *, dry_run: bool) -> str:
    """Summarize a rebuild: how many events changed, and the `MAX_LISTED` most frequent shifts of their event time."""
    lines = [f"{result.changed} of {_processed(result)} events {'would change' if dry_run else 'were changed'}"]
    for seconds, number in result.moved_by.most_common(MAX_LISTED):
        if seconds:
            lines.append(f"{number} by {format_duration(seconds)} {'later' if seconds > 0 else 'earlier'}")
    if len(result.moved_by) > MAX_LISTED:
        lines.append(f"and by {len(result.moved_by) - MAX_LISTED} other spans")
    if result.relabelled:
        lines.append(
            f"{result.relabelled} {'would get' if dry_run else 'got'} another id, partner, type, status or frequency"
        )
    return "\n".join(lines)
