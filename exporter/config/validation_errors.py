"""Describes validation errors of the configuration in words that help to correct them."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.config.settings import Section, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_SECRETS = frozenset({"tokens", "admin_tokens", "basic", "admin_basic", "url"})
"""The settings that may contain secrets."""


def describe_error(error: ErrorDetails, tables: object, place: str, origins: Mapping[str, str]) -> str:
    """Describe one validation error: where it is, what was given, and what would be right.

    Secrets are not shown.

    Args:
        error: the error.
        tables: the configuration that was validated.
        place: the path of the file, or ``environment``.
        origins: the environment variables that were applied, by setting.
    """
    where = [part for part in error["loc"] if not str(part).startswith("function-")]
    path = _setting_path(where)
    for end in range(1, len(where) + 1):
        variable = origins.get(".".join(str(part) for part in where[:end]))
        if variable is not None:
            place, path = "environment", variable + _setting_path(where[end:])
    at = f"{place}: {path.removeprefix('.')}"
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(where[-1]), _setting_names(where[:-1]), 1)
        return f"{at}: unknown setting" + (f"; did you mean {close[0]}?" if close else "")
    if error["type"] == "missing":
        return f"{at}: missing; it has to be given"
    value = _value_at(tables, where)
    # A value in place of a table or of a list of tables may be a secret, or contain one.
    secret = any(str(part) in _SECRETS for part in where) or isinstance(value, dict | list)
    secret = secret or where[-1] == "sources" or not isinstance(where[-1], str)
    shown = "" if secret else f" {_shortened(value)}:"
    return f"{at}:{shown} {error['msg'].removeprefix('Value error, ')}"


def _setting_path(where: list[int | str]) -> str:
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in where)


def _setting_names(where: list[int | str]) -> list[str]:
    """Return the names of the settings of the table at ``where``."""
    section: type[BaseModel] = Settings
    for part in where:
        if isinstance(part, str):
            annotation = str(section.model_fields[part].annotation)
            section = next((table for table in Section.__subclasses__() if table.__name__ in annotation), section)
    return list(section.model_fields)


def _value_at(tables: object, where: Iterable[int | str]) -> object:
    value = tables
    for part in where:
        value = value[part]  # type: ignore[index] # pydantic found the error there
    return value


def _shortened(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - to fit on a line
