#!/usr/bin/env python3
"""Check what people read for phrases that are not plain English: documentation, alert texts, sample sites.

scripts/phrases.txt has the phrases, and what to write instead. Code in Markdown is not looked at.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# CHANGELOG.md and benchmarks/ are not covered.
COVERED = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "alerts/*.yaml",
    "alerts/templates/*",
    "deploy/*",
    "grafana/**/*.md",
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


def problems(text: str, phrases: list[Phrase]) -> Iterator[tuple[int, str]]:
    """Yield the line and the description of each phrase in a text."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in phrases:
            for found in pattern.finditer(line):
                yield number, f"{found[0].strip()!r}; write: {instead}"


def covered_files() -> list[Path]:
    """Return the files that are checked."""
    return sorted({path for pattern in COVERED for path in ROOT.glob(pattern) if path.is_file()})


def main() -> int:
    """Print each phrase that is found, and return 1 if there is one."""
    phrases = read_phrases((ROOT / "scripts" / "phrases.txt").read_text("utf-8"))
    status = 0
    for path in covered_files():
        text = path.read_text("utf-8")
        for number, problem in problems(without_code(text) if path.suffix == ".md" else text, phrases):
            print(f"{path.relative_to(ROOT)}:{number}: {problem}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
