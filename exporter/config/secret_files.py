"""Finds the files that contain secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.config import store_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def secret_files(
    tables: Mapping[str, Any], file_tables: Mapping[str, Any], path: Path | None, variable_files: Mapping[str, Path]
) -> list[tuple[str, Path]]:
    """Return every file with a secret, each with its place in messages.

    Args:
        tables: the validated configuration.
        file_tables: the configuration file alone, which is not validated.
        path: the configuration file; None if there is none.
        variable_files: the files that ``NAME_FILE`` variables refer to, by variable.
    """
    place, folder = (str(path), path.parent) if path else ("environment", Path())
    files = [(f"{place}: {at}", folder / name) for at, name in _secret_files(tables)]
    files += [(f"environment: {name}", file) for name, file in variable_files.items()]
    if path and any(map(_holds_secret, _tables_with_secrets(file_tables).values())):
        files.append((f"{path}: holds a token or a password itself", path))
    return files


def _tables_with_secrets(tables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the tables that can contain secrets, by the prefix that names their settings in messages."""
    sources = {f"sources[{number}].": source for number, source in enumerate(_tables_in(tables.get("sources")), 1)}
    return {"server.admin_": tables.get("server", {}), "store.": tables.get("store", {})} | sources


def _secret_files(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every setting that names a file with a secret, and the name of the file."""
    for at, table in _tables_with_secrets(tables).items():
        if table.get("tls_key_file"):
            yield "server.tls_key_file", table["tls_key_file"]
        yield from ((f"{at}tokens_file", name) for name in _setting(table, "tokens_file") or [])
        basic = _setting(table, "basic") or {}
        if basic.get("password_file"):
            yield f"{at}basic.password_file", basic["password_file"]


def _holds_secret(table: Mapping[str, Any]) -> bool:
    """Whether the table itself contains a secret."""
    basic = _setting(table, "basic")
    password = basic.get("password") if isinstance(basic, dict) else None
    url = table.get("url")
    return bool(_setting(table, "tokens") or password or (url is not None and store_url.holds_secret(str(url))))


def _tables_in(value: object) -> list[dict[str, Any]]:
    """Return the tables in a list; anything else is ignored, because a variable has replaced it."""
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _setting(table: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - the type depends on the setting
    return table.get(name, table.get(f"admin_{name}"))
