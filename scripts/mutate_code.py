#!/usr/bin/env python3
"""Change the code in one place after the other, and demand that the tests notice.

The places are a fixed random sample; cosmic-ray's operators change them. Each change is tested with the tests that
cover its line, the quickest first. A change that no test notices is judged in `tests/mutants/judged.toml`.

It works in copies of the tree below ``.mutants``, where it also keeps what each test covers (``--record`` renews that).
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from queue import SimpleQueue
from typing import TYPE_CHECKING

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from coverage import CoverageData
from mutation_plugin import CHOSEN, RECORD

from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MODULES = (
    "exporter/domain/**/*.py",
    "exporter/ledger/**/*.py",
    "exporter/projection/**/*.py",
    "exporter/ingest/**/*.py",
    "exporter/metrics/**/*.py",
    "exporter/server/http/**/*.py",
)
"""What is mutated."""
LEFT_OUT = ("exporter/ledger/migrations/",)
SAMPLE = 300
LEAST_NOTICED = 0.96
JUDGED = ROOT / "tests" / "mutants" / "judged.toml"
WORK = ROOT / ".mutants"
SEED = "1"
FIRST_FILES = 3
"""How many test files the first attempt collects; most changes are noticed there."""
FIRST_SECONDS, MOST_SECONDS = 3.0, 60.0
"""How long the tests of the first attempt, and of both, took when they were recorded."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: of the module, from the root.
        line: the number of the line.
        name: the module, the line before and after, and which of several alike.
        text: the module, changed.
    """

    path: str
    line: int
    name: str
    text: str


def modules(patterns: Sequence[str]) -> list[str]:
    """The paths that the patterns match, from the root."""
    found = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path for path in found if not path.startswith(LEFT_OUT))


def sample(paths: Iterable[str], count: int) -> list[Mutant]:
    """So many mutants, each at a place of its own; a change of the code changes few of them."""
    ranked = sorted(place for path in paths for place in _places(path))
    found: dict[str, Mutant] = {}
    for _, path, line, ways in ranked:
        if len(found) == count:
            break
        mutant = next(_mutants(path, line, ways), None)
        if mutant is not None:
            found.setdefault(mutant.name, mutant)
    return list(found.values())


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, (SEED, *parts))).encode()).hexdigest()


def _places(path: str) -> Iterator[tuple[str, str, int, list[tuple[str, int]]]]:
    """The places of a module: rank, path, number of the line, and operators with their occurrences."""
    source = (ROOT / path).read_text("utf-8")
    lines, tree = source.splitlines(), get_ast(source)
    ways: defaultdict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if not kind.arguments():
            positions = (position for node in ast_nodes(tree) for position, _ in kind().mutation_positions(node))
            for occurrence, position in enumerate(positions):
                ways[position].append((name, occurrence))
    alike: Counter[tuple[str, int]] = Counter()
    for (line, column), operators in sorted(ways.items()):
        text = lines[line - 1]
        key = text.strip(), column - len(text) + len(text.lstrip())
        alike[key] += 1
        rank = _hash(path, *key, alike[key])
        yield rank, path, line, sorted(operators, key=lambda way: _hash(rank, way[0], way[1] % 2))


def _mutants(path: str, line: int, ways: Iterable[tuple[str, int]]) -> Iterator[Mutant]:
    source = (ROOT / path).read_text("utf-8")
    for name, occurrence in ways:
        text = mutate_code(source, plugins.get_operator(name)(), occurrence)
        try:
            same = text is None or _meaning(text) == _meaning(source)
        except SyntaxError:
            continue
        if not same:
            yield Mutant(path, line, f"{path}: {_change(source, text)}", text)


def _meaning(source: str) -> str:
    """The program without annotations and what only the type checker reads, neither of which is run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns, given = None, node.args
            # The operators take the * before parameters by name for a multiplication.
            given.args = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            given.posonlyargs, given.kwonlyargs = [], []
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.test, node.body = ast.Constant(None), [ast.Pass()]
    return ast.dump(tree)


def _change(old: str, new: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    opcodes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    (_, i, j, k, m), *_ = [code for code in opcodes if code[0] != "equal"]
    was, becomes = (" ".join(" ".join(part).split()) for part in (before[i:j], after[k:m]))
    nth = sum(line == before[i] for line in before[: i + 1]) if i < j else 1
    return f"{was} -> {becomes or 'nothing'}" + (f" #{nth}" if nth > 1 else "")


def record(tests: Sequence[str]) -> None:
    """Run the tests once, and keep what each covers and how long it takes."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    environment = os.environ | {RECORD: str(WORK / "seconds.json"), "COVERAGE_FILE": str(WORK / "coverage")}
    python = [sys.executable, "-m"]
    run = [*python, "coverage", "run", "-m", "pytest", "-q", "-p", "mutation_plugin", "-p", "no:randomly"]
    environment["PYTHONPATH"] = str(ROOT / "scripts")
    subprocess.run([*run, f"--numprocesses={os.cpu_count()}", *tests], cwd=ROOT, env=environment, check=True)
    subprocess.run([*python, "coverage", "combine", "--quiet"], cwd=ROOT, env=environment, check=True)


class ChoiceParameter:
    """Which tests may notice a mutant."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = json.loads((WORK / "seconds.json").read_text("utf-8"))
        self._data = CoverageData(str(WORK / "coverage"))
        self._data.read()
        self._by_line: dict[str, dict[int, list[str]]] = {}

    def tests(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        """The tests of the first attempt, and of the second, in order."""
        by_line = self._by_line.get(mutant.path)
        if by_line is None:
            by_line = self._by_line[mutant.path] = self._data.contexts_by_lineno(str(ROOT / mutant.path))
        covering = {test for test in by_line.get(mutant.line, ()) if test in self._seconds}
        if not covering:  # it runs when the module is imported
            covering = {test for tests in by_line.values() for test in tests if test in self._seconds}
        quick = sorted(covering, key=lambda test: (self._seconds[test], test))
        sums = accumulate(self._seconds[test] for test in quick)
        quick = [test for test, total in zip(quick, sums, strict=True) if total < MOST_SECONDS]
        files = Counter(_file(test) for test in quick if self._seconds[test] < FIRST_SECONDS / 3)
        # A test file that covers the line with most of its tests is about it.
        best = sorted(files, key=lambda file: (-files[file], file))[:FIRST_FILES]
        first, spent = [], 0.0
        for test in quick:
            if _file(test) in best and spent < FIRST_SECONDS:
                first.append(test)
                spent += self._seconds[test]
        chosen = set(first)
        return first, [test for test in quick if test not in chosen]

    def seconds(self, tests: Iterable[str]) -> float:
        """How long these took."""
        return sum(self._seconds[test] for test in tests)


def _file(test: str) -> str:
    return test.partition("::")[0]


class Tree:
    """A copy of what git knows of, in which one module is changed at a time."""

    def __init__(self, number: int) -> None:
        self.path = WORK / f"tree{number}"
        shutil.rmtree(self.path, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the user's own git
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.path / name)
        for name in (".venv", ".tools"):
            if (ROOT / name).exists():
                (self.path / name).symlink_to((ROOT / name).resolve())

    def notices(self, mutant: Mutant | None, tests: Sequence[str], seconds: float) -> bool:
        """Whether one of the tests fails, or hangs."""
        if not tests:
            return False
        if mutant is not None:
            (self.path / mutant.path).write_text(mutant.text, "utf-8")
        chosen = self.path / ".chosen"
        chosen.write_text("\n".join(tests), "utf-8")
        environment = os.environ | {
            CHOSEN: str(chosen),
            "PYTHONPATH": f"{self.path}:{self.path / 'scripts'}",
            # Compiled code is told from stale code by whole seconds and sizes, which a mutant may share.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        files = list(dict.fromkeys(map(_file, tests)))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "mutation_plugin", "-p", "no:randomly"]
        command += ["-p", "no:cacheprovider", *files]
        with subprocess.Popen(
            command,
            cwd=self.path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as running:
            try:
                code = running.wait(20 + 5 * seconds)
            except subprocess.TimeoutExpired:
                code = 1
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)  # and whatever the tests have left running
                if mutant is not None:
                    shutil.copy2(ROOT / mutant.path, self.path / mutant.path)
        return code != 0


def judged() -> dict[str, str]:
    """The verdict on each survivor, by its name."""
    survivors = tomllib.loads(JUDGED.read_text("utf-8")).get("survivor", [])
    for each in survivors:
        if each["verdict"] not in {"equivalent", "gap"} or not each["reason"]:
            message = f"{JUDGED.name}: a verdict is equivalent or gap, and has a reason: {each['mutation']}"
            raise SystemExit(message)
    return {each["mutation"]: each["verdict"] for each in survivors}


def main() -> int:
    """Test the sample, or some of it; 1 if too few mutants are noticed, or a survivor was not judged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the mutants, and test none")
    parser.add_argument("--only", metavar="TEXT", default="", help="mutants whose name contains it")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="how many (default: %(default)s)")
    parser.add_argument("--modules", nargs="+", metavar="PATTERN", help="other modules than those of MODULES")
    parser.add_argument("--record", nargs="*", metavar="TEST", help="record anew, all tests or these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time (default: %(default)s)")
    options = parser.parse_args()
    paths = modules(options.modules or MODULES)
    mutants = [each for each in sample(paths, options.sample) if options.only in each.name]
    if options.list:
        print(*(each.name for each in mutants), sep="\n")
        return 0
    if options.record is not None or not (WORK / "coverage").exists():
        record(options.record or ())
    return report(mutants, test(mutants, options.jobs))


def test(mutants: Sequence[Mutant], jobs: int) -> list[bool]:
    """Which of the mutants are noticed."""
    choice = ChoiceParameter()
    trees: SimpleQueue[Tree] = SimpleQueue()
    for number in range(jobs):
        trees.put(Tree(number))

    def noticed(mutant: Mutant) -> bool:
        began, tree = time.monotonic(), trees.get()
        try:
            found = any(tree.notices(mutant, tests, choice.seconds(tests)) for tests in choice.tests(mutant))
        finally:
            trees.put(tree)
        print(f"{'noticed' if found else 'SURVIVED'} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
        return found

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(noticed, mutants))


def report(mutants: Sequence[Mutant], noticed: Sequence[bool]) -> int:
    """Compare the survivors with the verdicts; the exit code."""
    verdicts = judged()
    survivors = [mutant.name for mutant, found in zip(mutants, noticed, strict=True) if not found]
    needless = [each.name for each, found in zip(mutants, noticed, strict=True) if found and each.name in verdicts]
    unjudged = [name for name in survivors if name not in verdicts]
    for text, names in (("survived, and not judged", unjudged), ("judged, but noticed", needless)):
        for name in names:
            print(f"{text}: {name}", file=sys.stderr)
    equivalent = sum(verdicts.get(name) == "equivalent" for name in survivors)
    counted = len(mutants) - equivalent
    share = sum(noticed) / counted if counted else 1.0
    print(
        f"{len(mutants)} mutants, {equivalent} equivalent; {sum(noticed)} of the other {counted} noticed: {share:.1%}"
    )
    return 1 if unjudged or needless or share < LEAST_NOTICED else 0


if __name__ == "__main__":
    sys.exit(main())
