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

    from exporter.metrics.gzip_parts import Checksum, Part, PartCompressor

RowKey = tuple[str, ...]
"""Where a row stands, and which it is."""
REBUILD_FRACTION = 6
"""One row in so many makes it quicker to write a chunk anew."""


_RowEdit = list[bytes] | dict[int, bytes] | None
"""All texts of a row, or some by their columns; None where it is removed."""


@dataclass(slots=True)
class ColumnChunk:
    """The texts of one column in one group of rows, compressed together."""

    part: Part
    lengths: array[int]
    """Of the text of each row in it."""

    def texts(self, plain: bytes) -> list[bytes]:
        """The text of each row."""
        ends = accumulate(self.lengths)
        return [plain[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]

    def changed(self, plain: bytes, changes: Mapping[int, bytes]) -> bytes:
        """The text after changes of some rows, in their order."""
        if len(changes) * REBUILD_FRACTION > len(self.lengths):
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
class RowGroup:
    """Rows that are next to each other, each column of them compressed by itself."""

    row_keys: list[RowKey]
    chunks: list[ColumnChunk]


class CompressedTable:
    """Rows of texts, one for each column, of as many columns each.

    Args:
        rows: how many rows a block has when it is new; at most twice as many later.
        press: what compresses.
    """

    def __init__(self, rows_per_group: int, compressor: PartCompressor) -> None:
        self._rows_per_group = rows_per_group
        self._compressor = compressor
        self._groups: list[RowGroup] = []
        self._edits: dict[RowKey, _RowEdit] = {}
        self._sums: dict[int, Checksum] = {}

    @property
    def pending_rows(self) -> int:
        """How many rows were changed and not yet settled."""
        return len(self._edits)

    def put(self, row_key: RowKey, texts: Sequence[bytes]) -> None:
        """Add a row, or replace all of it."""
        self._edits[row_key] = list(texts)

    def change(self, row_key: RowKey, texts: dict[int, bytes]) -> None:
        """Replace some columns of a row that is there; ``texts`` is kept."""
        edit = self._edits.get(row_key)
        if edit is not None:
            for column, text in texts.items():
                edit[column] = text
        elif texts:
            self._edits[row_key] = texts

    def remove(self, row_key: RowKey) -> None:
        """Remove a row that is there."""
        self._edits[row_key] = None

    def flush(self) -> bool:
        """Compress what was changed; False where nothing was."""
        edits, self._edits = self._edits, {}
        last_keys = [group.row_keys[-1] for group in self._groups]
        edited_keys = sorted(edits)
        while edited_keys:
            # From the last block to the first, so that no other one's number changes.
            number = min(bisect_left(last_keys, edited_keys[-1]), max(0, len(last_keys) - 1))
            row_keys = edited_keys[bisect_right(edited_keys, last_keys[number - 1]) if number else 0 :]
            del edited_keys[-len(row_keys) :]
            group = self._groups[number] if self._groups else RowGroup([], [])
            if not self._edit_in_place(group, row_keys, edits):
                self._groups[number : number + 1] = self._rebuild_group(group, row_keys, edits)
                self._sums.clear()
        return bool(edits)

    def pieces(self, column: int) -> list[bytes]:
        """The compressed text of a column, in order."""
        return [group.chunks[column].part.deflated for group in self._groups]

    def sum(self, column: int) -> Checksum:
        """The checksum and the length of the plain text of a column."""
        if column not in self._sums:
            self._sums[column] = self._compressor.combine(group.chunks[column].part.sum for group in self._groups)
        return self._sums[column]

    def _edit_in_place(self, group: RowGroup, row_keys: Sequence[RowKey], edits: Mapping[RowKey, _RowEdit]) -> bool:
        """Change texts in their places; False where a row comes or goes."""
        changes: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        row = -1
        for row_key in row_keys:
            row += 1
            if row == len(group.row_keys) or group.row_keys[row] != row_key:
                row = bisect_left(group.row_keys, row_key, row)  # most often it is the next one
            edit = edits[row_key]
            if edit is None or row == len(group.row_keys) or group.row_keys[row] != row_key:
                return False
            for column, text in enumerate(edit) if isinstance(edit, list) else edit.items():
                changes[column][row] = text
        plains = self._inflate_chunks([group.chunks[column] for column in changes])
        for (column, changed), plain in zip(changes.items(), plains, strict=True):
            chunk = group.chunks[column]
            new = chunk.changed(plain, changed)
            if new != plain:
                chunk.part = self._compressor.compress(new)
                self._sums.pop(column, None)
        return True

    def _inflate_chunks(self, chunks: Sequence[ColumnChunk]) -> list[bytes]:
        """The plain text of each chunk; inflated together, since to begin takes a third of the time of each."""
        plain = self._compressor.inflate(b"".join([chunk.part.deflated for chunk in chunks]))
        ends = accumulate(chunk.part.sum[1] for chunk in chunks)
        return [plain[end - chunk.part.sum[1] : end] for chunk, end in zip(chunks, ends, strict=True)]

    def _rebuild_group(
        self, group: RowGroup, row_keys: Sequence[RowKey], edits: Mapping[RowKey, _RowEdit]
    ) -> list[RowGroup]:
        plains = self._inflate_chunks(group.chunks)
        old = zip(*(chunk.texts(plain) for chunk, plain in zip(group.chunks, plains, strict=True)), strict=True)
        rows = {row_key: list(texts) for row_key, texts in zip(group.row_keys, old, strict=True)}
        for row_key in row_keys:
            edit = edits[row_key]
            if edit is None:
                rows.pop(row_key, None)
            elif isinstance(edit, list):
                rows[row_key] = edit
            else:
                for column, text in edit.items():
                    rows[row_key][column] = text
        ordered_keys = sorted(rows)
        size = self._rows_per_group if len(ordered_keys) > 2 * self._rows_per_group else 2 * self._rows_per_group
        return [
            self._new_group({row_key: rows[row_key] for row_key in ordered_keys[first : first + size]})
            for first in range(0, len(ordered_keys), size)
        ]

    def _new_group(self, rows: Mapping[RowKey, Sequence[bytes]]) -> RowGroup:
        chunks = [
            ColumnChunk(self._compressor.compress(b"".join(texts)), array("I", map(len, texts)))
            for texts in zip(*rows.values(), strict=True)
        ]
        return RowGroup(list(rows), chunks)
