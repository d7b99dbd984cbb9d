"""A table of text lines that stays compressed in memory: one row per export, one column per metric family.

Sorted rows are divided into groups, and each column of a group is compressed separately:

                 column 0    column 1    ...
    group 0      chunk       chunk            rows "a" to "f"
    group 1      chunk       chunk            rows "g" to "m"

A scrape concatenates the chunks of a column. A changed text recompresses one chunk. A new row rebuilds its group,
and a group that has grown too long is split, so no other group changes.
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
"""Identifies a row; rows are sorted by it."""
REBUILD_FRACTION = 6
"""If more than one row in this many changes, splitting a chunk into all its texts is faster than splicing it."""

_RowEdit = list[bytes] | dict[int, bytes] | None
"""A list replaces all texts of a row, a dict replaces the texts of some columns, None removes the row."""


@dataclass(slots=True)
class ColumnChunk:
    """The texts of one column in one group of rows, compressed together.

    Attributes:
        lengths: the length of each row's text, in bytes.
    """

    part: Part
    lengths: array[int]

    def texts(self, plain: memoryview) -> list[bytes]:
        """Split the inflated text into the text of each row."""
        ends = accumulate(self.lengths)
        return [bytes(plain[end - length : end]) for end, length in zip(ends, self.lengths, strict=True)]

    def replace_texts(self, plain: memoryview, changes: Mapping[int, bytes]) -> bytes:
        """Return the inflated text with the changes applied, and update the lengths.

        Args:
            plain: the inflated text before the changes.
            changes: the new texts by row number, in ascending order.
        """
        if len(changes) * REBUILD_FRACTION > len(self.lengths):
            texts = self.texts(plain)
            for row, text in changes.items():
                texts[row] = text
            self.lengths = array("I", map(len, texts))
            return b"".join(texts)
        pieces: list[bytes | memoryview] = []
        next_row = copied = 0
        for row, text in changes.items():
            start = copied + sum(self.lengths[next_row:row])
            pieces += (plain[copied:start], text)
            next_row, copied = row + 1, start + self.lengths[row]
            self.lengths[row] = len(text)
        pieces.append(plain[copied:])
        return b"".join(pieces)


@dataclass(slots=True)
class RowGroup:
    """Adjacent rows, with one compressed chunk per column."""

    row_keys: list[RowKey]
    chunks: list[ColumnChunk]


class CompressedTable:
    """Sorted rows with one text per column. Every row has the same number of columns.

    Edits are collected by `put`, `change` and `remove`, and applied by `flush`.

    Args:
        rows_per_group: the number of rows in a new group; a group is split when it exceeds twice as many.
        compressor: compresses and inflates the chunks.
    """

    def __init__(self, rows_per_group: int, compressor: PartCompressor) -> None:
        self._rows_per_group = rows_per_group
        self._compressor = compressor
        self._groups: list[RowGroup] = []
        self._edits: dict[RowKey, _RowEdit] = {}
        self._sums: dict[int, Checksum] = {}

    @property
    def pending_rows(self) -> int:
        """The number of rows with edits that are not flushed yet."""
        return len(self._edits)

    def put(self, row_key: RowKey, texts: Sequence[bytes]) -> None:
        """Add a row, or replace all of it."""
        self._edits[row_key] = list(texts)

    def change(self, row_key: RowKey, texts: dict[int, bytes]) -> None:
        """Replace the texts of some columns of an existing row.

        Args:
            row_key: the row.
            texts: the new texts by column; the table keeps this dict and may modify it.
        """
        edit = self._edits.get(row_key)
        if edit is not None:
            for column, text in texts.items():
                edit[column] = text
        elif texts:
            self._edits[row_key] = texts

    def remove(self, row_key: RowKey) -> None:
        """Remove an existing row."""
        self._edits[row_key] = None

    def flush(self) -> bool:
        """Apply all pending edits.

        Returns:
            True if there were any.
        """
        edits, self._edits = self._edits, {}
        last_keys = [group.row_keys[-1] for group in self._groups]
        edited_keys = sorted(edits)
        while edited_keys:
            # Work from the last group to the first, so that a split does not change the numbers of those still to come.
            number = min(bisect_left(last_keys, edited_keys[-1]), max(0, len(last_keys) - 1))
            row_keys = edited_keys[bisect_right(edited_keys, last_keys[number - 1]) if number else 0 :]
            del edited_keys[-len(row_keys) :]
            group = self._groups[number] if self._groups else RowGroup([], [])
            if not self._edit_in_place(group, row_keys, edits):
                self._groups[number : number + 1] = self._rebuild_group(group, row_keys, edits)
                self._sums.clear()
        return bool(edits)

    def pieces(self, column: int) -> list[bytes]:
        """The chunks of a column, compressed, in row order."""
        return [group.chunks[column].part.deflated for group in self._groups]

    def sum(self, column: int) -> Checksum:
        """The checksum and length of a column's plain text."""
        if column not in self._sums:
            self._sums[column] = self._compressor.combine(group.chunks[column].part.sum for group in self._groups)
        return self._sums[column]

    def _edit_in_place(self, group: RowGroup, row_keys: Sequence[RowKey], edits: Mapping[RowKey, _RowEdit]) -> bool:
        """Recompress the changed chunks of a group.

        Returns:
            False, with nothing changed, if a row has to be added or removed.
        """
        changes: defaultdict[int, dict[int, bytes]] = defaultdict(dict)
        row = -1
        for row_key in row_keys:
            row += 1
            if row == len(group.row_keys) or group.row_keys[row] != row_key:
                row = bisect_left(group.row_keys, row_key, row)  # rows that change together are often adjacent
            edit = edits[row_key]
            if edit is None or row == len(group.row_keys) or group.row_keys[row] != row_key:
                return False
            for column, text in enumerate(edit) if isinstance(edit, list) else edit.items():
                changes[column][row] = text
        plains = self._inflate_chunks([group.chunks[column] for column in changes])
        for (column, texts), plain in zip(changes.items(), plains, strict=True):
            chunk = group.chunks[column]
            chunk.part = self._compressor.compress(chunk.replace_texts(plain, texts))
            self._sums.pop(column, None)
        return True

    def _inflate_chunks(self, chunks: Sequence[ColumnChunk]) -> list[memoryview]:
        """Inflate several chunks in one call, which takes two thirds of the time of one call per chunk."""
        plain = memoryview(self._compressor.inflate(b"".join([chunk.part.deflated for chunk in chunks])))
        ends = accumulate(chunk.part.sum[1] for chunk in chunks)
        return [plain[end - chunk.part.sum[1] : end] for chunk, end in zip(chunks, ends, strict=True)]

    def _rebuild_group(
        self, group: RowGroup, row_keys: Sequence[RowKey], edits: Mapping[RowKey, _RowEdit]
    ) -> list[RowGroup]:
        """Apply edits that add or remove rows; return no group, one, or several after a split."""
        plains = self._inflate_chunks(group.chunks)
        columns = [chunk.texts(plain) for chunk, plain in zip(group.chunks, plains, strict=True)]
        rows = {row_key: list(texts) for row_key, texts in zip(group.row_keys, zip(*columns, strict=True), strict=True)}
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
