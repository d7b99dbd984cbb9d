"""A pytest plugin for `mutate_code`: records what each test covers and how long it takes."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from coverage import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = "MUTATION_SECONDS"
"""The environment variable with the path of the file to write, which gets the seconds of each test."""
EXAMPLES = 5
"""How many examples of Hypothesis are recorded. They reach nearly all lines that all examples reach."""
_FOR_CHILDREN = "COVERAGE_PROCESS_CONFIG"
_JSON = ":data:"
_SHARE = "share of the examples"

_seconds: defaultdict[str, float] = defaultdict(float)
_failed: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests of Hypothesis draw few examples, and note in their reports what share of all those are."""
    reduced: dict[object, float] = {}
    for item in items:
        function: Any = getattr(item, "obj", None)
        test = getattr(function, "__func__", function)
        settings = getattr(test, "_hypothesis_internal_use_settings", None)  # there is no public way
        if settings is None:
            continue
        if test not in reduced:
            few = min(settings.max_examples, EXAMPLES)
            reduced[test] = few / settings.max_examples
            test._hypothesis_internal_use_settings = hypothesis.settings(settings, max_examples=few)  # noqa: SLF001
        item.user_properties.append((_SHARE, reduced[test]))


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
    """Add up the seconds of each test with all its examples, and of its fixtures."""
    shares: dict[str, Any] = dict(report.user_properties)
    _seconds[report.nodeid] += report.duration / shares.get(_SHARE, 1.0)
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the seconds of the tests that passed; a test that fails on the unchanged code cannot detect a change."""
    if not hasattr(session.config, "workerinput"):
        passed = {test: seconds for test, seconds in _seconds.items() if test not in _failed}
        Path(os.environ[SECONDS]).write_text(json.dumps(passed), "utf-8")
