"""Finds the tools that tests need, which may be missing or too old; and scales the tests of `make prove`."""

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
"""The oldest versions with which the tests pass. Debian 12 has older ones, which suffice for the rules."""

PROVING = "PROOF" in os.environ
"""True under `make prove`."""
PROOF = int(os.environ.get("PROOF", "1"))
"""The factor by which the proofs run longer; ``make prove PROOF=10`` sets it."""


def thorough(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a Hypothesis test so that `make prove` runs it too, with more examples."""
    with_more: Callable[..., None] = settings(max_examples=60 * PROOF if PROVING else 20)(test)
    marked: Callable[..., None] = pytest.mark.thorough(with_more)
    return marked


def tool(name: str, oldest: tuple[int, int] | None = None) -> str:
    """Return the path of a tool that has at least the version ``oldest``; otherwise, see `missing`."""
    path = find_tool(name)
    if path is None:
        message = f"{name} is not there; scripts/install-tools gets it"
    elif _version(path) < (oldest or OLDEST[name]):
        message = f"{name} is too old; with Go, scripts/install-tools builds a current one"
    else:
        return path
    return missing(message)


def program(name: str) -> str:
    """Return the path of a program of any version, which may be in /usr/sbin; otherwise, see `missing`."""
    path = find_tool(name) or shutil.which(name, path="/usr/sbin")
    return path or missing(f"{name} is not there; scripts/install-tools gets it")


def browser() -> str:
    """Return the path of Chromium; otherwise, see `missing`."""
    return find_tool("chromium") or missing("chromium is not there; as root, scripts/install-tools gets it")


def compiler() -> str:
    """Return the path of a C compiler; otherwise, see `missing`."""
    return shutil.which("cc") or missing("no C compiler is there")


def tracer() -> str:
    """Return the path of strace; if it is missing or may not trace here, see `missing`."""
    path = find_tool("strace")
    if path is None:
        missing("strace is not there; scripts/install-tools gets it")
    if not _may_trace(path):
        missing("strace may not trace here; a container needs the capability SYS_PTRACE")
    return path


def postgres_program(name: str) -> str:
    """Return the path of one of PostgreSQL's server programs, or of pgbouncer; otherwise, see `missing`.

    Debian installs the server's programs outside PATH, and pgbouncer in /usr/sbin.
    """
    folders = [
        ROOT / ".tools" / "bin",
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True),
        os.environ.get("PATH", ""),
        "/usr/sbin",
    ]
    path = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    return path or missing(f"{name} is not there; scripts/install-tools gets it")


def missing(message: str) -> NoReturn:
    """Skip the test, or fail it if the environment variable CI is ``true``."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@cache
def _may_trace(strace: str) -> bool:
    command = [strace, "-f", "-o", os.devnull, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@cache
def _version(path: str) -> tuple[int, ...]:
    result = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version v?(\d+)\.(\d+)", result.stdout + result.stderr)
    assert match is not None, result
    return int(match[1]), int(match[2])
