"""Rows and columns that are kept compressed hold what was written into them, in order."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.compressed_table import CompressedTable
from exporter.metrics.gzip_parts import CompressedBody, Engine, PartCompressor, compression_engine

COLUMNS = 3
row_keys = st.tuples(st.sampled_from("ab"), st.integers(0, 9).map(str))
texts = st.binary(max_size=20) | st.integers(0, 300).map(lambda count: b"line\n" * count)
steps = st.lists(
    st.tuples(st.just("put"), row_keys, st.tuples(*[texts] * COLUMNS))
    | st.tuples(st.just("change"), row_keys, st.dictionaries(st.integers(0, COLUMNS - 1), texts))
    | st.tuples(st.just("remove"), row_keys, st.none())
    | st.tuples(st.just("flush"), row_keys, st.none()),
    max_size=40,
)


def shown(table: CompressedTable, by: Engine, column: int) -> bytes:
    body = CompressedBody(by, table.pieces(column), table.sum(column))
    text = body.plain(b"")
    assert gzip.decompress(body.gzip(b"")) == text
    return text


@pytest.mark.parametrize("by", [zlib, compression_engine()], ids=lambda each: each.__name__)
@given(steps=steps, rows=st.integers(1, 10))
def test_after_any_changes_each_column_is_the_texts_of_all_rows_in_order(
    steps: list[tuple[str, tuple[str, str], object]], rows: int, by: Engine
) -> None:
    table = CompressedTable(rows, PartCompressor(by))
    model: dict[tuple[str, str], list[bytes]] = {}
    for what, row_key, given_texts in [*steps, ("flush", ("a", "0"), None)]:
        if what == "put" and isinstance(given_texts, tuple):
            table.put(row_key, given_texts)
            model[row_key] = list(given_texts)
        elif what == "change" and isinstance(given_texts, dict) and row_key in model:
            table.change(row_key, given_texts)
            for column, text in given_texts.items():
                model[row_key][column] = text
        elif what == "remove" and row_key in model:
            table.remove(row_key)
            del model[row_key]
        elif what == "flush":
            some = table.pending_rows > 0
            assert table.flush() is some
            for column in range(COLUMNS):
                assert shown(table, by, column) == b"".join(model[each][column] for each in sorted(model))


def test_a_new_row_in_the_middle_moves_no_other_block() -> None:
    compressor = PartCompressor(compression_engine())
    table = CompressedTable(8, compressor)
    for number in range(0, 1000, 10):
        table.put((f"{number:03}",), [f"row {number}\n".encode()])
    table.flush()
    before = table.pieces(0)
    table.put(("505",), [b"row 505\n"])
    table.flush()
    after = table.pieces(0)
    assert len(set(map(id, before)) - set(map(id, after))) == 1


def test_blocks_stay_within_bounds_however_rows_come() -> None:
    table = CompressedTable(4, PartCompressor(compression_engine()))
    for number in range(100):
        table.put((f"{number * 37 % 100:02}",), [b"x\n"])
        table.flush()
    assert 100 / 8 <= len(table.pieces(0)) <= 100 / 2


def test_what_is_changed_before_it_is_settled_is_settled_as_it_was_last() -> None:
    by = compression_engine()
    table = CompressedTable(4, PartCompressor(by))
    table.put(("a",), [b"one\n", b"two\n"])
    table.change(("a",), {1: b"three\n"})
    table.change(("a",), {})
    assert table.flush()
    assert [shown(table, by, column) for column in (0, 1)] == [b"one\n", b"three\n"]
    table.change(("a",), {})
    assert not table.flush()


@pytest.mark.parametrize("changed", [1, 2, 12])
def test_texts_of_other_lengths_are_found_again_however_many_changed_at_once(changed: int) -> None:
    by = compression_engine()
    table = CompressedTable(12, PartCompressor(by))
    rows = {(f"{row:02}",): b"old %d\n" % row for row in range(12)}
    for row_key, text in rows.items():
        table.put(row_key, [text])
    table.flush()
    for turn in range(2):
        for row_key in list(rows)[turn : turn + changed]:
            rows[row_key] = b"longer than before: %d\n" % turn
            table.change(row_key, {0: rows[row_key]})
        table.flush()
        assert shown(table, by, 0) == b"".join(rows.values())
