"""Records which tests cover which lines, and chooses those that may detect a change for `mutate_code`."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from coverage import CoverageData

from monitoring import ROOT
from mutation_copies import WORK, copy_tree, files
from mutation_recorder import SECONDS
from mutation_sample import functions_of, modules

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
NAMES_IT = 0
"""The rank of tests whose file names what the changed line defines."""
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
        self._files = {_file(test) for test in self._seconds}
        self._contexts: dict[str, dict[int, list[str]]] = {}

    def attempts(self, mutant: Mutant) -> list[Attempt]:
        """Return up to two attempts: the quick tests that are about the line, then others that may detect the change.

        They begin with the likeliest to detect it, so that most mutants take a second.
        """
        ranks = self._ranks(mutant)
        quick = sorted(ranks, key=lambda test: (ranks[test], self._seconds[test], test))
        files = Counter(_file(test) for test in quick)
        path = PurePosixPath(mutant.path)
        mirror = str("tests" / path.relative_to("exporter").parent / f"test_{path.name}")
        nearest = {_file(test): ranks[test] for test in reversed(quick)}
        # A test file that covers the line with most of its tests is about it.
        best = sorted(files, key=lambda file: (nearest[file] > NAMES_IT, file != mirror, -files[file], file))
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

    def _ranks(self, mutant: Mutant) -> dict[str, int]:
        """Return the tests that may detect the mutant; those of a lower rank are likelier to."""
        functions = functions_of(mutant.path)
        body = functions.body(mutant.line)
        if body is None:
            return self._ranks_by_name(mutant.path, functions.names(mutant.line))
        covering = self._covering(mutant.path, [mutant.line]) or self._covering(mutant.path, body)
        return dict.fromkeys(covering or self._tests_of_package(mutant.path), 0)

    def _ranks_by_name(self, path: str, names: set[str]) -> dict[str, int]:
        """Return the tests of what runs on import, such as a constant: coverage records it for no test, or for one.

        First come the tests of the files that name it, then those that cover a line that does, then all others of the
        module.
        """
        named = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b") if names else re.compile(r"(?!)")
        module = path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
        importing = {file for file in self._files if module in _imported(file)}
        naming = {file for file in importing if named.search(_text(file))}
        users: set[str] = set()
        for user in modules(["exporter/**/*.py"]):
            lines = [number for number, line in enumerate(_text(user).splitlines(), 1) if named.search(line)]
            users |= self._covering(user, functions_of(user).bodies().intersection(lines))
        covering = self._covering(path, functions_of(path).bodies())
        tests = [test for test in self._seconds if _file(test) in importing or test in users or test in covering]
        ranks = {test: NAMES_IT if _file(test) in naming else 1 if test in users else 2 for test in tests}
        return ranks or dict.fromkeys(self._tests_of_package(path), 2)

    def _covering(self, path: str, lines: Iterable[int]) -> set[str]:
        if path not in self._contexts:
            self._contexts[path] = self._data.contexts_by_lineno(str(WORK / "tree0" / path))
        by_line = self._contexts[path]
        return {test for line in lines for test in by_line.get(line, ()) if test in self._seconds}

    def _tests_of_package(self, path: str) -> list[str]:
        package = PurePosixPath(path).relative_to("exporter").parts[0]
        return [test for test in self._seconds if test.startswith(f"tests/{package}/")]


@cache
def _text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@cache
def _imported(path: str) -> set[str]:
    """Return the dotted names of the modules that a file imports, and of what it imports from them."""
    names = set[str]()
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _file(test: str) -> str:
    return test.partition("::")[0]
