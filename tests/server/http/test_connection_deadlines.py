"""How long a connection waits for its client, and what ends it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

import serving_here
from exporter.server.http import connection
from exporter.server.http.messages import HttpResponse
from monitoring import ROOT
from running import wait_until
from serving_here import HEAD, LAST, POST, LocalListener, read_all, received_or_reset, statuses

if TYPE_CHECKING:
    from exporter.server.http.connection_pool import PooledConnection

listener = serving_here.listener


def test_tls_on_a_plain_port_is_closed_at_the_latest_when_headers_should_be_there(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    with listener.connect() as client:
        client.sendall(bytes.fromhex("1603010200010001fc0303") + b"a" * 100)
        assert statuses(read_all(client)) in ([400], [408])


def test_the_first_byte_may_take_as_long_as_documented() -> None:
    stopping = f"{connection.FIRST_BYTE_WHILE_STOPPING_SECONDS:g} s while the exporter stops"
    limits = f"{connection.FIRST_BYTE_SECONDS:g} s; {stopping}"
    assert f"| first byte of a new connection | {limits} |" in (ROOT / "docs/reference/http-api.md").read_text("utf-8")


def test_a_wait_ends_its_time_after_it_began(listener: LocalListener, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[float] = []
    add = listener.pool.add

    def note_deadline(waiting: PooledConnection) -> None:
        add(waiting)
        deadlines.append(waiting.deadline)

    monkeypatch.setattr(listener.pool, "add", note_deadline)
    began = listener.loop.time()
    assert statuses(listener.exchange(LAST)) == [200]
    (deadline,) = deadlines
    assert began <= deadline - connection.FIRST_BYTE_SECONDS <= listener.loop.time()


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
