"""Bodies in another encoding, and forms with a field of JSON, become UTF-8 where only one reading is possible."""

from __future__ import annotations

import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import suppress
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.errors import PayloadError
from exporter.ingest.body_text import to_utf8
from exporter.ingest.json_objects import decode

TEXT = '{"Partner": "Bücket 🪣", "n": [1, "a=b&c+d%20"]}'
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "body",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        b" \r\n[" + TEXT.encode() + b"]",
        b"",
        b"hello",
        b"{'a': 1}",
        b"\x00",
    ],
)
@pytest.mark.parametrize("content_type", ["", "application/json", FORM, "application/json; charset=iso-8859-1"])
def test_any_other_body_stays_as_it_is_whatever_its_content_type_says(body: bytes, content_type: str) -> None:
    assert to_utf8(body, content_type) == body


@pytest.mark.parametrize(
    "body",
    [
        TEXT.encode("utf-16"),
        BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("utf-32-be"),
    ],
)
def test_utf_16_and_utf_32_are_recognised_with_or_without_a_byte_order_mark(body: bytes) -> None:
    assert to_utf8(body) == TEXT.encode()


@pytest.mark.parametrize("body", [BOM_UTF16_LE + b"{", BOM_UTF16_LE + b"{\x00\x00\xdc}\x00", b"{\x00\x00\xdc}\x00"])
def test_broken_utf_16_is_named_as_such(body: bytes) -> None:
    with pytest.raises(PayloadError, match="the body is UTF-16, but not valid at byte"):
        to_utf8(body)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("iso-8859-1", "latin-1"),
        ('"ISO-8859-1"', "latin-1"),
        ("latin1", "latin-1"),
        ("windows-1252", "cp1252"),
    ],
)
def test_latin_1_is_read_where_the_content_type_says_so(charset: str, encoding: str) -> None:
    body = '{"Partner": "Bücket"}'.encode(encoding)
    assert to_utf8(body, f"application/json; Charset={charset}") == '{"Partner": "Bücket"}'.encode()


def test_bytes_that_the_named_charset_does_not_have_stay_as_they_are() -> None:
    assert to_utf8(b'{"a": "\xff\x81"}', "application/json; charset=cp1252") == b'{"a": "\xff\x81"}'
    assert to_utf8(b'{"a": "\xff"}', "application/json; charset=koi8-r") == b'{"a": "\xff"}'


def test_without_a_charset_the_error_says_what_the_byte_would_be() -> None:
    with pytest.raises(PayloadError, match="not UTF-8: byte 7 is 0xFC; if the body is Latin-1, add charset=iso-8859-1"):
        decode(to_utf8('{"a": "ü"}'.encode("latin-1")), 1000)


@pytest.mark.parametrize("content_type", [FORM, "", "text/plain"])
def test_the_one_field_of_a_form_that_holds_json_is_the_body(content_type: str) -> None:
    for form in (
        urlencode({"payload": TEXT}),
        "payload=" + quote(f" {TEXT}\n"),
        urlencode({"source": "x", "payload": TEXT, "empty": ""}),
        "\r\n" + urlencode({"a b": f"[{TEXT}]"}),
    ):
        assert json.loads(to_utf8(form.encode(), content_type)) in (json.loads(TEXT), [json.loads(TEXT)])


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ("x=1&y=2", "the body is a form with the fields 'x', 'y', and none of them holds JSON"),
        ("Export+Request+Id=1&Partner=S3", "a form with the fields 'Export Request Id', 'Partner'"),
        ("payload=%7B%7D&other=%5B%5D", "and 2 of them hold JSON"),
        ("&".join(f"f{number}={{}}" for number in range(9)), "'f0', 'f1', 'f2', 'f3', 'f4' and 4 more"),
        ("x" * 99 + "=1", f"'{'x' * 32}…'"),
        ("&".join(["a=1"] * 101), "a form of more than 100 fields"),
        ("payload=%FF", "a form, but not of UTF-8"),
        ('--b1\r\nContent-Disposition: form-data; name="payload"\r\n\r\n{}\r\n--b1--', "the body is a multipart form"),
        ("<?xml version='1.0'?><a/>", "the body is XML or HTML"),
    ],
)
def test_any_other_form_is_named_as_what_it_is(form: str, problem: str) -> None:
    with pytest.raises(PayloadError, match=problem):
        to_utf8(form.encode())


@given(st.binary(max_size=40) | st.text(alphabet="{}[]=&%\x00payload1\ufeff", max_size=20).map(str.encode))
def test_any_bytes_are_text_or_refused(body: bytes) -> None:
    with suppress(PayloadError):
        assert isinstance(to_utf8(body, FORM), bytes)
