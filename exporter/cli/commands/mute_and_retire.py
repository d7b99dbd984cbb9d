"""The commands `mute`, `unmute`, `retire` and `mutes`, which append decisions about exports and list them."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from exporter.cli import tables
from exporter.cli.export_selector import ExportSelector, describe_export, select_export
from exporter.cli.open_store import open_store
from exporter.cli.options import DURATION, INSTANT, by_option, config_option, json_option, why_option
from exporter.domain.decision_rules import Author, mute_end
from exporter.domain.errors import DecisionRefusedError, ExporterError, NoSuchExportError
from exporter.domain.exports import DECLARED
from exporter.ledger.access import Access
from exporter.ledger.clock import Clock, ThisMachine
from exporter.projection.decision_maker import DecisionMaker, find_subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.domain.exports import ExportKey
    from exporter.ledger.sql.ledger import SqlLedger
    from exporter.projection.decision_maker import Decided
    from exporter.projection.projector import Projector


Command = TypeVar("Command", bound="Callable[..., None]")


def _export_options(command: Command) -> Command:
    """Add the options that select an export, and those that record who decided and why."""
    for option in (
        why_option,
        by_option,
        click.option("--frequency", help="Frequency, such as 24h or Daily."),
        click.option("--data-type", help="Type of the data, such as events."),
        click.option("--partner", help="Partner, such as Amazon S3."),
        click.option("--export", help="Declared name or request id; any for a group."),
        click.option("--source", help="Slug of the source."),
    ):
        command = option(command)
    return command


@click.command()
@config_option
@_export_options
@click.option("--for", "lasts", type=DURATION, help="How long from now, such as 8h or 7d.")
@click.option("--until", type=INSTANT, help="When it ends, such as 2026-12-31T16:50Z.")
def mute(path: Path | None, lasts: int | None, until: float | None, by: str, why: str, **labels: str | None) -> None:
    """Suppress alerts for one export for a time.

    Events and slots are still counted. A running exporter applies it at the next scrape. A declared
    export can also be muted in the configuration, with muted_until.

    \b
    Example:
      dataexport-exporter mute --export nightly-s3 --for 8h --why "bucket is moved"
    """
    try:
        end = mute_end(lasts, until, time.time())
    except ValueError as error:
        message = f"--for, --until: {error}"
        raise click.UsageError(message) from None
    decided = _decide(path, ExportSelector(**labels), lambda maker, key: maker.mute(key, end, Author(by, why)))
    click.echo(f"muted until {tables.format_iso(decided.decision.until)}: {describe_export(decided.state)}")


@click.command()
@config_option
@_export_options
def unmute(path: Path | None, by: str, why: str, **labels: str | None) -> None:
    """End a mute before its time.

    A mute follows a declared export that is renamed with the same match.

    \b
    Example:
      dataexport-exporter unmute --export nightly-s3 --why "bucket has moved"
    """
    author, selector = Author(by, why), ExportSelector(**labels)
    try:
        decided = _decide(path, selector, lambda maker, key: maker.unmute(key, author), is_candidate=_is_muted)
    except NoSuchExportError as error:
        try:  # if the selector matches one export, this says why it cannot be unmuted
            decided = _decide(path, selector, lambda maker, key: maker.unmute(key, author))
        except NoSuchExportError:
            raise error from None
    click.echo(f"no longer muted: {describe_export(decided.state)}")


@click.command()
@config_option
@_export_options
@click.option("--undo", is_flag=True, help="Undo a retirement, as if it had never happened.")
@click.option("--all", "retires_all", is_flag=True, help="Retire every matching undeclared export, not just one.")
@click.option("--dry-run", is_flag=True, help="With --all: only list them.")
def retire(  # noqa: PLR0913 - one for each option
    path: Path | None, by: str, why: str, *, undo: bool, retires_all: bool, dry_run: bool, **labels: str | None
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
    if retires_all:
        _retire_all(path, selector, author, dry_run=dry_run)
    elif undo:
        decided = _decide(path, selector, lambda maker, key: maker.unretire(key, author), is_candidate=_is_retired)
        click.echo(f"back again: {describe_export(decided.state)}")
    else:
        decided = _decide(path, selector, lambda maker, key: maker.retire(key, author))
        click.echo(f"retired until an event of it arrives: {describe_export(decided.state)}")


@click.command()
@config_option
@json_option
def mutes(path: Path | None, *, as_json: bool) -> None:
    """List what is muted or retired, by whom and why.

    Mutes of the configuration are included, and mutes of exports that no longer exist.

    \b
    Example:
      dataexport-exporter mutes --json
    """
    now = time.time()
    with open_store(path) as (settings, projector, _):
        decisions = projector.decisions_in_effect
        active_mutes = decisions.active_mutes(now)
        in_effect = [mute for mute in active_mutes if mute.key in projector.exports]
        in_effect += [
            retirement
            for retirement in decisions.latest_retirements()
            if retirement.key in projector.exports and retirement.key not in projector
        ]
        rows = [tables.decision_row(decision, projector.export_state(decision.key, now)) for decision in in_effect]
        configured = [declaration for declaration in settings.exports if declaration.muted_until > now]
        rows += [tables.configured_mute_row(declaration) for declaration in configured]
        rows += [tables.left_behind_row(mute) for mute in active_mutes if mute.key not in projector.exports]
        click.echo(tables.decisions_table(rows, as_json=as_json))


def _is_listed(projector: Projector, key: ExportKey, _now: float) -> bool:
    return key in projector


def _is_muted(projector: Projector, key: ExportKey, now: float) -> bool:
    return projector.decisions_in_effect.active_mute(key, now) is not None


def _is_retired(projector: Projector, key: ExportKey, _now: float) -> bool:
    return key not in projector


def _retire_all(path: Path | None, selector: ExportSelector, author: Author, *, dry_run: bool) -> None:
    """Retire every export that fits and is not declared, or only list them.

    Raises:
        UsageError: the selector fits every export of the store.
        ExporterError: no export matches.
    """
    if selector == ExportSelector():
        message = "--all: say which: give at least one of --source, --export, --partner, --data-type and --frequency"
        raise click.UsageError(message)
    with open_store(path, Access.READ if dry_run else Access.WRITE) as (_, projector, ledger):
        now = time.time()
        states = {
            key: projector.export_state(key, now)
            for key in projector.exports.all_keys()
            if key.kind != DECLARED and key in projector
        }
        fitting = {key: state for key, state in states.items() if selector.matches(state)}
        if not fitting:
            message = "no export matches that is neither declared nor retired"
            raise ExporterError(message)
        if not dry_run:
            maker = _decision_maker(projector, ledger)
            for key in fitting:
                maker.retire(key, author)
    for description in sorted(map(describe_export, fitting.values())):
        click.echo(description)
    done = "would be retired" if dry_run else "retired until an event of it arrives"
    click.echo(f"{len(fitting)} exports, each {done}")


def _decide(
    path: Path | None,
    selector: ExportSelector,
    decide: Callable[[DecisionMaker, ExportKey], Decided],
    *,
    is_candidate: Callable[[Projector, ExportKey, float], bool] = _is_listed,
) -> Decided:
    """Make a decision about the selected export in the store.

    Args:
        path: the configuration file.
        selector: selects one of the exports that ``is_candidate`` accepts.
        decide: called with the export.
        is_candidate: called with the projector, an export and the time.

    Raises:
        NoSuchExportError: not exactly one export matches.
        DecisionRefusedError: the decision is not possible.
    """
    with open_store(path, Access.WRITE) as (_, projector, ledger):
        now = time.time()
        states = {
            key: projector.export_state(key, now)
            for key in projector.exports.all_keys()
            if is_candidate(projector, key, now)
        }
        key = select_export(selector, states)
        try:
            return decide(_decision_maker(projector, ledger), key)
        except DecisionRefusedError as error:
            message = f"{error}: {describe_export(states[key])}"
            raise DecisionRefusedError(message) from None


def _decision_maker(projector: Projector, ledger: SqlLedger) -> DecisionMaker:
    clock = Clock(ledger, ThisMachine())
    clock.start()
    return DecisionMaker(ledger, clock.read, partial(find_subject, projector))
