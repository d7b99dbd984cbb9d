"""The settings as environment variables: how each is called, and what it says is laid over the file.

What is given is put where it belongs; whether it is right is for whoever checks the settings.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "DATAEXPORT_"
CONFIG_VARIABLE = "DATAEXPORT_CONFIG"
REVISION_VARIABLE = "DATAEXPORT_REVISION"
DEFAULT_SOURCE = "default"

VARIABLES = {
    "DATAEXPORT_WEBHOOK_LISTEN": "server.webhook_listen",
    "DATAEXPORT_ADMIN_LISTEN": "server.admin_listen",
    "DATAEXPORT_ADMIN_TOKENS": "server.admin_tokens",
    "DATAEXPORT_ADMIN_BASIC": "server.admin_basic",
    "DATAEXPORT_TRUSTED_HOPS": "server.trusted_hops",
    "DATAEXPORT_TLS_CERTIFICATE_FILE": "server.tls_certificate_file",
    "DATAEXPORT_TLS_KEY_FILE": "server.tls_key_file",
    "DATAEXPORT_ALLOW_READABLE_SECRETS": "server.allow_readable_secrets",
    "DATAEXPORT_STORE_URL": "store.url",
    "DATAEXPORT_STORE_RETENTION": "store.retention",
    "DATAEXPORT_EXPORTS_PER_SOURCE": "limits.exports_per_source",
    "DATAEXPORT_EVENT_BYTES": "limits.event_bytes",
    "DATAEXPORT_REQUEST_BYTES": "limits.request_bytes",
    "DATAEXPORT_LOG_LEVEL": "log.level",
    "DATAEXPORT_LOG_FORMAT": "log.format",
    "DATAEXPORT_SOURCES": "sources",
    "DATAEXPORT_EXPORTS": "exports",
    "DATAEXPORT_TOKENS": "sources.default.tokens",
}
"""Every setting as an environment variable; it wins over the file."""

FILE_VARIABLES = frozenset(
    {
        "DATAEXPORT_ADMIN_TOKENS",
        "DATAEXPORT_ADMIN_BASIC",
        "DATAEXPORT_STORE_URL",
        "DATAEXPORT_SOURCES",
        "DATAEXPORT_TOKENS",
    }
)
"""Those that may hold a secret: with ``_FILE`` after the name, the value is read from that file."""

_LISTS = frozenset({"server.admin_tokens", "sources.default.tokens"})
_JSON = frozenset({"server.admin_basic", "sources", "exports"})


def overlay_environment(
    raw: Mapping[str, Any], environment: Mapping[str, str], problems: list[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings with the environment laid over them, and which variable gave what.

    Args:
        raw: the tables of the file; left as they are.
        environment: the environment variables; those that begin with ``DATAEXPORT_`` are ours.
        problems: to which each variable is added that cannot be taken.
    """
    given = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    origins: dict[str, str] = {}
    others = {CONFIG_VARIABLE, REVISION_VARIABLE}
    for variable in sorted(name for name in environment if name.startswith(PREFIX) and name not in others):
        name = variable if variable in VARIABLES else variable.removesuffix("_FILE")
        if name not in VARIABLES or (name != variable and name not in FILE_VARIABLES):
            names = [known.removeprefix(PREFIX) for known in VARIABLES]
            close = difflib.get_close_matches(variable.removeprefix(PREFIX), names, 1)
            meant = f"; did you mean {PREFIX}{close[0]}?" if close else ""
            problems.append(f"environment: {variable}: unknown setting{meant}")
            continue
        try:
            text = environment[variable] if name == variable else Path(environment[variable]).read_text("utf-8").strip()
            value = _value(VARIABLES[name], text)
        except (OSError, ValueError) as error:
            problems.append(f"environment: {variable}: {error}")
            continue
        _overlay(given, VARIABLES[name], value)
        origins[VARIABLES[name]] = variable
    return given, origins


def _value(setting: str, text: str) -> object:
    if setting in _LISTS:
        tokens = [each.strip() for each in text.replace("\n", ",").split(",") if each.strip()]
        if not tokens:
            message = "is empty; give at least one token, or do not set it at all"
            raise ValueError(message)
        return tokens
    return json.loads(text) if setting in _JSON else text


def _overlay(given: dict[str, Any], setting: str, value: object) -> None:
    """Put a variable's value over the file's; what has a wrong shape there is left as it is, to be refused."""
    if setting == "sources.default.tokens":
        sources = given.setdefault("sources", [])
        if not isinstance(sources, list) or not all(isinstance(each, dict) for each in sources):
            return
        default_source = next((each for each in sources if each.get("slug") == DEFAULT_SOURCE), None)
        if default_source is None:
            sources.append({"slug": DEFAULT_SOURCE, "tokens": value})
        else:
            default_source["tokens"] = value
        return
    table, _, name = setting.partition(".")
    if not name:
        given[table] = value
    elif isinstance(given.setdefault(table, {}), dict):
        given[table][name] = value
