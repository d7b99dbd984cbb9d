"""Tools that tests need and that may be missing."""

from __future__ import annotations

import os

import pytest

from monitoring import find_tool


def tool(name: str) -> str:
    """The path of a tool; without it the test is skipped, or fails where CI is true."""
    found = find_tool(name)
    if found is None:
        message = f"{name} is not there; scripts/install-tools gets it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found
