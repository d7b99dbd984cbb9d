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
places = st.tuples(st.sampled_from("ab"), st.integers(0, 9).map(str))
texts = st.binary(max_size=20) | st.integers(0, 300).map(lambda count: b"line\n" * count)
steps = st.lists(
    st.tuples(st.just("put"), places, st.tuples(*[texts] * COLUMNS))
    | st.tuples(st.just("change"), places, st.dictionaries(st.integers(0, COLUMNS - 1), texts))
    | st.tuples(st.just("remove"), places, st.none())
    | st.tuples(st.just("settle"), places, st.none()),
    max_size=40,
)


def shown(sheet: CompressedTable, by: Engine, column: int) -> bytes:
    body = CompressedBody(by, sheet.pieces(column), sheet.sum(column))
    text = b"".join(body.plain_pieces(b""))
    assert gzip.decompress(body.gzip(b"")) == text
    return text


@pytest.mark.parametrize("by", [zlib, compression_engine()], ids=lambda each: each.__name__)
@given(steps=steps, rows=st.integers(1, 10))
def test_after_any_changes_each_column_is_the_texts_of_all_rows_in_order(
    steps: list[tuple[str, tuple[str, str], object]], rows: int, by: Engine
) -> None:
    sheet = CompressedTable(rows, PartCompressor(by))
    model: dict[tuple[str, str], list[bytes]] = {}
    for what, place, given_texts in [*steps, ("settle", ("a", "0"), None)]:
        if what == "put" and isinstance(given_texts, tuple):
            sheet.put(place, given_texts)
            model[place] = list(given_texts)
        elif what == "change" and isinstance(given_texts, dict) and place in model:
            sheet.change(place, given_texts)
            for column, text in given_texts.items():
                model[place][column] = text
        elif what == "remove" and place in model:
            sheet.remove(place)
            del model[place]
        elif what == "settle":
            some = sheet.pending_rows > 0
            assert sheet.flush() is some
            for column in range(COLUMNS):
                assert shown(sheet, by, column) == b"".join(model[each][column] for each in sorted(model))


def test_a_new_row_in_the_middle_moves_no_other_block() -> None:
    press = PartCompressor(compression_engine())
    sheet = CompressedTable(8, press)
    for number in range(0, 1000, 10):
        sheet.put((f"{number:03}",), [f"row {number}\n".encode()])
    sheet.flush()
    before = sheet.pieces(0)
    sheet.put(("505",), [b"row 505\n"])
    sheet.flush()
    after = sheet.pieces(0)
    assert len(set(map(id, before)) - set(map(id, after))) == 1


def test_blocks_stay_within_bounds_however_rows_come() -> None:
    sheet = CompressedTable(4, PartCompressor(compression_engine()))
    for number in range(100):
        sheet.put((f"{number * 37 % 100:02}",), [b"x\n"])
        sheet.flush()
    assert 100 / 8 <= len(sheet.pieces(0)) <= 100 / 2


def test_what_is_changed_before_it_is_settled_is_settled_as_it_was_last() -> None:
    by = compression_engine()
    sheet = CompressedTable(4, PartCompressor(by))
    sheet.put(("a",), [b"one\n", b"two\n"])
    sheet.change(("a",), {1: b"three\n"})
    sheet.change(("a",), {})
    assert sheet.flush()
    assert [shown(sheet, by, column) for column in (0, 1)] == [b"one\n", b"three\n"]
    sheet.change(("a",), {})
    assert not sheet.flush()


@pytest.mark.parametrize("changed", [1, 2, 12])
def test_texts_of_other_lengths_are_found_again_however_many_changed_at_once(changed: int) -> None:
    by = compression_engine()
    sheet = CompressedTable(12, PartCompressor(by))
    rows = {(f"{row:02}",): b"old %d\n" % row for row in range(12)}
    for place, text in rows.items():
        sheet.put(place, [text])
    sheet.flush()
    for turn in range(2):
        for place in list(rows)[turn : turn + changed]:
            rows[place] = b"longer than before: %d\n" % turn
            sheet.change(place, {0: rows[place]})
        sheet.flush()
        assert shown(sheet, by, 0) == b"".join(rows.values())
