"""A pytest plugin for `mutate_code`: records what each test covers and how long it takes."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from coverage import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = "MUTATION_SECONDS"
"""The environment variable with the path of the file to write, which gets the seconds of each test."""
_FOR_CHILDREN = "COVERAGE_PROCESS_CONFIG"
_JSON = ":data:"

_seconds: defaultdict[str, float] = defaultdict(float)
_failed: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Record the covered lines of this process and of those that the test starts under the test's name."""
    recording = Coverage.current()
    if recording is not None:
        recording.switch_context(item.nodeid)
        serialized = os.environ.get(_FOR_CHILDREN, "")
        if serialized.startswith(_JSON):
            config = json.loads(serialized.removeprefix(_JSON)) | {"context": item.nodeid}
            os.environ[_FOR_CHILDREN] = _JSON + json.dumps(config)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the seconds of each test, its fixtures included."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the seconds of the tests that passed; a test that fails on the unchanged code cannot detect a change."""
    if not hasattr(session.config, "workerinput"):
        passed = {test: seconds for test, seconds in _seconds.items() if test not in _failed}
        Path(os.environ[SECONDS]).write_text(json.dumps(passed), "utf-8")
