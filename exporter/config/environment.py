"""Maps environment variables to settings, and overlays them on the configuration file.

Values are inserted without validation; `exporter.config.loader` validates file and environment together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.config import secret_files, store_url, values
from exporter.config.places import format_path, format_value
from exporter.config.settings import DEFAULT_SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.places import SettingPath

PREFIX = "DATAEXPORT_"
CONFIG_VARIABLE = "DATAEXPORT_CONFIG"
URL_VARIABLE = "DATAEXPORT_URL"
URL_TOKEN_FILE_VARIABLE = "DATAEXPORT_URL_TOKEN_FILE"  # noqa: S105 - a name
REVISION_VARIABLE = "DATAEXPORT_REVISION"
DEFAULT_HOST_VARIABLE = "DATAEXPORT_DEFAULT_HOST"
"""The host of the listeners that neither the file nor a variable gives an address. For images: it overrides nothing."""
NO_SETTINGS = frozenset(
    {CONFIG_VARIABLE, URL_VARIABLE, URL_TOKEN_FILE_VARIABLE, REVISION_VARIABLE, DEFAULT_HOST_VARIABLE}
)
"""Variables of this program that set nothing in the configuration."""

VARIABLES = {
    "DATAEXPORT_WEBHOOK_LISTEN": "server.webhook_listen",
    "DATAEXPORT_ADMIN_LISTEN": "server.admin_listen",
    "DATAEXPORT_ADMIN_TOKENS": "server.admin_tokens",
    "DATAEXPORT_ADMIN_BASIC": "server.admin_basic",
    "DATAEXPORT_ADMIN_OPEN": "server.admin_open",
    "DATAEXPORT_TRUSTED_HOPS": "server.trusted_hops",
    "DATAEXPORT_KEEP_ALIVE": "server.keep_alive",
    "DATAEXPORT_TLS_CERTIFICATE_FILE": "server.tls_certificate_file",
    "DATAEXPORT_TLS_KEY_FILE": "server.tls_key_file",
    "DATAEXPORT_ALLOW_READABLE_SECRETS": "server.allow_readable_secrets",
    "DATAEXPORT_STORE_URL": "store.url",
    "DATAEXPORT_STORE_RETENTION": "store.retention",
    "DATAEXPORT_STORE_QUARANTINE_RETENTION": "store.quarantine_retention",
    "DATAEXPORT_STORE_BACKUP_MAX_AGE": "store.backup_max_age",
    "DATAEXPORT_ALLOW_OPEN_STORE_FOLDER": "store.allow_open_folder",
    "DATAEXPORT_EXPORTS_PER_SOURCE": "limits.exports_per_source",
    "DATAEXPORT_EVENTS_PER_MINUTE": "limits.events_per_minute",
    "DATAEXPORT_NEW_EXPORTS_PER_DAY": "limits.new_exports_per_day",
    "DATAEXPORT_TEST_CALLS_PER_MINUTE": "limits.test_calls_per_minute",
    "DATAEXPORT_QUARANTINED_BYTES_PER_DAY": "limits.quarantined_bytes_per_day",
    "DATAEXPORT_EVENT_BYTES": "limits.event_bytes",
    "DATAEXPORT_REQUEST_BYTES": "limits.request_bytes",
    "DATAEXPORT_TOTAL_REQUEST_BYTES": "limits.total_request_bytes",
    "DATAEXPORT_LOG_LEVEL": "log.level",
    "DATAEXPORT_LOG_FORMAT": "log.format",
    "DATAEXPORT_SOURCES": "sources",
    "DATAEXPORT_EXPORTS": "exports",
    "DATAEXPORT_TOKENS": "sources.tokens",
}
"""The setting that each environment variable overrides; `DATAEXPORT_TOKENS` those of the source `DEFAULT_SOURCE`."""

FILE_VARIABLES = frozenset(
    {
        "DATAEXPORT_ADMIN_TOKENS",
        "DATAEXPORT_ADMIN_BASIC",
        "DATAEXPORT_STORE_URL",
        "DATAEXPORT_SOURCES",
        "DATAEXPORT_TOKENS",
    }
)
"""Variables that may contain a secret: ``NAME_FILE`` gives a file to read the value of ``NAME`` from."""

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
            name = values.closest(variable.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in VARIABLES])
            hint = f"; did you mean {PREFIX}{name}?" if name else ""
            problems.append(f"environment: {variable}: unknown setting{hint}")
    if DEFAULT_HOST_VARIABLE in environment:
        _apply_default_host(overlay, environment[DEFAULT_HOST_VARIABLE])
    return overlay


def name_variables(text: str, environment: Mapping[str, str]) -> str:
    """Replace the name of each setting in a message by the variable that its value comes from, if one is set."""
    for variable, setting in VARIABLES.items():
        given = next((name for name in (variable, f"{variable}_FILE") if name in environment), None)
        if given is not None and setting.count(".") == 1 and setting != "sources.tokens":
            text = re.sub(rf"(?<![\w.]){re.escape(setting)}(?!\w|\.\w)", given, text)
    return text


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
