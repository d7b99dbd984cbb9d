"""Maps environment variables to settings, and overlays them on the configuration file.

Values are inserted without validation; `exporter.config.loader` validates file and environment together.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.config.settings import DEFAULT_SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "DATAEXPORT_"
CONFIG_VARIABLE = "DATAEXPORT_CONFIG"
REVISION_VARIABLE = "DATAEXPORT_REVISION"
DEFAULT_TOKENS = f"sources.{DEFAULT_SOURCE}.tokens"
"""Not a path in the file, where sources are a list: the tokens of the source with that slug."""

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
    "DATAEXPORT_EXPORTS_PER_SOURCE": "limits.exports_per_source",
    "DATAEXPORT_EVENT_BYTES": "limits.event_bytes",
    "DATAEXPORT_REQUEST_BYTES": "limits.request_bytes",
    "DATAEXPORT_TOTAL_REQUEST_BYTES": "limits.total_request_bytes",
    "DATAEXPORT_LOG_LEVEL": "log.level",
    "DATAEXPORT_LOG_FORMAT": "log.format",
    "DATAEXPORT_SOURCES": "sources",
    "DATAEXPORT_EXPORTS": "exports",
    "DATAEXPORT_TOKENS": DEFAULT_TOKENS,
}
"""The setting that each environment variable overrides."""

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

_LISTS = frozenset({"server.admin_tokens", DEFAULT_TOKENS})
_JSON = frozenset({"server.admin_basic", "sources", "exports"})


def overlay_environment(
    file_tables: Mapping[str, Any], environment: Mapping[str, str], problems: list[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Overlay the environment on the configuration file.

    Args:
        file_tables: the tables of the file; they are not modified.
        environment: all environment variables; those that start with ``DATAEXPORT_`` are settings.
        problems: the list to which problems are added.

    Returns:
        The resulting tables, and the variables that were applied, by setting.
    """
    tables = {name: dict(table) if isinstance(table, dict) else table for name, table in file_tables.items()}
    origins: dict[str, str] = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in {CONFIG_VARIABLE, REVISION_VARIABLE}:
            continue
        from_file = variable not in VARIABLES and variable.removesuffix("_FILE") in FILE_VARIABLES
        setting = VARIABLES.get(variable.removesuffix("_FILE") if from_file else variable)
        if setting is None:
            problems.append(f"environment: {variable}: unknown setting{_suggestion(variable)}")
            continue
        try:
            text = Path(environment[variable]).read_text("utf-8").strip() if from_file else environment[variable]
            value = _parse(setting, text)
        except (OSError, ValueError) as error:
            problems.append(f"environment: {variable}: {error}")
            continue
        _overlay(tables, setting, value)
        origins[setting] = variable
    return tables, origins


def _suggestion(variable: str) -> str:
    names = [name.removeprefix(PREFIX) for name in VARIABLES]
    close = difflib.get_close_matches(variable.removeprefix(PREFIX), names, 1)
    return f"; did you mean {PREFIX}{close[0]}?" if close else ""


def _parse(setting: str, text: str) -> object:
    """Parse a variable: lists are separated by commas or lines, tables are JSON, and the rest is plain text."""
    if setting in _LISTS:
        tokens = [token.strip() for token in text.replace("\n", ",").split(",") if token.strip()]
        if not tokens:
            message = "is empty; give at least one token, or do not set it at all"
            raise ValueError(message)
        return tokens
    return json.loads(text) if setting in _JSON else text


def _overlay(tables: dict[str, Any], setting: str, value: object) -> None:
    """Insert the value of one setting.

    What the file has in place of a table or of a list of tables is left for the validation to reject.
    """
    if setting == DEFAULT_TOKENS:
        _overlay_default_tokens(tables.setdefault("sources", []), value)
        return
    table, _, name = setting.partition(".")
    if not name:
        tables[table] = value
    elif isinstance(tables.setdefault(table, {}), dict):
        tables[table][name] = value


def _overlay_default_tokens(sources: object, tokens: object) -> None:
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        return
    for source in sources:
        if source.get("slug") == DEFAULT_SOURCE:
            source["tokens"] = tokens
            return
    sources.append({"slug": DEFAULT_SOURCE, "tokens": tokens})
