"""Requests from bytes: what is found in them, what is refused, and how little a hostile body costs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.server.http.request_parser import (
    CHUNKS_PER_CALL,
    FRAMING_BYTES,
    FRAMING_SHARE,
    HEADER_BYTES,
    HEADERS,
    REQUEST_LINE_BYTES,
    RequestError,
    RequestHead,
    RequestParser,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 100_000
POST = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

Found = list[RequestHead | bytes | int]
"""Heads, bodies, and the status of a refusal, after which nothing can follow."""


def parse(parts: Iterable[bytes]) -> Found:
    parser = RequestParser()
    found: Found = []
    try:
        for part in parts:
            parser.receive(part)
            while True:
                in_body = bool(found) and isinstance(found[-1], RequestHead)
                read = parser.read_body(MOST_BYTES) if in_body else parser.read_head()
                if read is not None:
                    found.append(read)
                elif not parser.can_continue:
                    break
    except RequestError as error:
        found.append(error.status.value)
    return found


def read_whole_body(parser: RequestParser) -> bytes:
    while (body := parser.read_body(MOST_BYTES)) is None:
        assert parser.can_continue
    return body


def head(sent: bytes) -> RequestHead:
    found = parse([sent])[0]
    assert isinstance(found, RequestHead)
    return found


def test_a_head_is_taken_apart() -> None:
    assert head(b"POST http://y/a?b HTTP/1.1\r\nHost: x\r\nA-B:  c \t\r\nContent-Length: 07\r\n\r\n") == RequestHead(
        b"POST",
        b"http://y/a?b",
        [(b"host", b"x"), (b"a-b", b"c"), (b"content-length", b"07")],
        b"1.1",
        7,
        keep_alive=True,
        expects_continue=False,
    )
    assert head(CHUNKED).content_length is None
    assert head(POST + b"\r\n").content_length == 0


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, Close", False),
        (b"1.1", b"x\r\nConnection: close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_whether_a_connection_is_kept(version: bytes, connection: bytes, *, kept: bool) -> None:
    sent = b"GET / HTTP/%b\r\nHost: x\r\nConnection: %b\r\n\r\n" % (version, connection)
    assert head(sent).keep_alive is kept


@pytest.mark.parametrize(
    ("version", "expectation"), [(b"1.1", b"100-Continue"), (b"1.1", b""), (b"1.0", b"100-continue")]
)
def test_only_a_client_of_http_1_1_waits_for_leave_to_send_a_body(version: bytes, expectation: bytes) -> None:
    sent = b"POST / HTTP/%b\r\nHost: x\r\nExpect: %b\r\n\r\n" % (version, expectation)
    assert head(sent).expects_continue is (version == b"1.1" and bool(expectation))


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1", POST + b"A: b", CHUNKED + b"0\r\n", CHUNKED + b"0\r\nA: b"])
def test_a_line_without_a_carriage_return_is_refused_as_soon_as_it_is_there(begin: bytes) -> None:
    assert parse([begin + b"\n"])[-1] == 400


def test_an_offer_of_another_protocol_is_passed_over() -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert parse([POST + offer + b"Content-Length: 3\r\n\r\nabc"])[1:] == [b"abc"]
    assert parse([POST + offer + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"])[1:] == [b"abc"]


def test_every_limit_is_where_it_is_said_to_be() -> None:
    for over in (0, 1):
        line = b"GET /" + b"a" * (REQUEST_LINE_BYTES - 14 + over) + b" HTTP/1.1"
        assert (len(line) > REQUEST_LINE_BYTES) is bool(over)
        longest = b"A: " + b"a" * (HEADER_BYTES - 3)
        long = POST + longest + b"\r\n" + longest + b"a" * over
        for begin, end, status in ((line, b"Host: x\r\n\r\n", 414), (long, b"\r\n", 431)):
            for first, rest in ((begin, b"\r\n"), (begin + b"\r", b"\n"), (begin + b"\r\n", b"")):
                assert (parse([first, rest + end])[0] == status) is bool(over)
        assert (parse([POST + b"A: b\r\n" * (HEADERS - 1 + over) + b"\r\n"])[0] == 431) is bool(over)
        assert (parse([CHUNKED + b"0\r\n" + b"A: b\r\n" * (HEADERS + over) + b"\r\n"])[-1] == 431) is bool(over)
        length = MOST_BYTES + over
        whole = POST + b"Content-Length: %d\r\n\r\n" % length + b"x" * length
        chunk = CHUNKED + b"%x\r\n" % length + b"x" * length + b"\r\n0\r\n\r\n"
        for sent in (whole, chunk):
            assert (parse([sent])[-1] == 413) is bool(over)


MALFORMED = [
    *(b"GET / HTTP/%b\r\nHost: x\r\n\r\n" % version for version in (b"0.9", b"1.2", b"2.0", b"1.10", b"1.1 ")),
    b"GET / RTSP/1.0\r\nHost: x\r\n\r\n",
    b"SOURCE / ICE/1.0\r\nHost: x\r\n\r\n",
    b"GET /\r\n\r\n",
    *(b"GET /?limit=%b HTTP/1.1\r\nHost: x\r\n\r\n" % bytes([code]) for code in (0x80, 0xC3, 0xFF)),
    b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    b"\r\n GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    *(POST + b"A: b%bc\r\n\r\n" % bytes([code]) for code in (*range(9), *range(10, 32), 127)),
    *(POST + b"A%b: c\r\n\r\n" % bytes([code]) for code in (*range(33), 34, 40, 41, 47, 127, 128, 255)),
    POST + b"A: b\n\r\n",
    POST + b"A: b\r\n c\r\n\r\n",
    POST + b"A:\r\n b\r\n\r\n",
    POST + b"A\r\n\r\n",
    POST + b": a\r\n\r\n",
    POST + b"Host: y\r\n\r\n",
    POST + b"Content-Type: a\r\nContent-Type: b\r\n\r\n",
    *(
        POST + b"Content-Length: %b\r\n\r\n" % length
        for length in (b"", b"+3", b"3, 3", b"0x3", b"3_0", b"\xb2", b"3 3")
    ),
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    *(
        CHUNKED + size + b"\r\na\r\n0\r\n\r\n"
        for size in (b"", b" 1", b"1 ", b"+1", b"-1", b"0x1", b";a", b"g", b"1" * 17)
    ),
    CHUNKED + b"1\na\r\n0\r\n\r\n",
    CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    CHUNKED + b"1;a\x00\r\na\r\n0\r\n\r\n",
    CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    CHUNKED + b"1\r\na0\r\n\r\n",
    *(
        CHUNKED + b"0\r\n" + trailer + b"\r\n\r\n"
        for trailer in (
            b"Content-Length: 3",
            b"Transfer-Encoding: chunked",
            b"Host: x",
            b"Authorization: x",
            b"A : b",
            b"A: b\x00",
            b"A: b\r\n c",
            b"A",
            b"A: b\r\nC",
        )
    ),
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_malformed_is_refused(sent: bytes) -> None:
    assert parse([sent])[-1] == 400


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"gzip, chunked", b"identity, chunked", b"chunked, gzip"])
def test_a_coding_beside_chunked_is_refused(coding: bytes) -> None:
    assert parse([POST + b"Transfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding])[0] in {400, 501}


def chunked(body: bytes, size: int) -> bytes:
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_body_of_small_chunks_is_put_together() -> None:
    for content, size in ((b"x" * 800, 1), (b"x" * MOST_BYTES, 25)):
        assert parse([CHUNKED + chunked(content, size) + POST + b"\r\n"])[1::2] == [content, b""]


@pytest.mark.parametrize("content", [0, 1000])
def test_more_framing_than_any_client_needs_is_refused(content: int) -> None:
    begun = CHUNKED + (b"%x\r\n%b\r\n" % (content, b"x" * content) if content else b"")
    one_byte = b"1;" + b"a" * 1017 + b"\r\nx\r\n"  # 1,024 bytes, and 1,023 of framing
    most = (FRAMING_BYTES + content // FRAMING_SHARE) // 1024
    assert parse([begun + one_byte * most])[1:] == []
    assert parse([begun + one_byte * (most + 2)])[1:] == [400]
    assert parse([begun + b"1;" + b"a" * (HEADER_BYTES + 1)])[1:] == [400]


def test_a_large_body_of_one_byte_chunks_is_refused_early() -> None:
    parser = RequestParser()
    parser.receive(CHUNKED + chunked(b"x" * MOST_BYTES, 1))
    assert parser.read_head()
    with pytest.raises(RequestError, match="mostly framing"):
        read_whole_body(parser)
    assert parser.held_bytes > 0.9 * 6 * MOST_BYTES  # the rest was not looked at


def test_one_call_decodes_a_bounded_number_of_chunks() -> None:
    parser = RequestParser()
    content = b"x" * (25 * CHUNKS_PER_CALL + 100)
    parser.receive(CHUNKED + chunked(content, 25))
    assert parser.read_head()
    assert parser.read_body(MOST_BYTES) is None
    assert parser.can_continue
    assert 0 < parser.pending < 200
    assert parser.read_body(MOST_BYTES) == content
    assert not parser.can_continue
    assert parser.held_bytes == 0


def test_empty_lines_in_a_chunk_cost_no_more_than_other_content() -> None:
    content = b"\r\n\r\n0\r\n\r\n" * 1000
    parser = RequestParser()
    parser.receive(CHUNKED + chunked(content, len(content)))
    assert parser.read_head()
    assert parser.read_body(MOST_BYTES) == content  # in one call


bodies = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n"]), max_size=12).map(b"".join)


@given(st.lists(st.tuples(bodies, st.integers(0, 5)), max_size=4), st.lists(st.integers(1, 400), max_size=8))
@example([(b"\r\n\r\n" * 3, 1), (b"b", 0)], [])
def test_requests_are_the_same_wherever_the_network_cuts_them(sent: list[tuple[bytes, int]], cuts: list[int]) -> None:
    wire = b"\r\n".join(
        CHUNKED + chunked(body, size) if size else POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        for body, size in sent
    )
    places = sorted({0, *(cut for cut in cuts if cut < len(wire)), len(wire)})
    expected = [body for body, _ in sent]
    assert parse([wire])[1::2] == expected
    assert parse(wire[start:end] for start, end in pairwise(places))[1::2] == expected
    assert parse(bytes([byte]) for byte in wire)[1::2] == expected


def test_a_body_is_left_out_only_if_all_of_it_has_come() -> None:
    parser = RequestParser()
    parser.receive(POST + b"Content-Length: 3\r\n\r\nab")
    assert parser.read_head()
    assert not parser.skip_body()
    parser.receive(b"c" + CHUNKED + b"0\r\n\r\n")
    assert parser.skip_body()
    assert parser.read_head()
    assert not parser.skip_body()
