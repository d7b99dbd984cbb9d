"""Badges: the state of one export, or of all, as a small SVG for other pages. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from exporter.domain.states import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

COLOURS = {"fine": "#116329", "running": "#0a53a8", "not started": "#7a4b00", "no schedule": "#7a4b00"}
MUTED_COLOUR = "#4d555e"
BAD_COLOUR = "#a40e26"
MAX_NAME = 40
"""A longer name is cut off, because a badge is part of a line of text."""


def of_all(counts: Mapping[str, int]) -> str:
    """Return the badge of all exports.

    Args:
        counts: how many are in each condition that any is in.
    """
    wrong = {word: count for word, count in counts.items() if word not in {"fine", "running", "muted"}}
    if wrong:
        worst = min(wrong, key=CONDITIONS.index)
        return _svg("exports", ", ".join(f"{count} {word}" for word, count in wrong.items()), _colour(worst))
    if not counts:
        return _svg("exports", "none", MUTED_COLOUR)
    return _svg("exports", f"{sum(counts.values())} fine", COLOURS["fine"])


def of_one(name: str, condition: str) -> str:
    """Return the badge of one export."""
    short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    return _svg(short, condition, _colour(condition))


def _colour(condition: str) -> str:
    return MUTED_COLOUR if condition == "muted" else COLOURS.get(condition, BAD_COLOUR)


def _svg(left: str, right: str, colour: str) -> str:
    left, right = (re.sub(r"\s+", " ", "".join(filter(_is_shown, text))) for text in (left, right))
    left_width, right_width = _width(left), _width(right)
    width = left_width + right_width
    label, left, right = (escape(text, {'"': "&quot;"}) for text in (f"{left}: {right}", left, right))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}">
<title>{label}</title>
<rect width="{width}" height="20" rx="3" fill="#333b44"/>
<path fill="{colour}" d="M{left_width} 0h{right_width - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right_width - 3}Z"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{left_width / 2}" y="14" unicode-bidi="isolate" textLength="{left_width - 12}">{left}</text>
<text x="{left_width + right_width / 2}" y="14" unicode-bidi="isolate" textLength="{right_width - 12}">{right}</text>
</g></svg>
"""


def _is_shown(letter: str) -> bool:
    """Return whether a letter belongs in the text: no control character, which XML refuses, or turns the text round."""
    return letter.isprintable() or letter.isspace()


def _width(text: str) -> int:
    """Return the width of a part in pixels; the letters are stretched to it, whatever the viewer's font is."""
    return 12 + sum(13 if unicodedata.east_asian_width(letter) in "WF" else 7 for letter in text)
