"""Formats Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GENERATED = "<!-- `make reference` writes this page. -->"


def document(title: str, *blocks: str) -> str:
    """Join blocks to a page."""
    return "\n\n".join([GENERATED, f"# {title}", *blocks]) + "\n"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Format a table; a ``|`` in a cell is escaped."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """Format a text as inline code; empty if it is."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Format several texts as inline code, separated by commas."""
    return ", ".join(map(code, texts))
