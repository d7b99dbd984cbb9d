"""The command that puts old bodies through the current parser again."""

from __future__ import annotations

import math
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import click

from exporter.cli.commands import FAILED
from exporter.cli.open_store import open_store
from exporter.cli.options import config_option
from exporter.domain.humanize import format_duration
from exporter.ingest.replay import Replay, ReplayResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_LISTED = 10


@click.command()
@config_option
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--quarantine", is_flag=True, help="Replay what was kept but not understood.")
@click.option("--rebuild", is_flag=True, help="Date every stored event again, by its source's time zone as it is now.")
@click.option("--source", help="Only of this source.")
@click.option("--reason", help="With --quarantine: only what was not understood for this reason.")
@click.option("--dry-run", is_flag=True, help="With --quarantine or --rebuild: say what would change.")
def replay(  # noqa: PLR0913 - one of three things to replay, and what of it
    path: Path | None,
    file: BinaryIO | None,
    source: str | None,
    reason: str | None,
    *,
    quarantine: bool,
    rebuild: bool,
    dry_run: bool,
) -> None:
    """Put old bodies through the current parser and time zones, also while the exporter runs.

    FILE has a line for each event, as `events --json-lines` writes them; - is the standard input.
    Events keep the arrival of then. What is known already is passed over, and counted as a
    duplicate.

    \b
    Example:
      dataexport-exporter replay --quarantine --dry-run
      dataexport-exporter replay --rebuild --source shop
      dataexport-exporter events --json-lines --config old.toml | dataexport-exporter replay -
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
    with open_store(path) as (settings, _, ledger):
        known = settings.sources_without_credentials
        if source is not None and source not in known:
            message = f"--source: {source!r} is none; the sources are {', '.join(sorted(known))}"
            raise click.UsageError(message)
        wanted = sorted(known) if source is None else [source]
        oldest = time.time() - settings.retention if ledger.checkpoints.pruning_state().revision else -math.inf
        work = Replay(ledger, ledger.replay_store, known, oldest)
        would = "would be " if dry_run else ""
        if file is not None:
            outcome = _last_result(work.replay_lines(_with_progress(file), source, time.time(), _notify))
            click.echo(_format_counts(outcome, ""))
        elif quarantine:
            outcome = _last_result(work.replay_quarantine(wanted, reason, dry_run=dry_run))
            click.echo(_format_counts(outcome, would))
        else:
            total = sum(map(ledger.replay_store.count_events, wanted))
            with _progress_bar(total) as update:
                outcome = _last_result(work.rebuild(wanted, dry_run=dry_run), lambda so_far: update(_processed(so_far)))
            click.echo(format_rebuild(outcome, would))
    sys.exit(FAILED if outcome.bad_lines else 0)


def _notify(text: str) -> None:
    click.echo(text, err=True)


def _last_result(
    steps: Iterator[ReplayResult], on_step: Callable[[ReplayResult], object] = lambda _: None
) -> ReplayResult:
    """The outcome of all steps."""
    outcome = ReplayResult()
    for outcome in steps:
        on_step(outcome)
    return outcome


def _with_progress(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, with progress where it has a known length."""
    length = 0
    if file.seekable():
        length = file.seek(0, 2)
        file.seek(0)
    with _progress_bar(length) as update:
        done = 0
        for line in file:
            yield line
            done += len(line)
            update(done)


@contextmanager
def _progress_bar(length: int) -> Iterator[Callable[[int], None]]:
    hidden = not (length and sys.stderr.isatty())
    with click.progressbar(length=length, label="replaying", file=sys.stderr, hidden=hidden) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _processed(outcome: ReplayResult) -> int:
    return outcome.changed + outcome.unchanged


def _format_counts(outcome: ReplayResult, would: str) -> str:
    counts = [(outcome.accepted, f"{would}accepted"), (outcome.duplicates, "duplicates")]
    counts += [(outcome.test_calls, "test calls"), (outcome.bad_lines, "bad lines")]
    counts += [(number, f"not understood: {reason}") for reason, number in sorted(outcome.still_quarantined.items())]
    return "\n".join(f"{number} {text}" for number, text in counts if number) or "nothing to replay"


def format_rebuild(outcome: ReplayResult, would: str) -> str:
    """What a rebuild did, or would do: how many events, and by how much the most of them moved."""
    lines = [
        f"{outcome.changed} of {_processed(outcome)} events {would or 'were '}changed".replace("be changed", "change")
    ]
    for seconds, number in outcome.moved_by.most_common(MAX_LISTED):
        if seconds:
            lines.append(f"{number} by {format_duration(seconds)} {'later' if seconds > 0 else 'earlier'}")
    if len(outcome.moved_by) > MAX_LISTED:
        lines.append(f"and by {len(outcome.moved_by) - MAX_LISTED} other spans")
    if outcome.relabelled:
        lines.append(f"{outcome.relabelled} {would or 'are '}called otherwise")
    return "\n".join(lines)
