"""Maps environment variables to settings, and overlays them on the configuration file.

Values are inserted without validation; `exporter.config.loader` validates file and environment together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.config import secret_files, store_url
from exporter.config.places import format_path, format_value
from exporter.config.variables import (
    DEFAULT_HOST_VARIABLE,
    DEFAULT_SOURCE,
    FILE_VARIABLES,
    NO_SETTINGS,
    PREFIX,
    VARIABLES,
)
from exporter.domain.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.places import SettingPath

NOT_SHOWN = "a value that is not shown"
_LISTENERS = {"webhook_listen": 8080, "admin_listen": 10047}
_TOKENS = frozenset({"server.admin_tokens", "sources.tokens"})
_JSON = {
    "server.admin_basic": '{"username": "…", "password": "…"}',
    "sources": '[{"slug": "shop"}]',
    "exports": '[{"name": "nightly", "match": {"partner": "Amazon S3"}, "interval": "24h"}]',
}
_SERVICE_LINKS = (
    (re.compile(r"(.+_)?SERVICE_HOST"), re.compile(r"[0-9a-fA-F.:]+")),
    (re.compile(r"(.+_)?SERVICE_PORT(_.+)?"), re.compile(r"\d+")),
    (re.compile(r"(.+_)?PORT(_\d+_(TCP|UDP|SCTP))?"), re.compile(r"(tcp|udp|sctp)://\S+:\d+")),
    (re.compile(r"(.+_)?PORT_\d+_(TCP|UDP|SCTP)_PROTO"), re.compile(r"tcp|udp|sctp")),
    (re.compile(r"(.+_)?PORT_\d+_(TCP|UDP|SCTP)_PORT"), re.compile(r"\d+")),
    (re.compile(r"(.+_)?PORT_\d+_(TCP|UDP|SCTP)_ADDR"), re.compile(r"[0-9a-fA-F.:]+")),
)
"""Names after `PREFIX` and values of the variables that Kubernetes makes for services such as dataexport-exporter."""


@dataclass(frozen=True, slots=True)
class Override:
    """A setting of the file whose value an environment variable overrides.

    Attributes:
        setting: the name of the setting.
        variable: the name of the variable.
        file_value, value: both values as text; a secret is not shown.
    """

    setting: str
    variable: str
    file_value: str
    value: str

    def __str__(self) -> str:
        """Describe it in a sentence."""
        return f"{self.variable} overrides {self.setting}: {self.value} instead of {self.file_value}"


@dataclass(frozen=True, slots=True)
class Overlay:
    """The result of `overlay_environment`.

    Attributes:
        tables: the resulting tables.
        origins: the variables that were applied, by setting.
        wrong: the settings whose variables could not be parsed.
        overrides: what the variables override of the file.
        ignored: the variables that Kubernetes made.
    """

    tables: dict[str, Any]
    origins: dict[SettingPath, str] = field(default_factory=dict)
    wrong: set[SettingPath] = field(default_factory=set)
    overrides: list[Override] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def overlay_environment(file_tables: Mapping[str, Any], environment: Mapping[str, str], problems: list[str]) -> Overlay:
    """Overlay the environment on the configuration file.

    Args:
        file_tables: the tables of the file; they are not modified.
        environment: all environment variables; those that start with ``DATAEXPORT_`` are settings.
        problems: the list to which problems are added.
    """
    overlay = Overlay({name: _copy(table) for name, table in file_tables.items()})
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in NO_SETTINGS:
            continue
        from_file = variable not in VARIABLES and variable.removesuffix("_FILE") in FILE_VARIABLES
        setting = VARIABLES.get(variable.removesuffix("_FILE") if from_file else variable)
        if setting is not None:
            _apply(overlay, variable, setting, environment[variable], problems, from_file=from_file)
        elif _is_service_link(variable.removeprefix(PREFIX), environment[variable]):
            overlay.ignored.append(variable)
        else:
            name = closest(variable.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in VARIABLES])
            hint = f"; did you mean {PREFIX}{name}?" if name else ""
            problems.append(f"environment: {variable}: unknown setting{hint}")
    if DEFAULT_HOST_VARIABLE in environment:
        _apply_default_host(overlay, environment[DEFAULT_HOST_VARIABLE])
    return overlay


def _copy(value: object) -> object:
    """Copy a table or a list of tables, so that values can be inserted."""
    if isinstance(value, dict):
        return dict(value)
    return [dict(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value


def _is_service_link(name: str, value: str) -> bool:
    return any(names.fullmatch(name) and texts.fullmatch(value) for names, texts in _SERVICE_LINKS)


def _apply(  # noqa: PLR0913 - one variable, and where its value goes
    overlay: Overlay, variable: str, setting: str, text: str, problems: list[str], *, from_file: bool
) -> None:
    path = _path(overlay.tables, setting)
    try:
        value = _parse(setting, secret_files.read_text(Path(text)) if from_file else text, from_file=from_file)
    except ValueError as error:
        problems.append(f"environment: {variable}: {error}")
        overlay.wrong.add(path)
        return
    table: Any = overlay.tables
    for part in path[:-1]:
        if not isinstance(table, list if isinstance(part, int) else dict):
            return  # the validation rejects what the file has instead
        table = table[part]  # type: ignore[index] # as just checked
    name = path[-1]
    if not isinstance(table, dict):
        return
    if name in table and str(table[name]).lower() != str(value).lower():
        shown = _shown(setting, table[name]), _shown(setting, value)
        overlay.overrides.append(Override(format_path(path).removeprefix("."), variable, *shown))
    table[name] = value
    overlay.origins[path] = variable


def _path(tables: dict[str, Any], setting: str) -> SettingPath:
    """Return the path of a setting, and create the table that it is in."""
    table, _, name = setting.partition(".")
    if not name:
        return (table,)
    if table != "sources":
        tables.setdefault(table, {})
        return table, name
    sources = tables.setdefault(table, [])
    if not isinstance(sources, list):
        return table, 0, name
    slugs = [source.get("slug") if isinstance(source, dict) else None for source in sources]
    if DEFAULT_SOURCE not in slugs:
        sources.append({"slug": DEFAULT_SOURCE})
        slugs.append(DEFAULT_SOURCE)
    return table, slugs.index(DEFAULT_SOURCE), name


def _apply_default_host(overlay: Overlay, host: str) -> None:
    server = overlay.tables.setdefault("server", {})
    for name, port in _LISTENERS.items():
        if isinstance(server, dict) and name not in server:
            server[name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            overlay.origins["server", name] = DEFAULT_HOST_VARIABLE


def _parse(setting: str, text: str, *, from_file: bool) -> object:
    """Parse a variable: tokens are separated by commas or lines, in a file by lines; tables are JSON.

    Raises:
        ValueError: it cannot be parsed.
    """
    if setting in _TOKENS:
        tokens = secret_files.parse_tokens(text if from_file else text.replace(",", "\n"))
        if not tokens:
            message = "is empty; give at least one token, or do not set it at all"
            raise ValueError(message)
        return tokens
    if setting not in _JSON:
        return text.strip() if from_file else text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        message = f"is not JSON{at}; give, for example, {_JSON[setting]}"
        raise ValueError(message) from error


def _shown(setting: str, value: object) -> str:
    """Format a value without secrets: of tables only their names."""
    if setting in {"sources", "exports"} and isinstance(value, list):
        names = [item.get("slug", item.get("name")) for item in value if isinstance(item, dict)]
        return f"[{', '.join(map(format_value, names))}]"
    if setting == "store.url":
        try:
            return store_url.without_password(store_url.check(str(value)))
        except ValueError:  # it may hold a password anywhere
            return NOT_SHOWN
    if isinstance(value, dict | list):
        return NOT_SHOWN
    return format_value(value)
