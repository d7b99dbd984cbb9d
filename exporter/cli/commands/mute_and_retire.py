"""The commands `mute`, `unmute`, `retire` and `mutes`, which append decisions about exports and list them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING

import click

from exporter.cli import tables
from exporter.cli.export_selector import ExportSelector, describe_export, select_export
from exporter.cli.exporter_access import candidate_of_export, candidates_of_decisions
from exporter.cli.open_exporter import exporter_options, open_exporter
from exporter.cli.options import DURATION, INSTANT_OR_DAY, by_option, output_options, selector_options, why_option
from exporter.domain.decision_rules import Author, MuteEnd, mute_end
from exporter.domain.decisions import LEFT_BEHIND, PAST
from exporter.domain.errors import DecisionRefusedError, ExporterError, NoSuchExportError
from exporter.domain.event_time import load_zone
from exporter.domain.mute_choices import morning_of
from exporter.domain.state_filter import StateFilter
from exporter.ledger.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from exporter.cli.exporter_access import Candidate, ExporterAccess
    from exporter.cli.open_exporter import Place
    from exporter.cli.options import Command


def _export_options(command: Command) -> Command:
    """Add the options that select an export, and those that record who decided and why."""
    return exporter_options(selector_options(by_option(why_option(command))))


@click.command()
@_export_options
@click.option("--for", "lasts", type=DURATION, help="How long from now, such as 8h or 7d.")
@click.option(
    "--until",
    type=INSTANT_OR_DAY,
    help="When it ends, such as 2026-12-31T16:50Z, or monday or tomorrow: at 08:00 in the source's zone.",
)
def mute(place: Place, lasts: int | None, until: float | str | None, by: str, why: str, **labels: str | None) -> None:
    """Suppress alerts for one export for a time.

    Events and slots are still counted. A running exporter applies it at the next scrape. A declared
    export can also be muted in the configuration, with muted_until.

    \b
    Example:
      dataexport-exporter mute --export nightly-s3 --for 8h --why "bucket is moved"
      dataexport-exporter mute --export nightly-s3 --until monday --why "bucket is moved"
    """
    now = time.time()

    def ends_in(zone: tzinfo) -> MuteEnd:
        return mute_end(lasts, morning_of(until, now, zone) if isinstance(until, str) else until, now)

    try:
        ends_in(UTC)
    except ValueError as error:
        message = f"--for, --until: {error}"
        raise click.UsageError(message) from None
    author, selector = Author(by, why), ExportSelector(**labels)
    with open_exporter(place, Access.WRITE) as exporter:
        export = select_export(selector, _listed(exporter))
        with _describing(export):
            ends_at = exporter.mute(export.id, ends_in(load_zone(export.timezone) or UTC), author)
    click.echo(f"muted until {tables.format_iso(ends_at)}: {describe_export(export)}")


@click.command()
@_export_options
def unmute(place: Place, by: str, why: str, **labels: str | None) -> None:
    """End a mute before its time.

    A mute follows a declared export that is renamed with the same match.

    \b
    Example:
      dataexport-exporter unmute --export nightly-s3 --why "bucket has moved"
    """
    author, selector = Author(by, why), ExportSelector(**labels)
    with open_exporter(place, Access.WRITE) as exporter:
        try:
            export = select_export(selector, candidates_of_decisions(exporter.list_mutes()))
        except NoSuchExportError as error:
            try:  # if the selector matches one export, this says why it cannot be unmuted
                export = select_export(selector, _listed(exporter))
            except NoSuchExportError:
                raise error from None
        with _describing(export):
            exporter.unmute(export.id, author)
    click.echo(f"no longer muted: {describe_export(export)}")


@click.command()
@_export_options
@click.option("--undo", is_flag=True, help="Undo a retirement, as if it had never happened.")
@click.option("--all", "retires_all", is_flag=True, help="Retire every matching undeclared export, not just one.")
@click.option("--dry-run", is_flag=True, help="With --all: only list them.")
def retire(  # noqa: PLR0913 - one for each option
    place: Place, by: str, why: str, *, undo: bool, retires_all: bool, dry_run: bool, **labels: str | None
) -> None:
    """Remove an export that is no longer used.

    It disappears from metrics and alerts; a new event restores it. No missed slots are counted until
    then. To retire a declared export, remove it from the configuration instead. With --export any, the
    whole group is retired, also a run in progress.

    \b
    Example:
      dataexport-exporter retire --source shop --export 1690283492 --why "replaced by nightly-s3"
      dataexport-exporter retire --all --source shop --why "a stranger had the token" --dry-run
    """
    if (dry_run and not retires_all) or (undo and retires_all):
        message = "--all retires, and --dry-run lists what --all would retire; give one of --undo and --all"
        raise click.UsageError(message)
    author, selector = Author(by, why), ExportSelector(**labels)
    if retires_all and selector == ExportSelector():
        message = "--all: narrow it: give at least one of --source, --export, --partner, --data-type and --frequency"
        raise click.UsageError(message)
    with open_exporter(place, Access.READ if dry_run else Access.WRITE) as exporter:
        if retires_all:
            _retire_all(exporter, selector, author, dry_run=dry_run)
        elif undo:
            export = select_export(selector, candidates_of_decisions(exporter.list_retirements()))
            with _describing(export):
                exporter.unretire(export.id, author)
            click.echo(f"back again: {describe_export(export)}")
        else:
            export = select_export(selector, _listed(exporter))
            with _describing(export):
                exporter.retire(export.id, author)
            click.echo(f"retired until an event of it arrives: {describe_export(export)}")


@click.command()
@exporter_options
@output_options
def mutes(place: Place, output: str) -> None:
    """List what is muted or retired, by whom and why.

    Mutes of the configuration are included, and mutes of exports that no longer exist.

    \b
    Example:
      dataexport-exporter mutes --json
    """
    with open_exporter(place) as exporter:
        decisions = [
            {"decision": "muted, left behind" if mute["state"] == LEFT_BEHIND else "muted"} | mute
            for mute in exporter.list_mutes()
        ]
        decisions += [{"decision": "retired"} | retirement for retirement in exporter.list_retirements()]
        in_effect = [each for each in decisions if each["state"] != PAST]
        tables.print_documents(in_effect, output, lambda: tables.decisions_table(in_effect))


def _listed(exporter: ExporterAccess) -> list[Candidate]:
    """Return all exports that are not retired."""
    return [candidate_of_export(document) for document in exporter.list_exports(StateFilter())]


@contextmanager
def _describing(export: Candidate) -> Iterator[None]:
    """Name the export in a refusal of a decision about it."""
    try:
        yield
    except DecisionRefusedError as error:
        message = f"{error}: {describe_export(export)}"
        raise DecisionRefusedError(message) from None


def _retire_all(exporter: ExporterAccess, selector: ExportSelector, author: Author, *, dry_run: bool) -> None:
    """Retire every export that fits and is not declared, or only list them.

    Raises:
        ExporterError: no export matches.
    """
    fitting = [export for export in _listed(exporter) if not export.declared and selector.matches(export)]
    if not fitting:
        message = "no export to retire matches; declared and retired exports are left out"
        raise ExporterError(message)
    if not dry_run:
        for export in fitting:
            exporter.retire(export.id, author)
    for description in sorted(map(describe_export, fitting)):
        click.echo(description)
    done = "would be retired" if dry_run else "retired until an event of it arrives"
    click.echo(f"{len(fitting)} exports, each {done}")
