"""Reads files that contain secrets, and lists those of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.config import file_permissions, store_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from exporter.config.places import Places, SettingPath
    from exporter.config.settings import BasicSettings
    from exporter.config.validation import ValidSettings


LANDING_FILES = ("secret_access_key_file", "account_key_file", "service_account_file")
"""The settings of a landing that name a file with a secret."""


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: it cannot be read; the message names the file.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(file_permissions.unreadable(path, error, "a readable text file")) from error
    except UnicodeDecodeError as error:
        message = f"{str(path)!r} cannot be read (it is not UTF-8); save it as UTF-8"
        raise ValueError(message) from error


def parse_tokens(text: str) -> list[str]:
    """Return the tokens of a text: one on each line; blank lines and those that begin with ``#`` are skipped."""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def read_tokens(path: Path) -> list[str]:
    """Read the tokens of a file.

    Raises:
        ValueError: it cannot be read, or has no token.
    """
    tokens = parse_tokens(read_text(path))
    if not tokens:
        message = f"{str(path)!r} has no token; put one on a line"
        raise ValueError(message)
    return tokens


def read_password(path: Path) -> str:
    """Read the password of a file.

    Raises:
        ValueError: it cannot be read, or is not one line.
    """
    password = read_text(path).strip()
    if not password or len(password.splitlines()) > 1:
        found = "has more than one line" if password else "is empty"
        message = f"{str(path)!r} {found}; put the password into it, on one line"
        raise ValueError(message)
    return password


def secret_files(
    settings: ValidSettings, places: Places, folder: Path, variable_files: Mapping[str, Path]
) -> Iterator[tuple[str, Path]]:
    """Yield every file with a secret that a setting or a variable names, with its place in messages.

    Args:
        settings: the validated configuration.
        places: name the settings.
        folder: the folder that names of files are relative to.
        variable_files: the files that ``NAME_FILE`` variables refer to, by variable.
    """
    server = settings.server
    if server.tls_key_file:
        yield places.at("server", "tls_key_file"), folder / server.tls_key_file
    tables: list[tuple[SettingPath, str, list[str], BasicSettings | None]]
    tables = [(("server",), "admin_", server.admin_tokens_file, server.admin_basic)]
    tables += [(("sources", index), "", source.tokens_file, source.basic) for index, source in settings.sources.items()]
    for path, prefix, token_files, basic in tables:
        yield from ((places.at(*path, f"{prefix}tokens_file"), folder / name) for name in token_files)
        if basic is not None and basic.password_file is not None:
            yield places.at(*path, f"{prefix}basic", "password_file"), folder / basic.password_file
    landings = [(("sources", index), source.landing) for index, source in settings.sources.items()]
    landings += [(("exports", index), export.landing) for index, export in settings.exports.items()]
    for path, landing in landings:
        for name in LANDING_FILES if landing else ():
            if file := getattr(landing, name):
                yield places.at(*path, "landing", name), folder / file
    yield from ((f"environment: {name}", file) for name, file in variable_files.items())


def file_with_secrets(path: Path | None, tables: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the configuration file with its place if it contains a secret itself."""
    if path is not None and any(map(_holds_secret, _tables_with_secrets(tables))):
        yield f"{path}: holds a token or a password itself", path


def _tables_with_secrets(tables: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return the tables that can contain secrets. What is not a table is ignored: a variable has replaced it."""
    candidates = [tables.get("server"), tables.get("store")]
    for items in (tables.get("sources"), tables.get("exports")):
        candidates += items if isinstance(items, list) else [items]
    return [table for table in candidates if isinstance(table, dict)]


def _holds_secret(table: Mapping[str, Any]) -> bool:
    """Whether the table itself contains a secret."""
    basic = table.get("basic", table.get("admin_basic"))
    password = basic.get("password") if isinstance(basic, dict) else None
    landing = table.get("landing")
    key = landing.get("secret_access_key", landing.get("account_key")) if isinstance(landing, dict) else None
    tokens = table.get("tokens", table.get("admin_tokens"))
    url = table.get("url")
    return bool(tokens or password or key or (url is not None and store_url.holds_secret(str(url))))
