"""Records which tests cover which lines, and chooses those that may detect a change for `mutate_code`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from coverage import CoverageData

from monitoring import ROOT
from mutation_copies import WORK, copy_tree, files
from mutation_recorder import SECONDS
from mutation_sample import functions_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mutation_sample import Mutant

TESTS = tuple(
    f"tests/{folder}"
    for folder in ("domain", "ledger", "projection", "ingest", "metrics", "server/http", "cli/commands")
)
"""The tests to run: those of the changed modules, and of the commands that copy a ledger.

The others start processes: they would add minutes and detect little more.
"""
FIRST_FILES = 3
"""How many test files the first attempt collects, which detects most changes."""
FIRST_SECONDS, SECOND_SECONDS = 3.0, 30.0
"""Limits of the first and the second attempt, in the recorded seconds of their tests."""


def record(jobs: int) -> None:
    """Run the tests once in a copy, and record what each covers and how long it takes, unless that is up to date."""
    stamp, fingerprint = WORK / "recorded", _fingerprint()
    if stamp.exists() and stamp.read_text() == fingerprint:
        return
    shutil.rmtree(WORK, ignore_errors=True)
    tree = copy_tree(0)
    environment = os.environ | {SECONDS: str(WORK / "seconds.json"), "COVERAGE_FILE": str(WORK / "coverage")}
    environment["PYTHONPATH"] = f"{tree}:{tree / 'scripts'}"
    python = [sys.executable, "-m"]
    command = [*python, "coverage", "run", "-m", "pytest", "-q", "-p", "mutation_recorder", "-p", "no:randomly"]
    command += ["-m", "not proof", f"--numprocesses={jobs}", "--dist=worksteal", *TESTS]
    code = subprocess.run(command, cwd=tree, env=environment, check=False).returncode
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        message = f"the tests could not be recorded: pytest exited with {code}"
        raise SystemExit(message)
    subprocess.run([*python, "coverage", "combine", "--quiet"], cwd=tree, env=environment, check=True)
    stamp.write_text(fingerprint)


def _fingerprint() -> str:
    digest = hashlib.sha256(repr(TESTS).encode())
    for name in files():
        is_code = name.startswith(("exporter/", "tests/", "pyproject")) and "/mutants/" not in name
        if is_code and (ROOT / name).is_file():  # and no link to a folder
            digest.update(f"{name} {hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Tests to run together.

    Attributes:
        tests: names of tests or of test files.
        seconds: the recorded duration of all of them.
    """

    tests: list[str]
    seconds: float


class Choice:
    """Chooses the tests that may detect a mutant."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = json.loads((WORK / "seconds.json").read_text("utf-8"))
        self._data = CoverageData(str(WORK / "coverage"))
        self._data.read()

    def attempts(self, mutant: Mutant) -> list[Attempt]:
        """Return up to two attempts: the quick tests that are about the line, then others that cover it."""
        quick = sorted(self._covering(mutant), key=lambda test: (self._seconds[test], test))
        files = Counter(_file(test) for test in quick)
        path = PurePosixPath(mutant.path)
        mirror = str("tests" / path.relative_to("exporter").parent / f"test_{path.name}")
        # A test file that covers the line with most of its tests is about it.
        best = sorted(files, key=lambda file: (file != mirror, -files[file], file))
        first = self._attempt(FIRST_SECONDS, [test for test in quick if _file(test) in best[:FIRST_FILES]], best)
        second = self._attempt(SECOND_SECONDS, [test for test in quick if test not in first.tests], best)
        return [attempt for attempt in (first, second) if attempt.tests]

    def _attempt(self, seconds: float, quick: Iterable[str], files: list[str]) -> Attempt:
        chosen: list[str] = []
        spent = 0.0
        for test in quick:
            if chosen and spent + self._seconds[test] > seconds:
                break
            chosen.append(test)
            spent += self._seconds[test]
        return Attempt(sorted(chosen, key=lambda test: files.index(_file(test))), spent)

    def _covering(self, mutant: Mutant) -> set[str]:
        by_line = self._data.contexts_by_lineno(str(WORK / "tree0" / mutant.path))
        functions = functions_of(mutant.path)
        body = functions.body(mutant.line)
        # Any test may import a module first, so all tests of the module count as covering lines outside functions.
        lines = functions.bodies() if body is None else [mutant.line]
        for candidates in (lines, body or ()):
            covering = {test for line in candidates for test in by_line.get(line, ()) if test in self._seconds}
            if covering:
                return covering
        # Such as a module without functions, which is imported before any test runs.
        package = PurePosixPath(mutant.path).relative_to("exporter").parts[0]
        return {test for test in self._seconds if test.startswith(f"tests/{package}/")}


def _file(test: str) -> str:
    return test.partition("::")[0]
