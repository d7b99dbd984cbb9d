"""Parses ``store.url`` with the parser that also connects, so that both agree on what the password is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

SQLITE = "sqlite:///"

_FORMS = re.compile(r"sqlite:///[^?#\s]+|postgresql\+psycopg://[^?#\s]*/[^?#/\s]+(\?[^#\s]*)?")

_VERIFYING_MODES = ("verify-ca", "verify-full")
_PORT = re.compile(r"^([^:]+|\[.*\]):\d+$")
_LOCAL_HOST = re.compile(r"[/@].*|localhost|127\.[\d.]+|\[?::1\]?")
"""The machine itself; a path is that of a Unix socket."""


def check(url: str) -> str:
    """Return the URL unchanged.

    Raises:
        ValueError: it is not the URL of a store; the message does not show it.
    """
    parsed = _parse(url)
    if parsed is not None and any("password" in name.lower() for name in parsed.query):
        message = 'give the password before the "@", where it is never shown, or a passfile'
        raise ValueError(message)
    if parsed is None or not _FORMS.fullmatch(url):
        message = (
            'give "sqlite:///FILE" (relative to the folder of the configuration file; in a variable, to the working '
            'folder), "sqlite:////FILE" from the root, or "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE"'
        )
        raise ValueError(message)
    return url


def absolute(url: str, folder: Path) -> str:
    """Return the URL with an absolute path if it is a SQLite file; a relative one is in ``folder``."""
    return f"{SQLITE}{(folder / url.removeprefix(SQLITE)).absolute()}" if url.startswith(SQLITE) else url


def sqlite_file(url: str) -> Path | None:
    """Return the file that a store URL names, or None if the store is not SQLite."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def hosts_not_verified(url: str, default_sslmode: str = "") -> list[str]:
    """Return the hosts of a PostgreSQL store to which a connection leaves the machine without a verified certificate.

    Args:
        url: the URL of a store.
        default_sslmode: the mode if the URL has none, as libpq takes it from ``PGSSLMODE``.
    """
    parsed = _make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return []
    query = parsed.normalized_query
    if query.get("sslmode", (default_sslmode,))[-1] in _VERIFYING_MODES:
        return []
    given = [parsed.host or "", *query.get("host", ()), *query.get("hostaddr", ())]
    hosts = [_PORT.sub(r"\1", host) for hosts in given for host in hosts.split(",")]
    return [host for host in hosts if host and not _LOCAL_HOST.fullmatch(host)]


def holds_secret(url: str) -> bool:
    """Whether the URL contains a password; a text that is not a URL may contain one anywhere."""
    parsed = _parse(url)
    return parsed is None or bool(parsed.password) or any("password" in name.lower() for name in parsed.query)


def without_password(url: str) -> str:
    """Return the URL with ``***`` instead of its password, for people."""
    parsed = _make_url(url)
    shown = parsed.set(query={}).render_as_string(hide_password=True)
    query = "&".join(f"{name}={value}" for name, values in parsed.normalized_query.items() for value in values)
    return f"{shown}?{query}" if query else shown


def _parse(url: str) -> URL | None:
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - see `_make_url`

    try:
        return _make_url(url)
    except (ArgumentError, ValueError):
        return None


def _make_url(url: str) -> URL:
    # SQLAlchemy takes longer to import than all else of a command that needs no store, such as the health check.
    from sqlalchemy import make_url  # noqa: PLC0415

    return make_url(url)
