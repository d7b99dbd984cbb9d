"""One connection: what is answered, what is refused, and how long anything may take."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving_here
from exporter.server.http import connection, connection_pool, request_parser
from exporter.server.http.messages import HttpResponse
from running import wait_until
from serving_here import LocalListener, read_all, read_until, received_or_reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.server.http.messages import HttpRequest

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
LAST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nxyz"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def listener() -> Iterator[LocalListener]:
    with LocalListener() as local:
        yield local


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


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


def test_one_turn_of_the_event_loop_continues_with_a_few_connections(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[int] = []
    turns = [0]

    def count_turn() -> None:
        turns[0] += 1
        listener.loop.call_soon(count_turn)

    def on_headers(_: HttpRequest) -> HttpResponse:
        heads.append(turns[0])
        return HttpResponse(404, b"", ())

    monkeypatch.setattr(listener.handler, "on_headers", on_headers)
    clients = [listener.connect() for _ in range(5 * connection_pool.CONTINUATIONS_PER_TURN)]
    wait_until(lambda: len(listener.pool) == len(clients), "all are there")

    def send() -> None:  # in the event loop, so that all arrives before the next turn
        for client in clients:
            client.sendall(POST * 20 + LAST)

    listener.run(send)
    listener.run(count_turn)
    for client in clients:
        assert statuses(read_all(client)) == [404] * 21
        client.close()
    per_turn = Counter(heads)
    del per_turn[min(per_turn)]  # in the first turn, every connection has received something
    assert max(per_turn.values()) <= connection_pool.CONTINUATIONS_PER_TURN


LARGE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 80000\r\n\r\n"


def test_the_bodies_of_all_requests_together_have_a_limit(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_here, "MAX_BODY_BYTES", 80_000)
    with listener.connect() as first, listener.connect() as small, listener.connect() as large:
        first.sendall(LARGE + b"x" * 79_999)
        wait_until(lambda: listener.pool.request_bytes == 79_999, "the first body is almost there")
        small.sendall(LAST)
        assert statuses(read_all(small)) == [200]
        large.sendall(LARGE + b"x" * 1000)
        refusal = read_all(large)
        assert statuses(refusal) == [503]
        assert b"Retry-After: 5\r\n" in refusal
        assert listener.pool.request_bytes == 79_999
        chunks = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n%b\r\n" % (b"x" * 1000) * 70
        assert statuses(listener.exchange(chunks)) == [503]
        first.sendall(b"x")
        assert statuses(read_until(first, b"x" * 80_000)) == [200]
    assert statuses(listener.exchange(LARGE + b"x" * 80_000)) == [200]
    wait_until(lambda: len(listener.pool) == 0, "all are gone")
    assert listener.pool.request_bytes == 0


def test_what_was_received_of_a_refused_request_is_forgotten(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(LARGE.replace(b"80000", b"9000000") + b"x" * 50_000)
        wait_until(lambda: listener.handler.responses == [("POST", 413)], "it is refused")
        assert listener.pool.request_bytes == 0


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


def test_tls_on_a_plain_port_is_closed_at_the_latest_when_headers_should_be_there(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    with listener.connect() as client:
        client.sendall(bytes.fromhex("1603010200010001fc0303") + b"a" * 100)
        assert statuses(read_all(client)) in ([400], [408])


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


def test_a_refusal_reaches_who_is_still_sending(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(HEAD + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        assert statuses(read_all(client)) == [413]


def test_who_continues_to_send_after_a_refusal_is_aborted(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_BYTES", 100_000)
    with listener.connect() as client, pytest.raises(OSError):  # noqa: PT011 - reset, or broken pipe
        client.sendall(HEAD + b"Content-Length: 50000000\r\n\r\n" + b"x" * 50_000_000)
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.05)
    with listener.connect() as client:
        client.sendall(HEAD + b"Content-Length: 50000000\r\n\r\n")
        read_all(client)
        wait_until(lambda: len(listener.pool) == 0, "its connection is given up")


WAITS = {
    "FIRST_BYTE_SECONDS": (b"", []),
    "HEAD_SECONDS": (HEAD, [408]),
    "BODY_SECONDS": (POST[:-1], [408]),
}


@pytest.mark.parametrize("name", WAITS)
def test_each_wait_for_a_client_has_an_end(listener: LocalListener, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sent, received = WAITS[name]
    monkeypatch.setattr(connection, name, 0.05)
    with listener.connect() as client:
        client.sendall(sent)
        assert statuses(read_all(client)) == received


def test_the_wait_for_the_next_request_has_the_end_that_is_set_at_that_moment(listener: LocalListener) -> None:
    listener.idle_seconds = 0.05
    with listener.connect() as client:
        client.sendall(POST)
        assert statuses(read_all(client)) == [200]


def test_one_more_byte_is_not_one_more_chance(listener: LocalListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    with listener.connect() as client:
        client.sendall(HEAD)
        client.settimeout(0.05)
        received = b""
        for _ in range(400):  # far more than fit into the time, at 50 ms each
            try:
                received = client.recv(65536)
                break
            except TimeoutError:
                client.sendall(b"A: b\r\n"[:1])
        assert statuses(received) == [408]


def test_a_client_that_does_not_read_its_response_is_aborted(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.05)
    for request in (POST, LAST):
        with listener.connect() as client:
            client.sendall(request.replace(b"/ ", b"/long "))
            wait_until(lambda: len(listener.handler.responses) > 0, "it is answered")
            wait_until(lambda: len(listener.pool) == 0, "its connection is given up")
        listener.handler.responses.clear()


def test_a_client_that_reads_a_byte_at_a_time_is_aborted(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.1)
    with listener.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/long "))
        wait_until(lambda: len(listener.handler.responses) == 1, "it is answered")
        wait_until(lambda: not client.recv(1) or len(listener.pool) == 0, "its connection is given up")
        assert len(received_or_reset(client)) < 50_000_000


def test_a_client_that_reads_late_gets_all_and_can_go_on(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/long "))
        wait_until(lambda: len(listener.handler.responses) == 1, "it is answered")
        client.sendall(LAST.replace(b"/ ", b"/long "))
        assert len(read_all(client)) > 100_000_000


def test_a_client_that_leaves_is_forgotten_but_what_it_asked_is_noted(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(listener.handler.held) == 1, "it is there")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: len(listener.pool) == 0, "it is gone")
    listener.run(lambda: listener.handler.held[0](HttpResponse(200, b"", ())))
    assert listener.handler.responses == [("POST", 200)]


def test_with_too_many_connections_the_one_that_waited_longest_is_closed() -> None:
    with LocalListener(max_open=3) as listener:
        clients = [listener.connect() for _ in range(3)]
        clients[0].sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(listener.handler.held) == 1, "the first waits for us")
        clients[1].sendall(POST)
        read_until(clients[1], b"abc")  # the second has just been answered
        with listener.connect() as another:
            assert received_or_reset(clients[2]) == b""
            another.sendall(LAST)
            assert statuses(read_all(another)) == [200]
        listener.run(lambda: listener.handler.held[0](HttpResponse(201, b"", ())))
        read_until(clients[0], b"\r\n\r\n")
        clients[1].sendall(LAST)
        assert statuses(read_all(clients[1])) == [200]
        for client in clients:
            client.close()


def test_a_stop_closes_what_is_idle_and_lets_end_what_has_begun(listener: LocalListener) -> None:
    held, idle, begun, fresh, first = (listener.connect() for _ in range(5))
    held.sendall(POST.replace(b"/ ", b"/held "))
    idle.sendall(POST)
    read_until(idle, b"abc")
    begun.sendall(POST[:10])
    wait_until(lambda: len(listener.handler.held) == 1 and len(listener.pool) == 5, "all are there")
    listener.run(listener.pool.drain)
    first.sendall(POST)  # its first byte comes while the server stops
    assert statuses(read_all(first)) == [200]
    assert read_all(idle) == b""
    begun.sendall(POST[10:])
    assert b"Connection: close" in read_all(begun)
    listener.run(lambda: listener.handler.held[0](HttpResponse(201, b"", ())))
    assert statuses(read_all(held)) == [201]
    assert read_all(fresh) == b""  # after the second that a new connection has
    with listener.connect() as late:
        late.sendall(POST)
        assert b"Connection: close" in read_all(late)
    for client in (held, idle, begun, fresh, first):
        client.close()


def test_a_connection_that_sends_its_first_byte_while_the_server_stops_is_answered(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_BYTE_WHILE_STOPPING_SECONDS", 60)
    with listener.connect() as silent, listener.connect() as begins:
        wait_until(lambda: len(listener.pool) == 2, "both are there")
        listener.run(listener.pool.drain)
        for part in (LAST[:1], POST[1:-1], POST[-1:]):
            begins.sendall(part)
        received = read_all(begins)
        assert statuses(received) == [200]
        assert b"Connection: close\r\n" in received
        monkeypatch.setattr(connection, "FIRST_BYTE_WHILE_STOPPING_SECONDS", 0)
        listener.run(listener.pool.drain)
        assert read_all(silent) == b""


def test_an_abort_closes_everything(listener: LocalListener) -> None:
    with listener.connect() as held, listener.connect() as fresh:
        held.sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(listener.handler.held) == 1 and len(listener.pool) == 2, "both are there")
        listener.run(listener.pool.abort)
        assert received_or_reset(held) == received_or_reset(fresh) == b""
        wait_until(lambda: len(listener.pool) == 0, "all are gone")
