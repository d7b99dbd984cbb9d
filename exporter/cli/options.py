"""Options and parameter types that several commands share."""

from __future__ import annotations

import getpass
import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from exporter.cli.tables import JSON, JSONL, TABLE
from exporter.config.variables import CONFIG_VARIABLE
from exporter.domain.decision_rules import parse_text
from exporter.domain.durations import parse_duration, parse_instant
from exporter.domain.mute_choices import DAYS

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Configuration file (TOML). Without one, defaults and DATAEXPORT_… variables apply.",
)

Command = Callable[..., None]


def output_options(command: Command) -> Command:
    """Add --json and --jsonl, which set the argument ``output``; without them it is a table."""
    command = click.option("--jsonl", "output", flag_value=JSONL, help="Print JSON lines: an object on each line.")(
        command
    )
    command = click.option("--json", "output", flag_value=JSON, help="Print JSON, with everything.")(command)
    return click.option("--table", "output", flag_value=TABLE, default=TABLE, help="Print a table for people.")(command)


def selector_options(command: Command) -> Command:
    """Add the options that select an export by its labels: the fields of `exporter.cli.export_selector`."""
    for option in (
        click.option("--frequency", help="Frequency, such as 24h or Daily."),
        click.option("--data-type", help="Type of the data, such as events."),
        click.option("--partner", help="Partner, such as Amazon S3."),
        click.option("--export", help="Declared name or request id; any for a group."),
        click.option("--source", help="Slug of the source."),
    ):
        command = option(command)
    return command


source_option = click.option("--source", help="Only this source.")


class _Instant(click.ParamType[float]):
    """Parses an ISO 8601 date and time; without an offset it is in UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix seconds."""
        try:
            return parse_instant(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


INSTANT = _Instant()


class _InstantOrDay(_Instant):
    """Parses what `INSTANT` does, and the name of a day."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | str:  # type: ignore[override]
        """Return Unix seconds, or one of `DAYS`."""
        day = str(value).lower()
        return day if day in DAYS else super().convert(value, param, ctx)


INSTANT_OR_DAY = _InstantOrDay()


class _Duration(click.ParamType[int]):
    """Parses a duration such as 5h30m into seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return seconds."""
        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a duration; give one such as 5h30m, 90m or 20s", param, ctx)


DURATION = _Duration()


class WholeNumber(click.IntRange):
    """Parses a whole number from a minimum on."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's
        """Return the number."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            limits = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"{str(value)!r}: give a whole number {limits}", param, ctx)


class Number(click.FloatRange):
    """Parses a finite number from a minimum on, or above it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        """Return the number."""
        with suppress(click.BadParameter):
            number = float(super().convert(value, param, ctx))
            if math.isfinite(number):  # nan is within every range
                return number
        limits = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
        if self.min_open:
            limits = f"above {self.min}, up to {self.max}"
        return self.fail(f"{str(value)!r}: give a number {limits}", param, ctx)


class _Address(click.ParamType[str]):
    """Parses the URL of a folder or a server."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL without a slash at its end."""
        text = str(value)
        if not re.fullmatch(r"https?://[^\s{}\"'\\]+", text):
            self.fail(f"{text!r} is not an address; give one such as https://wiki.example/runbooks", param, ctx)
        return text.rstrip("/")


ADDRESS = _Address()


class _ServerUrl(click.ParamType[str]):
    """Accepts the URL of a server, but no password in it: others can see the arguments of a process."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL unchanged."""
        text = str(value)
        if re.match(r"[^/?#]*//[^/?#]*@", text):
            admin = "admin-" if param and param.name == "admin_url" else ""
            options = f"--{admin}user and --{admin}token-file"
            self.fail(f"others can see a user name or a password in a URL; give {options} instead", param, ctx)
        return text


SERVER_URL = _ServerUrl()


class _Text(click.ParamType[str]):
    """Parses one line of printable text."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the line without surrounding spaces."""
        try:
            return parse_text(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        message = "--by: this user has no name; say who decides"
        raise click.UsageError(message) from error


why_option = click.option("--why", type=_Text(), required=True, help="The reason, recorded and shown.")

by_option = click.option("--by", type=_Text(), default=_login_name, show_default="the login name", help="Who decided.")
