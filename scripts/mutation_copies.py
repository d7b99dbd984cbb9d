"""Copies of the repository below ``.mutants``, in which `mutate_code` changes modules and runs tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from monitoring import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WORK = ROOT / ".mutants"


def files() -> list[str]:
    """Return the files and links that git tracks, and the new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(name for name in set(listed.split("\0")) if (ROOT / name).is_symlink() or (ROOT / name).is_file())


def copy_tree(number: int) -> Path:
    """Make a compiled copy of the repository."""
    tree = WORK / f"tree{number}"
    shutil.rmtree(tree, ignore_errors=True)
    for name in files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    for name in (".venv", ".tools"):
        if (ROOT / name).exists():
            (tree / name).symlink_to((ROOT / name).resolve())
    # By default Python detects stale bytecode by whole seconds and sizes, which two mutants may share.
    compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode=checked-hash", "exporter", "tests"]
    subprocess.run(compiled, cwd=tree, check=True)
    return tree
