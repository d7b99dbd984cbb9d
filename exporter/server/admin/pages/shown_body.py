"""Makes a body that somebody sent readable on a page, whatever its bytes are. Pure."""

from __future__ import annotations

from typing import NamedTuple

MAX_BYTES = 16384
"""How much of a body is shown."""
_KEPT = frozenset("\n\t")


class ShownBody(NamedTuple):
    """The beginning of a body as text, and how many bytes all of it has."""

    text: str
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether the text is only the beginning."""
        return self.size > MAX_BYTES


def shown_body(body: bytes, size: int | None = None) -> ShownBody:
    """Return a body as text.

    Bytes that are not UTF-8 are replaced. Characters that cannot be seen, such as those that turn the direction of a
    text, are written as their escapes.

    Args:
        body: the bytes.
        size: how many bytes were sent, if ``body`` is only their beginning.
    """
    text = body[:MAX_BYTES].decode("utf-8", "replace")
    visible = "".join(each if each.isprintable() or each in _KEPT else _escaped(each) for each in text)
    return ShownBody(visible, len(body) if size is None else size)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
