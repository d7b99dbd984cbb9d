"""A body is one JSON object or a list of them, in strict JSON, and the bytes of every object stay verbatim."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.errors import PayloadError, PayloadTooLargeError
from exporter.ingest.json_objects import MAX_OBJECTS, decode
from tools import thorough

LIMIT = 1_000_000


def raws(body: bytes) -> list[bytes]:
    return [json_object.raw for json_object in decode(body, LIMIT)]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "empty"),
        (b" \r\n\t ", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"hello", "not JSON: it ends too early or is malformed at line 1, column 1"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "an integer has too many digits"),
        (b"{", "not JSON"),
        (b'{"a": }', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": "tab\there"}', "not JSON"),
        (b'{"a": "\\x"}', "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": [Infinity]}', "Infinity is not JSON"),
        (b'[{"a": -Infinity}]', "-Infinity is not JSON"),
        (b"NaN", "NaN is not JSON"),
        (b"{} {}", "more text after its end at character 2"),
        (b"{}]", "more text after its end at character 2"),
        (b"[] x", "more text after its end at character 2"),
        (b"{}\x00", "more text after its end"),
        (b"[", "not JSON"),
        (b"[{}", 'expected "," or "]" at character 3'),
        (b"[{} {}]", 'expected "," or "]" at character 4'),
        (b"[{},]", "not JSON"),
        (b"[,]", "not JSON"),
        (b"1", "not a number"),
        (b"1.5", "not a number"),
        (b"true", "not true or false"),
        (b"null", "not null"),
        (b'"text"', "not a string"),
        (b"[[]]", "not a list"),
        (b"[{}, 1]", "not a number"),
        (b"[{}, null]", "not null"),
        (b'{"a": \xff}', "byte 6 is 0xFF"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"x=1&y=2", "not JSON"),
    ],
)
def test_a_body_that_is_no_object_or_list_of_objects_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(PayloadError, match=problem.replace("[", r"\[")):
        decode(body, LIMIT)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_ten_thousand_levels_are_refused_and_no_crash(opening: str, closing: str) -> None:
    nested = opening * 10_000 + "1" + closing * 10_000
    with pytest.raises(PayloadError):
        decode(nested.encode(), LIMIT)
    with pytest.raises(PayloadError, match="nested too deeply"):
        decode(f'{{"a": {nested}}}'.encode(), LIMIT)


def test_a_number_of_five_thousand_digits_is_refused() -> None:
    with pytest.raises(PayloadError, match="not JSON"):
        decode(b'{"a": ' + b"9" * 5000 + b"}", LIMIT)


def test_an_object_is_its_pairs_in_order_even_where_a_key_comes_twice() -> None:
    (only,) = decode(b'{"b": 1, "a": {"x": [null]}, "b": 2.5}', LIMIT)
    assert [(key, value) for key, value in only.pairs if key == "b"] == [("b", 1), ("b", 2.5)]
    assert [key for key, _ in only.pairs] == ["b", "a", "b"]


def test_white_space_and_a_byte_order_mark_around_an_object_are_not_part_of_it() -> None:
    assert raws(b'\xef\xbb\xbf \r\n{"a" : 1 }\n') == [b'{"a" : 1 }']


def test_an_object_stays_verbatim_at_any_place_in_a_list() -> None:
    first, second, third = b'{ "a":1.0e2,\t"a" : "\\u00fc"}', '{"ü": "🪣"}'.encode(), b"{}"
    assert raws(b"[" + first + b" ,\n" + second + b"," + third + b" ]") == [first, second, third]


def test_an_empty_list_holds_nothing() -> None:
    assert raws(b"[]") == []
    assert raws(b" [ ] ") == []


def test_a_thousand_objects_are_taken_and_one_more_is_not() -> None:
    assert len(raws(b"[" + b",".join([b"{}"] * MAX_OBJECTS) + b"]")) == MAX_OBJECTS == 1000
    with pytest.raises(PayloadTooLargeError, match="more than 1,000 objects"):
        decode(b"[" + b",".join([b"{}"] * 1001) + b"]", LIMIT)


def test_an_object_may_have_exactly_as_many_bytes_as_the_limit() -> None:
    body = '{"a": "üü"}'.encode()
    assert [json_object.raw for json_object in decode(body, len(body))] == [body]
    with pytest.raises(PayloadTooLargeError, match=f"object 1 has {len(body)} bytes; at most {len(body) - 1}"):
        decode(body, len(body) - 1)
    with pytest.raises(PayloadTooLargeError, match="object 2 has"):
        decode(b"[{}," + body + b"]", 5)


def test_a_limit_is_on_each_object_and_not_on_the_list() -> None:
    assert len(decode(b"[" + b",".join([b'{"a": 1}'] * 10) + b"]", 8)) == 10


objects = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@thorough
@given(st.lists(objects, max_size=5), st.sampled_from([None, 1, "\t"]))
def test_the_bytes_of_every_object_mean_what_was_sent(sent: list[dict[str, object]], indent: int | str | None) -> None:
    for escaped in (True, False):
        body = json.dumps(sent, ensure_ascii=escaped, indent=indent).encode("utf-8", "replace")
        decoded = decode(body, LIMIT)
        expected = json.loads(body)
        assert [json.loads(json_object.raw) for json_object in decoded] == expected
        assert [[key for key, _ in json_object.pairs] for json_object in decoded] == [list(keys) for keys in expected]


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123456789.eE+-ntf \\u', max_size=40).map(str.encode))
def test_any_bytes_are_objects_or_refused(body: bytes) -> None:
    try:
        decoded = decode(body, LIMIT)
    except PayloadError:
        return
    assert all(json_object.raw in body for json_object in decoded)
