"""One connection: what is answered, and what is refused."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving_here
from exporter.server.http import request_parser
from exporter.server.http.messages import HttpResponse
from running import wait_until
from serving_here import HEAD, LAST, POST, LocalListener, read_all, read_until, statuses

if TYPE_CHECKING:
    from exporter.server.http.messages import HttpRequest

listener = serving_here.listener


def test_an_answer_has_its_length_its_date_and_no_name_of_a_server(listener: LocalListener) -> None:
    head, _, body = listener.exchange(POST).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: 3"]
    assert lines[3].startswith(b"Date: ")
    assert body == b"abc"
    assert b"server" not in head.lower()


def test_requests_that_come_in_one_piece_or_byte_by_byte_are_answered_in_their_order(listener: LocalListener) -> None:
    assert statuses(listener.exchange(POST + POST + LAST)) == [200, 200, 200]
    received = listener.exchange(*((POST + LAST)[i : i + 1] for i in range(len(POST + LAST))))
    assert statuses(received) == [200, 200]
    assert received.endswith(b"xyz")


def test_what_comes_while_a_request_is_being_answered_waits_for_its_turn(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held ") + POST)
        wait_until(lambda: len(listener.handler.held) == 1, "the first is there")
        client.sendall(LAST)
        assert listener.handler.responses == []
        listener.run(lambda: listener.handler.held[0](HttpResponse(201, b"first", ())))
        assert statuses(read_all(client)) == [201, 200, 200]


def test_what_a_client_sent_before_it_closed_its_half_is_answered_as_far_as_it_is_complete(
    listener: LocalListener,
) -> None:
    with listener.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held ") + POST + POST[:-1])
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: len(listener.handler.held) == 1, "the first is there")
        listener.run(lambda: listener.handler.held[0](HttpResponse(201, b"", ())))
        assert statuses(read_all(client)) == [201, 200]


def test_all_of_many_requests_that_come_at_once_are_answered(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held ") + POST * 4000)
        wait_until(lambda: len(listener.handler.held) == 1, "the first is there")
        client.sendall(LAST)
        listener.run(lambda: listener.handler.held[0](HttpResponse(201, b"", ())))
        assert statuses(read_all(client)) == [201, *[200] * 4001]


def test_one_turn_of_the_event_loop_reads_one_head_of_a_connection(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, order = POST.replace(b"/ ", b"/nothing "), []

    def on_headers(_: HttpRequest) -> HttpResponse:
        order.append("head")
        listener.loop.call_soon(order.append, "turn")
        return HttpResponse(404, b"", ())

    monkeypatch.setattr(listener.handler, "on_headers", on_headers)
    assert statuses(listener.exchange(refused * 2000 + LAST)) == [404] * 2001
    assert order[:4001] == ["head", "turn"] * 2000 + ["head"]


def test_a_body_in_chunks_is_put_together(listener: LocalListener) -> None:
    received = listener.exchange(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n", b"1\r\nc\r\n0\r\nT: x\r\n\r\n" + LAST
    )
    assert statuses(received) == [200, 200]
    assert b"\r\n\r\nabcHTTP/1.1" in received


def test_who_waits_for_leave_to_send_a_body_gets_it_or_the_refusal(listener: LocalListener) -> None:
    expecting = HEAD + b"Expect: 100-Continue\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"
    with listener.connect() as client:
        client.sendall(expecting)
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert read_all(client).endswith(b"abc")
    for refused, code in ((expecting.replace(b"/ ", b"/nothing "), 404), (expecting.replace(b": 3", b": 3000"), 413)):
        with listener.connect() as client:
            client.sendall(refused)
            assert statuses(read_all(client)) == [code]
    old = expecting.replace(b"HTTP/1.1", b"HTTP/1.0")
    with listener.connect() as client:
        client.sendall(old)
        wait_until(lambda: len(listener.pool) == 1, "it is there")
        client.sendall(b"abc")
        assert statuses(read_all(client)) == [200]


def test_http_1_0_is_answered_and_closed_unless_it_asks_otherwise(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")  # which needs no Host
        received = read_all(client)
        assert statuses(received) == [200]
        assert b"Connection: close\r\n" in received
    with listener.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\n" in read_until(client, b"\r\n\r\n")
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"Connection: close\r\n" in read_all(client)


def test_a_target_may_be_a_whole_url(listener: LocalListener) -> None:
    assert statuses(listener.exchange(LAST.replace(b"/ ", b"http://x/nothing ", 1))) == [404]
    assert statuses(listener.exchange(LAST.replace(b"/ ", b"https://x ", 1))) == [200]
    assert statuses(listener.exchange(LAST.replace(b"POST /", b"OPTIONS *"))) == [200]


def test_head_is_answered_without_a_body_and_with_its_length(listener: LocalListener) -> None:
    received = listener.exchange(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
    assert b"Content-Length: 8\r\n" in received
    assert b"nothing" not in received
    assert statuses(received) == [404, 200]


def test_an_empty_line_before_a_request_is_passed_over(listener: LocalListener) -> None:
    assert statuses(listener.exchange(b"\r\n", POST, b"\r\n\r\n" + LAST)) == [200, 200]


REFUSED = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "binary": (bytes(range(256)) * 3 + b"\r\n\r\n", 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (HEAD + b"Host: x\r\n\r\n", 400),
    "NUL in a header": (HEAD + b"A: \x00\r\n\r\n", 400),
    "folded header": (HEAD + b"A: b\r\n c\r\n\r\n", 400),
    "space before a colon": (HEAD + b"A : b\r\n\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "strange target": (b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "asterisk": (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "the same length twice": (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "length and chunks": (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "unknown expectation": (HEAD + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc", 417),
    "unknown transfer encoding": (HEAD + b"Transfer-Encoding: gzip\r\n\r\nabc", 501),
    "length that is none": (HEAD + b"Content-Length: three\r\n\r\nabc", 400),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\nabc", 400),
    "length of twenty digits": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\nabc", 400),
    "length over the limit": (HEAD + b"Content-Length: 1001\r\n\r\n", 413),
    "chunks over the limit": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001, 413),
    "bad chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "bad chunk of what is refused": (
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        404,
    ),
    "endless chunk extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"a" * 70_000, 400),
    "endless trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 9000, 431),
    "long request line": (b"GET /" + b"a" * request_parser.REQUEST_LINE_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "endless request line": (b"GET /" + b"a" * 70_000, 414),
    "long header": (HEAD + b"A: " + b"a" * request_parser.HEADER_BYTES + b"\r\n\r\n", 431),
    "endless header": (HEAD + b"A: " + b"a" * 70_000, 431),
    "many headers": (HEAD + b"A: b\r\n" * request_parser.HEADERS + b"\r\n", 431),
    "endless headers": (HEAD + b"A: b\r\n" * 20_000, 431),
    "a mistake of ours": (POST.replace(b"/ ", b"/broken "), 500),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_is_refused_and_harms_nobody_else(listener: LocalListener, kind: str) -> None:
    sent, code = REFUSED[kind]
    with listener.connect() as neighbour:
        neighbour.sendall(POST[:20])
        assert statuses(listener.exchange(sent))[:1] == [code]
        neighbour.sendall(POST[20:])
        assert read_until(neighbour, b"abc")


def test_a_mistake_while_answering_is_a_500_and_the_connection_goes_on(listener: LocalListener) -> None:
    received = listener.exchange(POST.replace(b"/ ", b"/broken-later ") + LAST)
    assert statuses(received) == [500, 200]
    assert b"canary" not in received


@settings(max_examples=150)
@given(
    st.binary(max_size=300)
    | st.lists(
        st.sampled_from(
            [
                POST,
                LAST,
                HEAD,
                b"\r\n",
                b"Content-Length: 5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"0\r\n\r\n",
                b"\x00",
                b"GET / HTTP/1.0\r\n",
                b"Expect: 100-continue\r\n",
                b"zz",
            ]
        ),
        max_size=8,
    ).map(b"".join)
)
def test_no_bytes_are_answered_with_5xx(listener: LocalListener, sent: bytes) -> None:
    assert all(code < 500 for code in statuses(listener.exchange(sent)))
