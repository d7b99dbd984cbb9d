"""The environment variables of this program, and the settings that they override.

Every command imports this module: it imports neither pydantic nor anything else that takes long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOURCE = "default"
"""The slug of the source that exists if none is configured, and of declared exports that name no source."""

PREFIX = "DATAEXPORT_"
CONFIG_VARIABLE = "DATAEXPORT_CONFIG"
URL_VARIABLE = "DATAEXPORT_URL"
URL_TOKEN_FILE_VARIABLE = "DATAEXPORT_URL_TOKEN_FILE"  # noqa: S105 - a name
URL_USER_VARIABLE = "DATAEXPORT_URL_USER"
REVISION_VARIABLE = "DATAEXPORT_REVISION"
DEFAULT_HOST_VARIABLE = "DATAEXPORT_DEFAULT_HOST"
"""The host of the listeners that neither the file nor a variable gives an address. For images: it overrides nothing."""
NO_SETTINGS = frozenset(
    {
        CONFIG_VARIABLE,
        URL_VARIABLE,
        URL_TOKEN_FILE_VARIABLE,
        URL_USER_VARIABLE,
        REVISION_VARIABLE,
        DEFAULT_HOST_VARIABLE,
    }
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


def name_variables(text: str, environment: Mapping[str, str]) -> str:
    """Replace the name of each setting in a message by the variable that its value comes from, if one is set."""
    for variable, setting in VARIABLES.items():
        given = next((name for name in (variable, f"{variable}_FILE") if name in environment), None)
        if given is not None and setting.count(".") == 1 and setting != "sources.tokens":
            text = re.sub(rf"(?<![\w.]){re.escape(setting)}(?!\w|\.\w)", given, text)
    return text
