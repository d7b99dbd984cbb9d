"""A long answer is made as its client reads it: all of it, in its place, and no more than is read."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.web import connection
from running import wait_until
from serving_here import Here, Pieces, received

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 500
"""Of 100 kB each: more than any buffer of the system holds."""
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
LAST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nxyz"


@pytest.fixture
def here() -> Iterator[Here]:
    with Here() as running:
        yield running


def asked(number: int, request: bytes = POST) -> bytes:
    return request.replace(b"/ ", b"/pieces?%d " % number, 1)


def bodies(told: bytes) -> list[bytes]:
    found = []
    while told:
        head, _, told = told.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        found.append(told[:length])
        told = told[length:]
    return found


def expected(number: int) -> bytes:
    return b"".join(Pieces(number))


@pytest.mark.parametrize("number", [0, 1, 3, MANY])
def test_it_comes_whole_and_the_connection_goes_on(here: Here, number: int) -> None:
    assert bodies(here.ask(asked(number), POST + LAST)) == [expected(number), b"abc", b"xyz"]
    assert here.front.pieces.closed == 1


def test_requests_that_come_in_one_piece_wait_for_their_turn(here: Here) -> None:
    assert bodies(here.ask(asked(MANY) + POST + asked(2) + LAST)) == [expected(MANY), b"abc", expected(2), b"xyz"]


def test_the_connection_is_closed_after_it_where_that_was_asked_for(here: Here) -> None:
    with here.connect() as client:
        client.sendall(asked(MANY, LAST))
        assert bodies(received(client)) == [expected(MANY)]


def test_no_more_is_made_than_the_client_reads(here: Here) -> None:
    with here.connect() as client:
        client.sendall(asked(MANY))
        wait_until(lambda: here.front.pieces.made > 1, "it is begun")
        client.sendall(POST)
        here.run(lambda: None)  # whatever would be made at once, is
        assert here.front.pieces.made < MANY
        client.sendall(LAST)
        assert bodies(received(client)) == [expected(MANY), b"abc", b"xyz"]


def test_a_client_that_does_not_read_is_hung_up_on(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.05)
    with here.connect() as client:
        client.sendall(asked(MANY))
        wait_until(lambda: here.front.pieces.closed == 1, "its connection is given up")
        assert len(here.connections) == 0
    assert here.front.pieces.made < MANY


def test_a_client_that_reads_a_little_now_and_then_has_no_more_time(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.2)
    with here.connect() as client:
        client.sendall(asked(10 * MANY))
        client.settimeout(20)
        while not here.front.pieces.closed:
            assert client.recv(4096)
            here.run(lambda: None)
    assert 1 < here.front.pieces.made < 10 * MANY


def received_or_reset(client: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_what_is_left_is_not_made_for_a_client_that_has_gone(here: Here) -> None:
    with here.connect() as client:
        client.sendall(asked(MANY))
        wait_until(lambda: here.front.pieces.made > 1, "it is begun")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: here.front.pieces.closed == 1, "nothing more is wanted")
    assert here.front.pieces.made < MANY


def test_nothing_is_made_for_a_client_that_has_gone_before(here: Here) -> None:
    with here.connect() as client:
        client.sendall(POST.replace(b"/ ", b"/held "))
        wait_until(lambda: len(here.front.held) == 1, "it is there")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: len(here.connections) == 0, "it is gone")
    pieces = Pieces(3)
    here.run(lambda: here.front.held[0](pieces.answer))
    assert (pieces.made, pieces.closed) == (0, 1)


@pytest.mark.parametrize("number", [1, MANY])
def test_a_mistake_on_the_way_ends_it_so_that_nobody_takes_it_for_whole(here: Here, number: int) -> None:
    with capture_logs() as logs, here.connect() as client:
        client.sendall(asked(-number))
        client.settimeout(20)
        got = received_or_reset(client)
    assert b"canary" not in got
    assert len(got.partition(b"\r\n\r\n")[2]) <= number * 100_000
    assert here.front.pieces.closed == 1
    assert [each["event"] for each in logs] == ["an answer could not be made to its end"]
