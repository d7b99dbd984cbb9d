"""Lines in rows and columns, kept compressed: a column of a block of rows is one part of a gzip body.

Rows stand in order. A change compresses the changed columns of its block again and nothing else,
and a block that has grown too long is split, so that no other block moves.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.metrics.gzip_parts import Part, Press, Sum

Place = tuple[str, ...]
"""Where a row stands, and which it is."""
MANY = 6
"""One row in so many makes it quicker to write a chunk anew."""


_Edit = list[bytes] | dict[int, bytes] | None
"""All texts of a row, or some by their columns; None where it is removed."""


@dataclass(slots=True)
class _Chunk:
    part: Part
    lengths: array[int]
    """Of the text of each row in it."""

    def texts(self, plain: bytes) -> list[bytes]:
        ends = accumulate(self.lengths)
        return [plain[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]

    def changed(self, plain: bytes, changes: Mapping[int, bytes]) -> bytes:
        """The text after changes of some rows, in their order."""
        if len(changes) * MANY > len(self.lengths):
            # Then it is quicker to take all rows apart than to measure the way from one to the next.
            if len(changes) == len(self.lengths):
                pieces = list(changes.values())
            else:
                pieces = self.texts(plain)
                for row, text in changes.items():
                    pieces[row] = text
            self.lengths = array("I", map(len, pieces))
            return b"".join(pieces)
        spliced: list[bytes | memoryview] = []
        below = done = 0
        view = memoryview(plain)
        for row, text in changes.items():
            start = done + sum(self.lengths[below:row])
            spliced += (view[done:start], text)
            below, done = row + 1, start + self.lengths[row]
            self.lengths[row] = len(text)
        spliced.append(view[done:])
        return b"".join(spliced)


@dataclass(slots=True)
class _Block:
    places: list[Place]
    chunks: list[_Chunk]


class Sheet:
    """Rows of texts, one for each column, of as many columns each.

    Args:
        rows: how many rows a block has when it is new; at most twice as many later.
        press: what compresses.
    """

    def __init__(self, rows: int, press: Press) -> None:
        self._rows = rows
        self._press = press
        self._blocks: list[_Block] = []
        self._edits: dict[Place, _Edit] = {}
        self._sums: dict[int, Sum] = {}

    @property
    def waiting(self) -> int:
        """How many rows were changed and not yet settled."""
        return len(self._edits)

    def put(self, place: Place, texts: Sequence[bytes]) -> None:
        """Add a row, or replace all of it."""
        self._edits[place] = list(texts)

    def change(self, place: Place, texts: dict[int, bytes]) -> None:
        """Replace some columns of a row that is there; ``texts`` is kept."""
        edit = self._edits.get(place)
        if edit is not None:
            for column, text in texts.items():
                edit[column] = text
        elif texts:
            self._edits[place] = texts

    def remove(self, place: Place) -> None:
        """Remove a row that is there."""
        self._edits[place] = None

    def settle(self) -> bool:
        """Compress what was changed; False where nothing was."""
        edits, self._edits = self._edits, {}
        lasts = [block.places[-1] for block in self._blocks]
        found = sorted(edits)
        while found:
            # From the last block to the first, so that no other one's number changes.
            number = min(bisect_left(lasts, found[-1]), max(0, len(lasts) - 1))
            places = found[bisect_right(found, lasts[number - 1]) if number else 0 :]
            del found[-len(places) :]
            block = self._blocks[number] if self._blocks else _Block([], [])
            if not self._patch(block, places, edits):
                self._blocks[number : number + 1] = self._rebuild(block, places, edits)
                self._sums.clear()
        return bool(edits)

    def pieces(self, column: int) -> list[bytes]:
        """The compressed text of a column, in order."""
        return [block.chunks[column].part.deflated for block in self._blocks]

    def sum(self, column: int) -> Sum:
        """The checksum and the length of the plain text of a column."""
        if column not in self._sums:
            self._sums[column] = self._press.combine(block.chunks[column].part.sum for block in self._blocks)
        return self._sums[column]

    def _patch(self, block: _Block, places: Sequence[Place], edits: Mapping[Place, _Edit]) -> bool:
        """Change texts in their places; False where a row comes or goes."""
        changes: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        row = -1
        for place in places:
            row += 1
            if row == len(block.places) or block.places[row] != place:
                row = bisect_left(block.places, place, row)  # most often it is the next one
            edit = edits[place]
            if edit is None or row == len(block.places) or block.places[row] != place:
                return False
            for column, text in enumerate(edit) if isinstance(edit, list) else edit.items():
                changes[column][row] = text
        plains = self._plains([block.chunks[column] for column in changes])
        for (column, changed), plain in zip(changes.items(), plains, strict=True):
            chunk = block.chunks[column]
            new = chunk.changed(plain, changed)
            if new != plain:
                chunk.part = self._press.compress(new)
                self._sums.pop(column, None)
        return True

    def _plains(self, chunks: Sequence[_Chunk]) -> list[bytes]:
        """The plain text of each chunk; inflated together, since to begin takes a third of the time of each."""
        plain = self._press.inflate(b"".join([chunk.part.deflated for chunk in chunks]))
        ends = accumulate(chunk.part.sum[1] for chunk in chunks)
        return [plain[end - chunk.part.sum[1] : end] for chunk, end in zip(chunks, ends, strict=True)]

    def _rebuild(self, block: _Block, places: Sequence[Place], edits: Mapping[Place, _Edit]) -> list[_Block]:
        plains = self._plains(block.chunks)
        old = zip(*(chunk.texts(plain) for chunk, plain in zip(block.chunks, plains, strict=True)), strict=True)
        rows = {place: list(texts) for place, texts in zip(block.places, old, strict=True)}
        for place in places:
            edit = edits[place]
            if edit is None:
                rows.pop(place, None)
            elif isinstance(edit, list):
                rows[place] = edit
            else:
                for column, text in edit.items():
                    rows[place][column] = text
        found = sorted(rows)
        size = self._rows if len(found) > 2 * self._rows else 2 * self._rows
        return [
            self._block({place: rows[place] for place in found[first : first + size]})
            for first in range(0, len(found), size)
        ]

    def _block(self, rows: Mapping[Place, Sequence[bytes]]) -> _Block:
        chunks = [
            _Chunk(self._press.compress(b"".join(texts)), array("I", map(len, texts)))
            for texts in zip(*rows.values(), strict=True)
        ]
        return _Block(list(rows), chunks)
