"""Connections count toward the limit from the moment they are accepted, also before their TLS handshake."""

from __future__ import annotations

import os
import resource
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import certificates
from exporter.config import tls
from exporter.server.http import acceptor
from running import PATIENCE_SECONDS, wait_until
from serving_here import LocalListener, read_all, read_until, received_or_reset

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 5
LAST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
CLIENT_HELLO = bytes.fromhex("160301")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return tls.load(*certificates.make(tmp_path_factory.mktemp("tls"), "first"))


@pytest.fixture
def listener(context: ssl.SSLContext) -> Iterator[LocalListener]:
    with LocalListener(LIMIT, context) as local:
        yield local


def exchange(listener: LocalListener) -> bytes:
    """Send a request over TLS, and return everything that the server sends."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with trusting.wrap_socket(listener.connect()) as client:
        client.sendall(LAST)
        return read_all(client)


@pytest.mark.parametrize("sent", [b"", CLIENT_HELLO])
def test_connections_before_their_handshake_are_limited_and_the_one_that_waited_longest_is_closed(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(acceptor, "ACCEPTS_PER_TURN", 2)
    with ExitStack() as opened:
        silent = [opened.enter_context(listener.connect()) for _ in range(4 * LIMIT)]
        for client in silent:
            client.sendall(sent)
        for client in silent[: 3 * LIMIT]:
            assert received_or_reset(client) == b""
        wait_until(lambda: len(listener.pool) == LIMIT, "as many are open as may be")
        assert exchange(listener).endswith(b"abc")
        wait_until(lambda: len(listener.pool) == LIMIT - 1, "that one took the place of another")
        assert received_or_reset(silent[3 * LIMIT]) == b""


def test_a_client_that_leaves_before_its_handshake_is_forgotten(listener: LocalListener) -> None:
    for sent in (b"", CLIENT_HELLO):
        with listener.connect() as client:
            client.sendall(sent)
            wait_until(lambda: len(listener.pool) == 1, "it is there")
        wait_until(lambda: len(listener.pool) == 0, "it is forgotten")


def test_a_client_that_speaks_no_tls_is_closed(listener: LocalListener) -> None:
    with listener.connect() as client:
        client.sendall(LAST)
        received_or_reset(client)
    wait_until(lambda: len(listener.pool) == 0, "it is forgotten")


def test_a_client_that_resets_its_connection_is_forgotten(listener: LocalListener) -> None:
    with listener.connect() as client:
        wait_until(lambda: len(listener.pool) == 1, "it is there")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: len(listener.pool) == 0, "it is forgotten")


@pytest.mark.parametrize("sent", [b"", CLIENT_HELLO])
def test_a_handshake_has_an_end(listener: LocalListener, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(acceptor, "HANDSHAKE_SECONDS", 0.05)
    with listener.connect() as client:
        client.sendall(sent)
        assert read_all(client) == b""
    wait_until(lambda: len(listener.pool) == 0, "it is forgotten")


def test_a_stop_waits_less_for_a_handshake(listener: LocalListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "FIRST_BYTE_WHILE_STOPPING_SECONDS", 0)
    with listener.connect() as client:
        wait_until(lambda: len(listener.pool) == 1, "it is there")
        listener.run(listener.pool.drain)
        assert read_all(client) == b""


def test_one_connection_after_another_is_accepted_without_a_pause(
    listener: LocalListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 86400)
    for _ in range(3):
        assert exchange(listener).endswith(b"abc")


def test_without_file_descriptors_it_waits_and_then_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 0.01)
    with LocalListener() as listener, socket.socket() as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client.settimeout(PATIENCE_SECONDS)

        def use_up() -> None:  # in the event loop, so that the connection is accepted only afterwards
            client.connect(("127.0.0.1", listener.port))
            lowest_unused = os.dup(0)
            os.close(lowest_unused)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_unused, hard))
            listener.loop.call_later(0.2, resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

        listener.run(use_up)
        client.sendall(LAST)
        assert read_until(client, b"abc")
