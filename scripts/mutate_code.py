#!/usr/bin/env python3
"""Change the code in one place after another, and require that the tests detect each change.

The places are a fixed random sample; cosmic-ray's operators change them. Each change is tested with the tests that
cover its line, or, of a line that runs on import, with those that use its module: first the quick ones of the test
files that are about it, then the others. A change that no test detects needs a verdict in
`tests/mutants/judged.toml`. A change that is judged equivalent is tested with the first ones only.

It works in copies of the repository below ``.mutants``, where it also records which test covers which line, until the
code or the tests change. To test one change with some tests: ``--only TEXT --tests tests/domain/test_slots.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import py_compile
import subprocess
import sys
import time
import tomllib
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING

from monitoring import ROOT
from mutation_choice import FIRST_SECONDS, Attempt, Choice, record
from mutation_copies import copy_tree
from mutation_sample import MODULES, modules, sample
from mutation_worker import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mutation_sample import Mutant

SAMPLE = 300
MIN_DETECTED = 0.96
JUDGED = ROOT / "tests" / "mutants" / "judged.toml"
DETECTED = {Kind.FAILED, Kind.TIMEOUT, Kind.UNIMPORTABLE, Kind.DIED}
TRIES = 3
SURVIVED, DOUBTFUL = "survived", "doubtful"
"""No test detected it; the tests that did fail on the unchanged code too, or are nearly as slow there."""


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
        """Run an attempt on a mutant; return its outcome and the detail, such as the failed test.

        What may be due to a busy machine is tried again, with more time than the unchanged code took meanwhile.
        """
        timeout = 10 + 5 * attempt.seconds
        for _ in range(TRIES):
            kind, detail, spent = self._compare(mutant, attempt.tests, timeout)
            if kind != DOUBTFUL:
                break
            timeout = max(2 * timeout, 4 * spent)
        return kind, detail

    def _compare(self, mutant: Mutant, tests: Sequence[str], timeout: float) -> tuple[str, str, float]:
        """Run tests on a mutant, then on the unchanged code; also return the seconds of the latter."""
        module = self._tree / mutant.path
        unchanged = module.read_bytes()
        self._replace(module, mutant.text.encode())
        try:
            kind, detail, _ = self._run(tests, None, timeout)
        finally:
            self._replace(module, unchanged)
        if kind == Kind.PASSED:
            return SURVIVED, "", 0.0
        # The outcome counts only if the same tests, up to that one, pass on the unchanged code, with time to spare.
        control, reason, spent = self._run(tests, detail if kind in {Kind.FAILED, Kind.TIMEOUT} else None, timeout)
        if control != Kind.PASSED:
            return DOUBTFUL, f"{kind}, but on the unchanged code {control}: {reason}", spent
        if kind == Kind.TIMEOUT and spent > timeout / 3:
            return DOUBTFUL, f"{kind}, but the unchanged code took {spent:.0f} of {timeout:.0f} s: {detail}", spent
        return kind, detail, spent

    def _replace(self, module: Path, text: bytes) -> None:
        """Write a module and its bytecode: a compiler's warning, such as for ``is 1``, must not count as a failure."""
        module.write_bytes(text)
        with contextlib.suppress(py_compile.PyCompileError):  # a mutant that cannot be compiled cannot be imported
            py_compile.compile(str(module), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)

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
        # All of them passed when it was judged that nothing can be observed.
        equivalent = [verdict == "equivalent" for verdict in map(judged().get, (mutant.name for mutant in mutants))]
        attempts = [tried[:1] if skip else tried for tried, skip in zip(attempts, equivalent, strict=True)]
    return report(mutants, test(mutants, attempts, options.jobs))


def test(mutants: Sequence[Mutant], attempts: Sequence[Sequence[Attempt]], jobs: int) -> list[str]:
    """Return the outcome of each mutant: a `Kind`, `SURVIVED` or `DOUBTFUL`."""
    warnings.simplefilter("ignore", SyntaxWarning)
    began = time.monotonic()
    ended = count(1)
    workers: SimpleQueue[Worker] = SimpleQueue()
    for number in range(jobs):
        workers.put(Worker(number))

    def test_one(mutant: Mutant, attempts: Sequence[Attempt]) -> str:
        worker, started_at, kind, detail = workers.get(), time.monotonic(), SURVIVED, "no test covers it"
        for attempt in attempts:
            kind, detail = worker.outcome(mutant, attempt)
            if kind in DETECTED:
                break
        workers.put(worker)
        now, number = time.monotonic(), next(ended)
        minutes = (now - began) * (len(mutants) / number - 1) / 60
        progress = f"[{number}/{len(mutants)}, about {minutes:.0f} min left]"
        outcome = f"{kind:12} {now - started_at:5.1f} s  {mutant.name}"
        print(progress, outcome, detail and f" ({detail})", flush=True)
        return kind

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(test_one, mutants, attempts))
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
