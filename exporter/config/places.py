"""Names a setting in a problem: by its path in the file, or by the environment variable that its value came from."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SettingPath = tuple[int | str, ...]
"""The names of the tables and of the setting; a number is an index in a list of tables."""


class Places:
    """The places that values came from.

    Args:
        file: how problems name the configuration file; ``environment`` if there is none.
        origins: the environment variables that were applied, by setting.
    """

    def __init__(self, file: str, origins: Mapping[SettingPath, str]) -> None:
        self._file = file
        self._origins = origins

    def at(self, *path: int | str) -> str:
        """Return where a setting is: ``FILE: sources[1].slug`` or ``environment: DATAEXPORT_SOURCES[1].slug``."""
        return f"{'environment' if self.variable(*path) else self._file}: {self.name(*path)}"

    def name(self, *path: int | str) -> str:
        """Return the name of a setting without its place."""
        for end in range(len(path), 0, -1):
            variable = self._origins.get(path[:end])
            if variable is not None:
                return variable + format_path(path[end:])
        return format_path(path).removeprefix(".")

    def variable(self, *path: int | str) -> str | None:
        """Return the variable that the value of a setting, or the table around it, came from."""
        return next((self._origins[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._origins), None)


def format_path(path: SettingPath) -> str:
    """Format a path as in ``.sources[1].slug``; people count from 1."""
    return "".join(
        f"[{part + 1}]" if isinstance(part, int) else f".{part if part.isprintable() else repr(part)}" for part in path
    )


def format_value(value: object) -> str:
    """Format a value about as it is written in the file, at most 60 characters of it."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, datetime | date | time):
        text = value.isoformat()
    else:
        text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - to fit on a line
