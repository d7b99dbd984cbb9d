"""One connection: what is answered, what is refused, and how long anything may take."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.server.http import connection, request_parser
from exporter.server.http.messages import HttpResponse
from running import wait_until
from serving_here import Here, accepted_event, until

if TYPE_CHECKING:
    from collections.abc import Iterator

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
LAST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nxyz"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def here() -> Iterator[Here]:
    with Here() as running:
        yield running


def statuses(told: bytes) -> list[int]:
    return [int(part[:3]) for part in told.split(b"HTTP/1.1 ")[1:]]


def test_an_answer_has_its_length_its_date_and_no_name_of_a_server(here: Here) -> None:
    head, _, body = here.ask(POST).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: 3"]
    assert lines[3].startswith(b"Date: ")
    assert body == b"abc"
    assert b"server" not in head.lower()


def test_requests_that_come_in_one_piece_or_byte_by_byte_are_answered_in_their_order(here: Here) -> None:
    assert statuses(here.ask(POST + POST + LAST)) == [200, 200, 200]
    told = here.ask(*((POST + LAST)[i : i + 1] for i in range(len(POST + LAST))))
    assert statuses(told) == [200, 200]
    assert told.endswith(b"xyz")


def test_what_comes_while_a_request_is_being_answered_waits_for_its_turn(here: Here) -> None:
    with here.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held ") + POST)
        wait_until(lambda: len(here.front.held) == 1, "the first is there")
        client.sendall(LAST)
        assert here.front.noted == []
        here.run(lambda: here.front.held[0](HttpResponse(201, b"first", ())))
        assert statuses(accepted_event(client)) == [201, 200, 200]


def test_what_a_client_sent_before_it_closed_its_half_is_answered_as_far_as_it_is_complete(here: Here) -> None:
    with here.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held ") + POST + POST[:-1])
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: len(here.front.held) == 1, "the first is there")
        here.run(lambda: here.front.held[0](HttpResponse(201, b"", ())))
        assert statuses(accepted_event(client)) == [201, 200]


def test_all_of_many_requests_that_come_at_once_are_answered(here: Here) -> None:
    with here.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held ") + POST * 4000)
        wait_until(lambda: len(here.front.held) == 1, "the first is there")
        client.sendall(LAST)
        here.run(lambda: here.front.held[0](HttpResponse(201, b"", ())))
        assert statuses(accepted_event(client)) == [201, *[200] * 4001]


def received_or_reset(client: socket.socket) -> bytes:
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def test_a_body_in_chunks_is_put_together(here: Here) -> None:
    told = here.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n", b"1\r\nc\r\n0\r\nT: x\r\n\r\n" + LAST)
    assert statuses(told) == [200, 200]
    assert b"\r\n\r\nabcHTTP/1.1" in told


def test_who_waits_for_leave_to_send_a_body_gets_it_or_the_refusal(here: Here) -> None:
    expecting = HEAD + b"Expect: 100-Continue\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"
    with here.connect() as client:
        client.sendall(expecting)
        assert until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert accepted_event(client).endswith(b"abc")
    for refused, code in ((expecting.replace(b"/ ", b"/nothing "), 404), (expecting.replace(b": 3", b": 3000"), 413)):
        with here.connect() as client:
            client.sendall(refused)
            assert statuses(accepted_event(client)) == [code]
    old = expecting.replace(b"HTTP/1.1", b"HTTP/1.0")
    with here.connect() as client:
        client.sendall(old)
        wait_until(lambda: len(here.connections) == 1, "it is there")
        client.sendall(b"abc")
        assert statuses(accepted_event(client)) == [200]


def test_http_1_0_is_answered_and_closed_unless_it_asks_otherwise(here: Here) -> None:
    with here.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")  # which needs no Host
        told = accepted_event(client)
        assert statuses(told) == [200]
        assert b"Connection: close\r\n" in told
    with here.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\n" in until(client, b"\r\n\r\n")
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"Connection: close\r\n" in accepted_event(client)


def test_a_target_may_be_a_whole_url(here: Here) -> None:
    assert statuses(here.ask(LAST.replace(b"/ ", b"http://x/nothing ", 1))) == [404]
    assert statuses(here.ask(LAST.replace(b"/ ", b"https://x ", 1))) == [200]
    assert statuses(here.ask(LAST.replace(b"POST /", b"OPTIONS *"))) == [200]


def test_head_is_answered_without_a_body_and_with_its_length(here: Here) -> None:
    told = here.ask(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
    assert b"Content-Length: 8\r\n" in told
    assert b"nothing" not in told
    assert statuses(told) == [404, 200]


def test_an_empty_line_before_a_request_is_passed_over(here: Here) -> None:
    assert statuses(here.ask(b"\r\n", POST, b"\r\n\r\n" + LAST)) == [200, 200]


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
def test_what_is_wrong_is_refused_and_harms_nobody_else(here: Here, kind: str) -> None:
    sent, code = REFUSED[kind]
    with here.connect() as neighbour:
        neighbour.sendall(POST[:20])
        assert statuses(here.ask(sent))[:1] == [code]
        neighbour.sendall(POST[20:])
        assert until(neighbour, b"abc")


def test_tls_on_a_plain_port_is_closed_at_the_latest_when_headers_should_be_there(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    with here.connect() as client:
        client.sendall(bytes.fromhex("1603010200010001fc0303") + b"a" * 100)
        assert statuses(accepted_event(client)) in ([400], [408])


def test_a_mistake_while_answering_is_a_500_and_the_connection_goes_on(here: Here) -> None:
    told = here.ask(POST.replace(b"/ ", b"/broken-later ") + LAST)
    assert statuses(told) == [500, 200]
    assert b"canary" not in told


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
def test_no_bytes_are_answered_with_5xx(here: Here, sent: bytes) -> None:
    assert all(code < 500 for code in statuses(here.ask(sent)))


def test_a_refusal_reaches_who_is_still_sending(here: Here) -> None:
    with here.connect() as client:
        client.sendall(HEAD + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        assert statuses(accepted_event(client)) == [413]


def test_who_goes_on_sending_after_a_refusal_is_hung_up_on(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_BYTES", 100_000)
    with here.connect() as client, pytest.raises(OSError):  # noqa: PT011 - reset, or broken pipe
        client.sendall(HEAD + b"Content-Length: 50000000\r\n\r\n" + b"x" * 50_000_000)
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.05)
    with here.connect() as client:
        client.sendall(HEAD + b"Content-Length: 50000000\r\n\r\n")
        accepted_event(client)
        wait_until(lambda: len(here.connections) == 0, "its connection is given up")


WAITS = {
    "FIRST_BYTE_SECONDS": (b"", []),
    "HEAD_SECONDS": (HEAD, [408]),
    "BODY_SECONDS": (POST[:-1], [408]),
    "IDLE_SECONDS": (POST, [200]),
}


@pytest.mark.parametrize("name", WAITS)
def test_each_wait_for_a_client_has_an_end(here: Here, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sent, told = WAITS[name]
    monkeypatch.setattr(connection, name, 0.05)
    with here.connect() as client:
        client.sendall(sent)
        assert statuses(accepted_event(client)) == told


def test_one_more_byte_is_not_one_more_chance(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    with here.connect() as client:
        client.sendall(HEAD)
        client.settimeout(0.05)
        told = b""
        for _ in range(400):  # far more than fit into the time, at 50 ms each
            try:
                told = client.recv(65536)
                break
            except TimeoutError:
                client.sendall(b"A: b\r\n"[:1])
        assert statuses(told) == [408]


def test_a_client_that_does_not_read_its_answer_is_hung_up_on(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.05)
    for request in (POST, LAST):
        with here.connect() as client:
            client.sendall(request.replace(b"/ ", b"/long "))
            wait_until(lambda: len(here.front.noted) > 0, "it is answered")
            wait_until(lambda: len(here.connections) == 0, "its connection is given up")
        here.front.noted.clear()


def test_a_client_that_reads_late_gets_all_and_can_go_on(here: Here) -> None:
    with here.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/long "))
        wait_until(lambda: len(here.front.noted) == 1, "it is answered")
        client.sendall(LAST.replace(b"/ ", b"/long "))
        assert len(accepted_event(client)) > 100_000_000


def test_a_client_that_leaves_is_forgotten_but_what_it_asked_is_noted(here: Here) -> None:
    with here.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(here.front.held) == 1, "it is there")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: len(here.connections) == 0, "it is gone")
    here.run(lambda: here.front.held[0](HttpResponse(200, b"", ())))
    assert here.front.noted == [("POST", 200)]


def test_with_too_many_connections_the_one_that_waited_longest_is_closed() -> None:
    with Here(most=3) as here:
        clients = [here.connect() for _ in range(3)]
        clients[0].sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(here.front.held) == 1, "the first waits for us")
        clients[1].sendall(POST)
        until(clients[1], b"abc")  # the second has just been answered
        with here.connect() as another:
            assert received_or_reset(clients[2]) == b""
            another.sendall(LAST)
            assert statuses(accepted_event(another)) == [200]
        here.run(lambda: here.front.held[0](HttpResponse(201, b"", ())))
        until(clients[0], b"\r\n\r\n")
        clients[1].sendall(LAST)
        assert statuses(accepted_event(clients[1])) == [200]
        for client in clients:
            client.close()


def test_a_stop_closes_what_is_idle_and_lets_end_what_has_begun(here: Here) -> None:
    held, idle, begun, fresh, first = (here.connect() for _ in range(5))
    held.sendall(POST.replace(b"/ ", b"/held "))
    idle.sendall(POST)
    until(idle, b"abc")
    begun.sendall(POST[:10])
    wait_until(lambda: len(here.front.held) == 1 and len(here.connections) == 5, "all are there")
    here.run(here.connections.drain)
    first.sendall(POST)  # its first byte comes while the server stops
    assert statuses(accepted_event(first)) == [200]
    assert accepted_event(idle) == b""
    begun.sendall(POST[10:])
    assert b"Connection: close" in accepted_event(begun)
    here.run(lambda: here.front.held[0](HttpResponse(201, b"", ())))
    assert statuses(accepted_event(held)) == [201]
    assert accepted_event(fresh) == b""  # after the second that a new connection has
    with here.connect() as late:
        late.sendall(POST)
        assert b"Connection: close" in accepted_event(late)
    for client in (held, idle, begun, fresh, first):
        client.close()


def test_a_connection_that_sends_its_first_byte_while_the_server_stops_is_answered(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_BYTE_WHILE_STOPPING_SECONDS", 60)
    with here.connect() as silent, here.connect() as begins:
        wait_until(lambda: len(here.connections) == 2, "both are there")
        here.run(here.connections.drain)
        for part in (LAST[:1], POST[1:-1], POST[-1:]):
            begins.sendall(part)
        told = accepted_event(begins)
        assert statuses(told) == [200]
        assert b"Connection: close\r\n" in told
        monkeypatch.setattr(connection, "FIRST_BYTE_WHILE_STOPPING_SECONDS", 0)
        here.run(here.connections.drain)
        assert accepted_event(silent) == b""


def test_an_abort_closes_everything(here: Here) -> None:
    with here.connect() as held, here.connect() as fresh:
        held.sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(here.front.held) == 1 and len(here.connections) == 2, "both are there")
        here.run(here.connections.abort)
        assert received_or_reset(held) == received_or_reset(fresh) == b""
        wait_until(lambda: len(here.connections) == 0, "all are gone")
