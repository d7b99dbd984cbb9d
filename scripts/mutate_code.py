#!/usr/bin/env python3
"""Change the code in one place after another, and require that the tests detect each change.

The places are a fixed random sample; cosmic-ray's operators change them. Each change is tested with the tests that
cover its line: first the quick ones of the test files that are about it, then the others. A change that no test
detects needs a verdict in `tests/mutants/judged.toml`.

It works in copies of the repository below ``.mutants``, where it also records which test covers which line, until the
code or the tests change. To test one change with some tests: ``--only TEXT --tests tests/domain/test_slots.py``.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from coverage import CoverageData

from monitoring import ROOT
from mutation_recorder import SECONDS
from mutation_worker import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MODULES = tuple(
    f"exporter/{package}/**/*.py" for package in ("domain", "ledger", "projection", "ingest", "metrics", "server/http")
)
"""The modules to change."""
LEFT_OUT = ("exporter/ledger/migrations/",)
TESTS = tuple(
    f"tests/{package}" for package in ("domain", "ledger", "projection", "ingest", "metrics", "server", "config", "cli")
)
"""The tests to run. The others start whole systems: they would add minutes and detect little more."""
SAMPLE = 300
MIN_DETECTED = 0.96
JUDGED = ROOT / "tests" / "mutants" / "judged.toml"
WORK = ROOT / ".mutants"
SEED = "1"
FIRST_FILES = 3
"""How many test files the first attempt collects, which detects most changes."""
FIRST_SECONDS, SECOND_SECONDS = 3.0, 30.0
"""Limits of the first and the second attempt, in the recorded seconds of their tests."""
DETECTED = {Kind.FAILED, Kind.TIMEOUT, Kind.UNIMPORTABLE}
SURVIVED, DOUBTFUL = "survived", "doubtful"
"""No test detected it; the tests that did fail on the unchanged code too, or are nearly as slow there."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: the module's path from the root of the repository.
        line: the number of the changed line.
        name: the module's and the function's name, the line before and after, and its number among equal ones.
        text: the changed module.
    """

    path: str
    line: int
    name: str
    text: str


def modules(patterns: Sequence[str]) -> list[str]:
    """Return the paths that the patterns match, from the root of the repository."""
    paths = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path for path in paths if not path.startswith(LEFT_OUT))


def sample(paths: Iterable[str], count: int) -> list[Mutant]:
    """Take a fixed random sample of mutants, at most one per place.

    A place is identified by its function and the text of its line, so that the sample stays the same if other code
    changes, or a module moves to another folder.
    """
    ranked = sorted((place.rank, place.path, place.line, place) for path in paths for place in _places(path))
    mutants: dict[str, Mutant] = {}
    for *_, place in ranked:
        if len(mutants) == count:
            break
        mutant = next(_mutants(place), None)
        if mutant is not None:
            mutants.setdefault(mutant.name, mutant)
    return list(mutants.values())


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A place that operators can change; each operator has the number of its occurrence in the module."""

    rank: str
    path: str
    line: int
    owner: str
    operators: list[tuple[str, int]]


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, (SEED, *parts))).encode()).hexdigest()


def _places(path: str) -> Iterator[_Place]:
    source = (ROOT / path).read_text("utf-8")
    lines, nodes, functions = source.splitlines(), list(ast_nodes(get_ast(source))), functions_of(path)
    operators_at: defaultdict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if not kind.arguments():
            positions = (position for node in nodes for position, _ in kind().mutation_positions(node))
            for occurrence, position in enumerate(positions):
                operators_at[position].append((name, occurrence))
    alike: Counter[tuple[str, str, int]] = Counter()
    for (line, column), operators in sorted(operators_at.items()):
        text, owner = lines[line - 1], functions.owner(line)
        key = owner, text.strip(), column - len(text) + len(text.lstrip())
        alike[key] += 1
        rank, seen, order = _hash(*key, alike[key]), Counter[str](), {}
        for name, occurrence in operators:
            order[_hash(rank, name, seen[name])] = name, occurrence
            seen[name] += 1
        yield _Place(rank, path, line, owner, [order[operator_rank] for operator_rank in sorted(order)])


class Functions:
    """Finds the class or function of a line in a module."""

    def __init__(self, path: str) -> None:
        self._module = PurePosixPath(path.removesuffix("/__init__.py")).name.removesuffix(".py")
        self._spans: list[tuple[int, int, int, str]] = []
        self._find(ast.parse((ROOT / path).read_text("utf-8")), self._module)

    def _find(self, node: ast.AST, owner: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = owner
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{owner}.{child.name}"
                body = sys.maxsize if isinstance(child, ast.ClassDef) else child.body[0].lineno
                first = min(node.lineno for node in (child, *child.decorator_list))
                self._spans.append((first, child.end_lineno or child.lineno, body, name))
            self._find(child, name)

    def owner(self, line: int) -> str:
        """Return the dotted name of the module, class and function that contain the line."""
        return max(
            ((first, name) for first, last, _, name in self._spans if first <= line <= last), default=(0, self._module)
        )[1]

    def body(self, line: int) -> range | None:
        """Return the lines of the function body that contains the line; None if it runs on import."""
        bodies = [(body, last) for _, last, body, _ in self._spans if body <= line <= last]
        return range(max(bodies)[0], max(bodies)[1] + 1) if bodies else None

    def bodies(self) -> set[int]:
        """Return the lines of all function bodies."""
        return {line for _, last, body, _ in self._spans for line in range(body, last + 1)}


functions_of = cache(Functions)


def _mutants(place: _Place) -> Iterator[Mutant]:
    source = (ROOT / place.path).read_text("utf-8")
    for name, occurrence in place.operators:
        text = mutate_code(source, plugins.get_operator(name)(), occurrence)
        try:
            same = text is None or _meaning(text) == _meaning(source)
        except SyntaxError:
            continue
        if not same:
            yield Mutant(place.path, place.line, f"{place.owner}: {_change(source, text, place.path)}", text)


def _meaning(source: str) -> str:
    """Return the syntax tree without annotations and imports for type checking, which never run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns, parameters = None, node.args
            # The operators mistake the * before keyword-only parameters for a multiplication.
            parameters.args = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
            parameters.posonlyargs, parameters.kwonlyargs = [], []
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.test, node.body = ast.Constant(None), [ast.Pass()]
    return ast.dump(tree)


def _change(old: str, new: str, path: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    opcodes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    (_, i, j, k, m), *_ = [code for code in opcodes if code[0] != "equal"]
    replaced, replacement = (" ".join(" ".join(part).split()) for part in (before[i:j], after[k:m]))
    functions = functions_of(path)
    owner = functions.owner(i + 1)
    nth = sum(text == before[i] and functions.owner(line) == owner for line, text in enumerate(before[: i + 1], 1))
    return f"{replaced} -> {replacement or 'nothing'}" + (f" #{nth}" if nth > 1 else "")


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
    files = (
        name for name in _files() if name.startswith(("exporter/", "tests/", "pyproject")) and "/mutants/" not in name
    )
    return _hash(TESTS, *(hashlib.sha256((ROOT / name).read_bytes()).hexdigest() + name for name in files))


def _files() -> list[str]:
    """Return the files that git tracks, and the new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in set(listed.split("\0")) if (ROOT / name).is_file())


def copy_tree(number: int) -> Path:
    """Make a compiled copy of the repository."""
    tree = WORK / f"tree{number}"
    shutil.rmtree(tree, ignore_errors=True)
    for name in _files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    for name in (".venv", ".tools"):
        if (ROOT / name).exists():
            (tree / name).symlink_to((ROOT / name).resolve())
    # By default Python detects stale bytecode by whole seconds and sizes, which two mutants may share.
    compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode=checked-hash", "exporter", "tests"]
    subprocess.run(compiled, cwd=tree, check=True)
    return tree


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
        return set()


def _file(test: str) -> str:
    return test.partition("::")[0]


class Worker:
    """A copy of the repository with one changed module at a time, and a process that runs tests in it."""

    def __init__(self, number: int) -> None:
        self._tree = copy_tree(number)
        self._process = subprocess.Popen(
            [sys.executable, "scripts/mutation_worker.py"],
            cwd=self._tree,
            env=os.environ
            | {"PYTHONPATH": ":".join(str(self._tree / name) for name in (".", "tests/support", "scripts"))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def outcome(self, mutant: Mutant, attempt: Attempt) -> tuple[str, str]:
        """Run an attempt on a mutant; return its outcome and the detail, such as the failed test."""
        tests, timeout = attempt.tests, 10 + 5 * attempt.seconds
        module = self._tree / mutant.path
        unchanged = module.read_bytes()
        module.write_text(mutant.text, "utf-8")
        try:
            kind, detail, _ = self._run(tests, None, timeout)
        finally:
            module.write_bytes(unchanged)
        if kind == Kind.PASSED:
            return SURVIVED, ""
        # The outcome counts only if the same tests, up to that one, pass on the unchanged code, with time to spare.
        control, reason, spent = self._run(tests, detail if kind in {Kind.FAILED, Kind.TIMEOUT} else None, timeout)
        if control != Kind.PASSED:
            return DOUBTFUL, f"{kind}, but on the unchanged code {control}: {reason}"
        if kind == Kind.TIMEOUT and spent > timeout / 3:
            return DOUBTFUL, f"{kind}, but the unchanged code took {spent:.0f} of {timeout:.0f} s: {detail}"
        return kind, detail

    def _run(self, tests: Sequence[str], until: str | None, timeout: float) -> tuple[Kind, str, float]:
        print(json.dumps({"tests": tests, "until": until, "timeout": timeout}), file=self._process.stdin, flush=True)
        kind, detail, seconds = json.loads(next(iter(self._process.stdout or ())))
        return Kind(kind), detail, seconds

    def close(self) -> None:
        """Stop the process."""
        self._process.communicate()


def judged() -> dict[str, str]:
    """Return the verdict on each judged survivor, by its name."""
    survivors = tomllib.loads(JUDGED.read_text("utf-8")).get("survivor", [])
    for survivor in survivors:
        if survivor["verdict"] not in {"equivalent", "gap"} or not survivor["reason"]:
            message = f"{JUDGED.name}: a verdict is equivalent or gap, and has a reason: {survivor['mutation']}"
            raise SystemExit(message)
    return {survivor["mutation"]: survivor["verdict"] for survivor in survivors}


def main() -> int:
    """Test the sample, or a part of it; return 1 if too few mutants are detected or a survivor has no verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the mutants, and test none")
    parser.add_argument("--only", metavar="TEXT", default="", help="mutants whose name contains it")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="how many (default: %(default)s)")
    parser.add_argument("--modules", nargs="+", metavar="PATTERN", default=MODULES, help="other modules")
    parser.add_argument(
        "--tests", nargs="+", metavar="FILE", help="test with these instead of those that cover the line"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time (default: %(default)s)")
    options = parser.parse_args()
    mutants = [mutant for mutant in sample(modules(options.modules), options.sample) if options.only in mutant.name]
    if options.list:
        print(*(mutant.name for mutant in mutants), sep="\n")
        return 0
    if options.tests:
        attempts = [[Attempt(options.tests, 2 * FIRST_SECONDS)]] * len(mutants)
    else:
        record(options.jobs)
        choice = Choice()
        attempts = [choice.attempts(mutant) for mutant in mutants]
    return report(mutants, test(mutants, attempts, options.jobs))


def test(mutants: Sequence[Mutant], attempts: Sequence[Sequence[Attempt]], jobs: int) -> list[str]:
    """Return the outcome of each mutant: a `Kind`, `SURVIVED` or `DOUBTFUL`."""
    workers: SimpleQueue[Worker] = SimpleQueue()
    for number in range(jobs):
        workers.put(Worker(number))

    def outcome(mutant: Mutant, attempts: Sequence[Attempt]) -> str:
        worker, started_at, kind, detail = workers.get(), time.monotonic(), SURVIVED, "no test covers it"
        for attempt in attempts:
            kind, detail = worker.outcome(mutant, attempt)
            if kind in DETECTED:
                break
        workers.put(worker)
        print(
            f"{kind:12} {time.monotonic() - started_at:5.1f} s  {mutant.name}  {detail and f'({detail})'}", flush=True
        )
        return kind

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(outcome, mutants, attempts))
    for _ in range(jobs):
        workers.get().close()
    return outcomes


def report(mutants: Sequence[Mutant], outcomes: Sequence[str]) -> int:
    """Compare the survivors with the verdicts, print the totals, and return the exit code."""
    verdicts = judged()
    detected = {mutant.name for mutant, kind in zip(mutants, outcomes, strict=True) if kind in DETECTED}
    others = [(mutant.name, kind) for mutant, kind in zip(mutants, outcomes, strict=True) if kind not in DETECTED]
    unjudged = [(name, kind) for name, kind in others if kind != SURVIVED or name not in verdicts]
    needless = [(name, "judged, but detected") for name in verdicts if name in detected]
    for name, problem in unjudged + needless:
        print(f"{problem}: {name}", file=sys.stderr)
    equivalent = sum(verdicts.get(name) == "equivalent" for name, _ in others)
    counted = len(mutants) - equivalent
    share = len(detected) / counted if counted else 1.0
    print(", ".join(f"{count} {kind}" for kind, count in Counter(outcomes).most_common()))
    print(
        f"{len(mutants)} mutants, {equivalent} equivalent; {len(detected)} of the other {counted} detected: {share:.1%}"
    )
    return 1 if unjudged or needless or share < MIN_DETECTED else 0


if __name__ == "__main__":
    sys.exit(main())
