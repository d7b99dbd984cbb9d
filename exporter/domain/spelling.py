"""Finds the word that somebody probably meant. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def closest(word: str, words: Sequence[str]) -> str | None:
    """Return the word that is most like ``word``; None if none resembles it."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    return next(iter(difflib.get_close_matches(word, words, 1)), None)
