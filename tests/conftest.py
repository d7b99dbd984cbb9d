"""Fixtures of several test modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from commands import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own, which is `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(in_a_folder: Path) -> Iterator[Store]:
    """A database in the working folder, where the commands look for it."""
    made = Store(in_a_folder)
    yield made
    made.ledger.close()
