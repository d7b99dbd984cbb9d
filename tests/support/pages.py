"""Reads the commands and queries out of the pages of the documentation."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
HOW_TOS = sorted((ROOT / "docs" / "how-to").glob("*.md"))


def commands(page: Path) -> Iterator[str]:
    """Yield each shell command of a page: every line of an `sh` block, and what follows `$` in a `console` block."""
    for language, block in re.findall(
        r"^ *```(sh|console)\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        lines = iter(block.splitlines())
        for line in lines:
            command = line.strip()
            if language == "console":
                if not command.startswith("$ "):
                    continue
                command = command.removeprefix("$ ")
            while not _is_complete(command):
                command += "\n" + next(lines)
            if command and not command.startswith("#"):
                yield command


def queries(page: Path) -> Iterator[str]:
    """Yield each PromQL query of a page: every line of a `promql` block."""
    for block in re.findall(r"^ *```promql\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        yield from filter(None, map(str.strip, block.splitlines()))


def _is_complete(command: str) -> bool:
    document = re.search(r"<<'(\w+)'", command)
    if document is not None and not command.endswith(f"\n{document[1]}"):
        return False
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")
