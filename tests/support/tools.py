"""Tools that tests need and that may be missing or too old, and how long the proofs take."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

from monitoring import ROOT, find_tool

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST = {"prometheus": (3, 0), "promtool": (3, 0), "alertmanager": (0, 27), "amtool": (0, 27)}
"""The versions from which the tests pass; Debian 12 has older ones, which are enough for the rules."""

PROVING = "PROOF" in os.environ
"""Whether this is `make prove`."""
PROOF = int(os.environ.get("PROOF", "1"))
"""How many times as long as usual the proofs take; ``make prove PROOF=10`` sets it."""


def thorough(test: Callable[..., None]) -> Callable[..., None]:
    """Try a property of Hypothesis with more examples in `make prove`, which then tries it as well."""
    with_more: Callable[..., None] = settings(max_examples=300 * PROOF if PROVING else 100)(test)
    marked: Callable[..., None] = pytest.mark.thorough(with_more)
    return marked


def tool(name: str, oldest: tuple[int, int] | None = None) -> str:
    """The path of a tool, of a version from ``oldest`` on; else the test is skipped, or fails where CI is true."""
    found = find_tool(name)
    if found is None:
        message = f"{name} is not there; scripts/install-tools gets it"
    elif _version(found) < (oldest or OLDEST[name]):
        message = f"{name} is too old; with Go, scripts/install-tools builds a current one"
    else:
        return found
    return missing(message)


def program(name: str) -> str:
    """The path of a program of any version, among the administrator's as well; else as with `tool`."""
    found = find_tool(name) or shutil.which(name, path="/usr/sbin")
    return found or missing(f"{name} is not there; scripts/install-tools gets it")


def compiler() -> str:
    """The path of a C compiler; else the test is skipped, or fails where CI is true."""
    return shutil.which("cc") or missing("no C compiler is there")


def tracer() -> str:
    """The path of strace; else, or where no process may be traced, the test is skipped, or fails where CI is true."""
    found = find_tool("strace")
    if found is None:
        missing("strace is not there; scripts/install-tools gets it")
    if not _may_trace(found):
        missing("strace may not trace here; a container needs the capability SYS_PTRACE")
    return found


def postgres_program(name: str) -> str:
    """The path of a program of PostgreSQL's server, or pgbouncer; else as with `tool`.

    Debian keeps the server's programs out of the path, and pgbouncer with those of the administrator.
    """
    folders = [
        ROOT / ".tools" / "bin",
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name), reverse=True),
        os.environ.get("PATH", ""),
        "/usr/sbin",
    ]
    found = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    return found or missing(f"{name} is not there; scripts/install-tools gets it")


def missing(message: str) -> NoReturn:
    """Skip the test, or fail it where CI is true."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@cache
def _may_trace(strace: str) -> bool:
    tried = [strace, "-f", "-o", os.devnull, "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@cache
def _version(path: str) -> tuple[int, ...]:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version v?(\d+)\.(\d+)", told.stdout + told.stderr)
    assert match is not None, told
    return int(match[1]), int(match[2])
