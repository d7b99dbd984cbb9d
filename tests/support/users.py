"""Runs a part of a test as another user of the machine, in a folder that every user can reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_USER = 54321


@contextmanager
def another_user(group: int = OTHER_USER) -> Iterator[None]:
    """Have only the permissions of `OTHER_USER` and a group; skips the test if this user may not switch."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(OTHER_USER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def ordinary_user() -> Iterator[int]:
    """Have the permissions of a user who is not root, and yield the user's number: root becomes `OTHER_USER`."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    with another_user():
        yield OTHER_USER


@contextmanager
def reachable_folder(mode: int = 0o755) -> Iterator[Path]:
    """Make a folder whose parents every user may enter, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(mode)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
