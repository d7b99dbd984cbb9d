"""Checks before a start that need no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.domain.errors import TemporaryFolderError
from exporter.server.startup_checks import find_temporary_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_folder_that_can_be_written_to_holds_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    others = [f"{tmp_path}/missing", f"{tmp_path}/file", str(tmp_path)]
    assert find_temporary_folder({}, others) == str(tmp_path)
    assert find_temporary_folder({"TMPDIR": "/nowhere"}, others) == str(tmp_path)
    assert find_temporary_folder({"TMPDIR": str(tmp_path.parent)}, others) == str(tmp_path.parent)
    with pytest.raises(TemporaryFolderError, match=r"can be written to \(/nowhere, \S+/file\): mount one"):
        find_temporary_folder({"TMPDIR": "/nowhere"}, others[1:2])
