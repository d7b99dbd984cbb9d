"""The browser of the tests of pages; a module shares one, and one exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from browsing import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser; skips if there is none."""
    with Browser() as browser:
        yield browser
