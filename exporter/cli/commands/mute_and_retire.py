"""The commands `mute`, `unmute`, `retire` and `mutes`, which append decisions about exports and list them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from exporter.cli import tables
from exporter.cli.export_selector import ExportSelector, NoSuchExportError, describe_export, select_export
from exporter.cli.open_store import open_store
from exporter.cli.options import DURATION, INSTANT, by_option, config_option, json_option, why_option
from exporter.domain.decisions import MUTE, RETIRE, UNMUTE, UNRETIRE, Decision
from exporter.domain.errors import ExporterError
from exporter.domain.exports import DECLARED, key_of_declaration
from exporter.ledger.access import Access
from exporter.ledger.clock import Clock, ThisMachine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState
    from exporter.projection.projector import Projector


class _End(NamedTuple):
    """When a mute ends.

    Attributes:
        at: Unix seconds.
        lasts: the seconds until then if they were given; 0 if the end was.
    """

    at: float = 0.0
    lasts: float = 0.0


_NO_END = _End()
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
    end = _mute_end(lasts, until, time.time())
    state = _append_decision(path, ExportSelector(**labels), MUTE, by, why, end=end)
    click.echo(f"muted until {tables.format_iso(end.at)}: {describe_export(state)}")


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
    selector = ExportSelector(**labels)
    try:
        state = _append_decision(path, selector, UNMUTE, by, why, is_candidate=_is_muted)
    except NoSuchExportError as error:
        _explain_not_muted(path, selector)
        raise error from None
    click.echo(f"no longer muted: {describe_export(state)}")


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
    if retires_all:
        _retire_all(path, ExportSelector(**labels), by, why, dry_run=dry_run)
        return
    if undo:
        state = _append_decision(path, ExportSelector(**labels), UNRETIRE, by, why, is_candidate=_is_retired)
        click.echo(f"back again: {describe_export(state)}")
        return
    state = _append_decision(path, ExportSelector(**labels), RETIRE, by, why)
    click.echo(f"retired until an event of it arrives: {describe_export(state)}")


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


def _mute_end(lasts: int | None, until: float | None, now: float) -> _End:
    """Return the end that one of two options gives.

    Raises:
        UsageError: not exactly one is given, or the end is not in the future.
    """
    if (lasts is None) == (until is None):
        message = "give one of --for and --until: how long, such as --for 8h, or a time"
        raise click.UsageError(message)
    end = _End(now + lasts, lasts) if lasts is not None else _End(until or 0)
    if end.at <= now:
        message = f"the mute would end at {tables.format_iso(end.at)}, which is over; give a time to come"
        raise click.UsageError(message)
    return end


def _is_listed(projector: Projector, key: ExportKey, _now: float) -> bool:
    return key in projector


def _is_muted(projector: Projector, key: ExportKey, now: float) -> bool:
    return any(mute.key == key for mute in projector.decisions_in_effect.active_mutes(now))


def _is_retired(projector: Projector, key: ExportKey, _now: float) -> bool:
    return key not in projector


def _explain_not_muted(path: Path | None, selector: ExportSelector) -> None:
    """Raise why the one export that a selector matches cannot be unmuted; do nothing if not exactly one matches.

    Raises:
        ExporterError: it is not muted, or by the configuration.
    """
    with open_store(path) as (settings, projector, _):
        now = time.time()
        states = {key: projector.export_state(key, now) for key in projector.list_keys()}
        matching = [key for key, state in states.items() if selector.matches(state)]
        if len(matching) != 1 or _is_muted(projector, matching[0], now):
            return
        state = states[matching[0]]
        message = f"not muted: {describe_export(state)}"
        if state.muted:
            until, place = tables.format_iso(state.muted_until), settings.path or "a variable"
            message = f"muted until {until} by muted_until in {place}: change it there: {describe_export(state)}"
        raise ExporterError(message)


def _retire_all(path: Path | None, selector: ExportSelector, by: str, why: str, *, dry_run: bool) -> None:
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
            clock = Clock(ledger, ThisMachine())
            clock.start()
            decided_at, epoch = clock.read()
            for key in fitting:
                ledger.append_decision(Decision(RETIRE, key, decided_at, 0.0, by, why), epoch)
    for description in sorted(map(describe_export, fitting.values())):
        click.echo(description)
    done = "would be retired" if dry_run else "retired until an event of it arrives"
    click.echo(f"{len(fitting)} exports, each {done}")


def _append_decision(  # noqa: PLR0913 - every field of a decision
    path: Path | None,
    selector: ExportSelector,
    kind: str,
    by: str,
    why: str,
    *,
    end: _End = _NO_END,
    is_candidate: Callable[[Projector, ExportKey, float], bool] = _is_listed,
) -> ExportState:
    """Append a decision about the selected export to the store, and return the state of the export.

    Args:
        path: the configuration file.
        selector: selects one of the exports that ``is_candidate`` accepts.
        kind: `MUTE`, `UNMUTE`, `RETIRE` or `UNRETIRE`.
        by: who decided.
        why: the reason.
        end: when a mute ends.
        is_candidate: called with the projector, an export and the time.

    Raises:
        ExporterError: not exactly one export matches, or a declared one would be retired.
    """
    with open_store(path, Access.WRITE) as (settings, projector, ledger):
        now = time.time()
        states = {
            key: projector.export_state(key, now)
            for key in projector.exports.all_keys()
            if is_candidate(projector, key, now)
        }
        key = select_export(selector, states)
        if kind == RETIRE and key.kind == DECLARED:
            message = (
                f"{key.name!r} is declared in the configuration, where it would be missed: remove it from there, and "
                "retire what is left of it after a reload"
            )
            raise ExporterError(message)
        clock = Clock(ledger, ThisMachine())
        clock.start()
        decided_at, epoch = clock.read()
        match = next((each.match.text for each in settings.exports if key_of_declaration(each) == key), "")
        ledger.append_decision(Decision(kind, key, decided_at, end.at, by, why, lasts=end.lasts, match=match), epoch)
        return states[key]
