#!/usr/bin/env python3
"""Check what people read for phrases that are not plain English: documentation, alert texts, messages.

scripts/phrases.txt has the phrases, and what to write instead. Of Markdown, the text outside of code is checked; of
Python, the strings, which are messages, help texts and docstrings.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COVERED = (
    "CHANGELOG.md",
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "benchmarks/**/*.md",
    "alerts/*.yaml",
    "alerts/templates/*",
    "deploy/**/*",
    "charts/**/*.md",
    "charts/*/Chart.yaml",
    "charts/*/values.yaml",
    "charts/*/templates/NOTES.txt",
    "grafana/**/*.md",
    "grafana/**/*.py",
    "mixin/*",
    "exporter/**/*.html",
    "exporter/**/*.py",
    "scripts/reference_pages/*.py",
)
_CODE = re.compile(r"`[^`]*`")


class Phrase(NamedTuple):
    """A phrase that nobody writes."""

    pattern: re.Pattern[str]
    instead: str


def read_phrases(text: str) -> list[Phrase]:
    """Return the phrases in the text of scripts/phrases.txt."""
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [Phrase(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in lines]


def without_code(markdown: str) -> str:
    """Return Markdown with the same lines, but without the text of code."""
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        fence = line.lstrip().startswith("```")
        lines.append("" if fenced or fence else _CODE.sub("``", line))
        fenced ^= fence
    return "\n".join(lines)


def only_strings(source: str) -> str:
    """Return the strings in Python source, each line of them about where it is in the file."""
    lines: defaultdict[int, str] = defaultdict(str)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for number, line in enumerate(node.value.splitlines(), node.lineno):
                lines[number] += f"{line}\t"
    return "\n".join(lines[number] for number in range(1, max(lines, default=0) + 1))


def problems(text: str, phrases: list[Phrase]) -> Iterator[tuple[int, str]]:
    """Yield the line and the description of each phrase in a text."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in phrases:
            for found in pattern.finditer(line):
                yield number, f"{found[0].strip()!r}; write: {instead}"


_READERS = {".md": without_code, ".py": only_strings}


def covered_files() -> list[Path]:
    """Return the files that are checked."""
    return sorted({path for pattern in COVERED for path in ROOT.glob(pattern) if path.is_file()})


def main() -> int:
    """Print each phrase that is found, and return 1 if there is one."""
    phrases = read_phrases((ROOT / "scripts" / "phrases.txt").read_text("utf-8"))
    status = 0
    for path in covered_files():
        text = _READERS.get(path.suffix, str)(path.read_text("utf-8"))
        for number, problem in problems(text, phrases):
            print(f"{path.relative_to(ROOT)}:{number}: {problem}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
