"""All connections of a listener together: their limits, their turns, and a stop."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import serving_here
from exporter.server.http import connection, connection_pool
from exporter.server.http.messages import HttpResponse
from running import wait_until
from serving_here import HEAD, LAST, POST, LocalListener, read_all, read_until, received_or_reset, statuses

if TYPE_CHECKING:
    import pytest

    from exporter.server.http.messages import HttpRequest


listener = serving_here.listener


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
