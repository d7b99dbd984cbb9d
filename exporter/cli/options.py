"""Options and parameter types that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from exporter.config.environment import CONFIG_VARIABLE

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Configuration file (TOML). Without one, defaults and DATAEXPORT_… variables apply.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

source_option = click.option("--source", help="Only this source.")


class _Instant(click.ParamType[float]):
    """Parses an ISO 8601 date and time; without an offset it is in UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix seconds."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no date and time; give one such as 2026-12-31T16:50:52Z", param, ctx)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


INSTANT = _Instant()
