"""Runs tests for `mutate_code`, each time in a fork of this process, which has imported the libraries they need.

It is started in a copy of the repository and reads a request from each line of its standard input:
``{"tests": [names of tests or files], "until": the last test to run or null, "timeout": seconds}``.
It responds with a line ``[kind, detail, seconds]``; the kind is one of `Kind`, and the detail of a failure or a timeout
is the test.

Each fork imports the copy's own modules, so that it runs their current content.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import time
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

LOG = "pytest.log"
"""The file in the copy with pytest's last output."""
RUNNING = "pytest.running"
"""The file in the copy with the name of the test that was started last."""
MEMORY_BYTES = 4 << 30
"""The limit of each process that runs tests, so that an endless list does not take the machine's memory."""
OPTIONS = (
    *("-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"),
    "--assert=plain",  # the plugins are imported already, too late for pytest to rewrite their asserts
)


class Kind(StrEnum):
    """How a run of tests ended."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    UNIMPORTABLE = "unimportable"
    """A module of the exporter cannot be imported."""
    DIED = "died"
    """The process that ran the tests died, such as for lack of memory."""
    ERROR = "error"
    """Anything else: tests that cannot be collected, or an internal error."""


class Chosen:
    """A pytest plugin that runs only the chosen tests of the files, and records the one that failed."""

    def __init__(self, tests: list[str], until: str | None) -> None:
        self.failed = ""
        self._tests = set(tests)
        self._until = until

    def pytest_configure(self) -> None:
        """Have Hypothesis search for one failing example, the same way every time, without shrinking it."""
        hypothesis.settings.register_profile(
            "mutation",
            parent=hypothesis.settings.default,
            derandomize=True,
            database=None,
            phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        )
        hypothesis.settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen tests, up to the last one."""
        chosen = [item for item in items if {item.nodeid, item.nodeid.partition("::")[0]} & self._tests]
        names = [item.nodeid for item in chosen]
        items[:] = chosen[: names.index(self._until) + 1] if self._until in names else chosen

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write the name of the running test to a file, in case the test never ends."""
        Path(RUNNING).write_text(nodeid, "utf-8")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record the first file that cannot be collected, such as one that computes what it expects."""
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the first failure."""
        if report.failed:
            self.failed = self.failed or report.nodeid


def import_exporter() -> None:
    """Import all modules of the exporter but the migrations, which alembic loads from their files."""
    package = importlib.import_module("exporter")
    for module in pkgutil.walk_packages(package.__path__, "exporter."):
        importlib.import_module(module.name)


def import_libraries() -> None:
    """Import the libraries of the exporter and the tests, then drop the copy's own modules."""
    here = f"{Path.cwd()}{os.sep}"
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    import_exporter()
    for path in sorted(Path("tests/support").glob("*.py")):
        importlib.import_module(path.stem)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(here) and name != "__main__":
            del sys.modules[name]
    gc.collect()
    gc.freeze()  # so that pytest's full collections, several per run, skip these objects


def run(tests: list[str], until: str | None) -> tuple[Kind, str]:
    """Run the tests in this process."""
    chosen = Chosen(tests, until)
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    code = pytest.main([*OPTIONS, *files], plugins=[chosen])
    if code == pytest.ExitCode.OK:
        return Kind.PASSED, ""
    if code in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED} and chosen.failed:
        return Kind.FAILED, chosen.failed
    try:
        import_exporter()
    except BaseException as problem:  # noqa: BLE001 - a changed module may raise anything
        return Kind.UNIMPORTABLE, repr(problem)
    return Kind.ERROR, str(code)


def run_in_child(tests: list[str], until: str | None, timeout: float, writer: int) -> NoReturn:
    """Run the tests in the forked child, write the outcome to a descriptor, and exit."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        signal.alarm(int(timeout) + 5)  # ends a hanging test even if the parent has been killed
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.write(writer, json.dumps(run(tests, until)).encode())
    finally:
        os._exit(0)


def run_in_fork(tests: list[str], until: str | None, timeout: float) -> tuple[Kind, str, float]:
    """Run the tests in a fork of this process, and kill the processes that they leave running."""
    started_at = time.monotonic()
    Path(RUNNING).write_text("", "utf-8")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        run_in_child(tests, until, timeout, writer)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], timeout)
    outcome = os.read(reader, 65536) if ready else b""
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    spent = time.monotonic() - started_at
    if not ready:
        return Kind.TIMEOUT, Path(RUNNING).read_text("utf-8"), spent
    kind, detail = json.loads(outcome) if outcome else (Kind.DIED, "")
    return Kind(kind), detail, spent


def main() -> None:
    """Run the requested tests until the input ends."""
    import_libraries()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(run_in_fork(request["tests"], request["until"], request["timeout"])), flush=True)


if __name__ == "__main__":
    main()
