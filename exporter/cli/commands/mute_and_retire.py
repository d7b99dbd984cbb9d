"""The commands that decide about exports: mute, unmute, retire, and what was decided."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, TypeVar

import click
from pydantic import TypeAdapter, ValidationError

from exporter.cli import tables
from exporter.cli.export_selector import ExportSelector, describe_export, select_export
from exporter.cli.open_store import open_store
from exporter.cli.options import INSTANT, config_option, json_option
from exporter.config.settings import Duration
from exporter.domain.decisions import MUTE, RETIRE, UNMUTE, UNRETIRE, Decision
from exporter.domain.errors import ExporterError
from exporter.domain.exports import DECLARED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState
    from exporter.projection.projector import Projector

MAX_TEXT = 512
_DURATION: TypeAdapter[int] = TypeAdapter(Duration)


class _Until(click.ParamType[float]):
    """The end of a time: an instant, or how long from now, as Unix seconds."""

    name = "time or duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Unix seconds."""
        now = time.time()
        try:
            until = now + _DURATION.validate_python(str(value))
        except ValidationError:
            until = INSTANT.convert(value, param, ctx)
        if until <= now:
            self.fail(f"{value!r} is over already; give a time to come, or a duration such as 2h", param, ctx)
        return until


class _Text(click.ParamType[str]):
    """A line of text for people."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The line."""
        text = str(value).strip()
        if not text.isprintable() or not 1 <= len(text) <= MAX_TEXT:
            self.fail(f"give 1 to {MAX_TEXT} printable characters", param, ctx)
        return text


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        message = "--by: this user has no name; say who decides"
        raise click.UsageError(message) from error


Command = TypeVar("Command", bound="Callable[..., None]")


def _export_options(command: Command) -> Command:
    """The options that choose an export, and those that say who and why."""
    for option in (
        click.option("--why", type=_Text(), required=True, help="For whoever wonders about it later."),
        click.option("--by", type=_Text(), default=_login_name, help="Who decides; the login name if not given."),
        click.option("--frequency", help="Its frequency, such as 24h or Daily."),
        click.option("--type", "data_type", help="Its type, such as events."),
        click.option("--partner", help="Its partner, such as Amazon S3."),
        click.option("--export", help="Its declared name, or its request id; any for a group."),
        click.option("--source", help="The slug of its source."),
    ):
        command = option(command)
    return command


@click.command()
@config_option
@_export_options
@click.option("--until", type=_Until(), required=True, help="A time such as 2026-12-31T16:50Z, or a duration: 2h, 7d.")
def mute(path: Path | None, until: float, by: str, why: str, **words: str | None) -> None:
    """Have alerts about an export hold their tongue for a time; everything is still counted.

    A running exporter takes it with its next scrape. An export of the configuration can be muted
    there as well, with muted_until.

    \b
    Example:
      dataexport-exporter mute --export nightly-s3 --until 2h --why "bucket is moved"
    """
    state = _decide(path, ExportSelector(**words), MUTE, by, why, until=until)
    click.echo(f"muted until {tables.format_iso(until)}: {describe_export(state)}")


@click.command()
@config_option
@_export_options
def unmute(path: Path | None, by: str, why: str, **words: str | None) -> None:
    """End a mute before its time.

    \b
    Example:
      dataexport-exporter unmute --export nightly-s3 --why "bucket has moved"
    """

    def muted(reader: Projector, _: ExportState, key: ExportKey, now: float) -> bool:
        return any(each.key == key for each in reader.decisions_in_effect.active_mutes(now))

    state = _decide(path, ExportSelector(**words), UNMUTE, by, why, is_candidate=muted)
    click.echo(f"no longer muted: {describe_export(state)}")


@click.command()
@config_option
@_export_options
@click.option("--undo", is_flag=True, help="Take a retirement back, as if it had never been.")
def retire(path: Path | None, by: str, why: str, *, undo: bool, **words: str | None) -> None:
    """Take an export out of the metrics that will not run any more.

    An event that arrives later brings it back, and the time until then counts no missed slots. One
    that the configuration declares has to be removed there instead.

    \b
    Example:
      dataexport-exporter retire --source shop --export 1690283492 --why "replaced by nightly-s3"
    """
    if undo:

        def retired(reader: Projector, _: ExportState, key: ExportKey, _now: float) -> bool:
            return key not in reader

        state = _decide(path, ExportSelector(**words), UNRETIRE, by, why, is_candidate=retired)
        click.echo(f"back again: {describe_export(state)}")
        return
    state = _decide(path, ExportSelector(**words), RETIRE, by, why)
    click.echo(f"retired until an event of it arrives: {describe_export(state)}")


@click.command()
@config_option
@json_option
def mutes(path: Path | None, *, as_json: bool) -> None:
    """List which exports are muted or retired: until when, by whom, why.

    \b
    Example:
      dataexport-exporter mutes --json
    """
    now = time.time()
    with open_store(path) as (_, reader, _ledger):
        states = {key: reader.export_state(key, now) for key in reader.exports.all_keys()}
        decisions_in_effect = reader.decisions_in_effect
        shown = [each for each in decisions_in_effect.active_mutes(now) if each.key in states]
        shown += [
            each for each in decisions_in_effect.latest_retirements() if each.key in states and each.key not in reader
        ]
        click.echo(tables.decisions_table([(each, states[each.key]) for each in shown], as_json=as_json))


def _is_listed(reader: Projector, _: ExportState, key: ExportKey, _now: float) -> bool:
    return key in reader


def _decide(  # noqa: PLR0913 - all that a decision is made of
    path: Path | None,
    wanted: ExportSelector,
    kind: str,
    by: str,
    why: str,
    *,
    until: float = 0,
    is_candidate: Callable[[Projector, ExportState, ExportKey, float], bool] = _is_listed,
) -> ExportState:
    """Keep a decision about the one export that is meant."""
    with open_store(path) as (_, reader, ledger):
        now = time.time()
        states = {key: reader.export_state(key, now) for key in reader.exports.all_keys()}
        states = {key: state for key, state in states.items() if is_candidate(reader, state, key, now)}
        key = select_export(wanted, states)
        if kind == RETIRE and key.kind == DECLARED:
            message = (
                f"{key.name!r} is declared in the configuration, where it would be missed: remove it from there, and "
                "retire what is left of it after a reload"
            )
            raise ExporterError(message)
        ledger.append_decision(Decision(kind, key, now, until, by, why))
        return states[key]
