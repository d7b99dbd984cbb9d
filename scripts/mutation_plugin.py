"""A pytest plugin for `mutate_code`: records what each test covers and how long it takes, or runs chosen tests."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from coverage import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = "MUTATION_RECORD"
"""Names the variable with the file for the seconds of each test; if it is set, coverage is recorded by test."""
CHOSEN = "MUTATION_TESTS"
"""Names the variable with the file of the tests to run, one a line, in order."""
_FOR_CHILDREN = "COVERAGE_PROCESS_CONFIG"
_JSON = ":data:"

_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_configure() -> None:
    """Search for one failing example, always the same way, and do not shrink it."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, deadline=None, phases=phases)
    if CHOSEN in os.environ:
        hypothesis.settings.load_profile("mutation")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Record the lines of this process, and of those that the test starts, under the name of the test."""
    recording = Coverage.current()
    if RECORD in os.environ and recording is not None:
        recording.switch_context(item.nodeid)
        given = os.environ.get(_FOR_CHILDREN, "")
        if given.startswith(_JSON):
            changed = json.loads(given.removeprefix(_JSON)) | {"context": item.nodeid}
            os.environ[_FOR_CHILDREN] = _JSON + json.dumps(changed)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the seconds of each test that passed, its fixtures included."""
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the seconds."""
    if RECORD in os.environ and not hasattr(session.config, "workerinput"):
        Path(os.environ[RECORD]).write_text(json.dumps(_seconds), "utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the chosen tests, in their order."""
    if CHOSEN in os.environ:
        names = Path(os.environ[CHOSEN]).read_text("utf-8").splitlines()
        order = {name: place for place, name in enumerate(names)}
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
