"""Which files hold secrets, and whether every user of the machine can read them."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PASSWORD_IN_URL = re.compile(r"://[^/@]*:[^/@]+@")


def readable_secret_files(
    given: Mapping[str, Any], raw: Mapping[str, Any], path: Path | None, variables: Mapping[str, Path]
) -> Iterator[str]:
    """What to do about every file with a secret that everybody can read.

    Args:
        given: the tables of the configuration, checked, with the environment laid over them.
        raw: those of the file alone.
        path: that file, or None.
        variables: the files that hold the value of a variable, by its name.
    """
    place, folder = (str(path), path.parent) if path else ("environment", Path())
    found = [(f"{place}: {at}", folder / name) for at, name in _secret_files(given)]
    found += [(f"environment: {name}", file) for name, file in variables.items()]
    if path and any(map(_holds_secret, _tables(raw).values())):
        found.append((f"{path}: holds a token or a password itself", path))
    for at, file in found:
        mode = _mode(file)
        if mode & stat.S_IROTH:
            yield (
                f"{at}: every user of this machine can read {str(file)!r} (mode {mode:04o}): chmod 600 it; where the "
                "mode is not yours to choose and nobody else is there, as in a container, set "
                "server.allow_readable_secrets"
            )


def _mode(file: Path) -> int:
    try:
        found = file.stat().st_mode
    except OSError:
        return 0  # it was refused before
    return stat.S_IMODE(found) if stat.S_ISREG(found) else 0


def _tables(tables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Those that may name secrets, by the place that they have in messages."""
    sources = {f"sources[{number}].": each for number, each in enumerate(_tables_in(tables.get("sources")), 1)}
    return {"server.admin_": tables.get("server", {}), "store.": tables.get("store", {})} | sources


def _secret_files(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The files that are named, with their settings."""
    for at, table in _tables(tables).items():
        if table.get("tls_key_file"):
            yield "server.tls_key_file", table["tls_key_file"]
        yield from ((f"{at}tokens_file", name) for name in _setting(table, "tokens_file") or [])
        basic = _setting(table, "basic") or {}
        if basic.get("password_file"):
            yield f"{at}basic.password_file", basic["password_file"]


def _holds_secret(table: Mapping[str, Any]) -> bool:
    """Whether a secret stands in the table itself."""
    basic = _setting(table, "basic")
    password = basic.get("password") if isinstance(basic, dict) else None
    return bool(_setting(table, "tokens") or password or _PASSWORD_IN_URL.search(str(table.get("url", ""))))


def _tables_in(value: object) -> list[dict[str, Any]]:
    """The tables of a list; what has another shape in the file may have been replaced by a variable."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _setting(table: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - of any setting
    return table.get(name, table.get(f"admin_{name}"))
