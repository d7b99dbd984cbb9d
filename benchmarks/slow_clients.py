"""Measures how long a webhook takes while hundreds of clients send or read as slowly as they can."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import time
from itertools import count
from typing import TYPE_CHECKING

import made_up
import processes
from report import Finding, Result, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledgers import Places
    from processes import Server
    from report import Scale

SLOW_CLIENTS = 400
LIMIT_MS = 1000
BYTE_SECONDS = 1.0
_LINE = f"POST {made_up.WEBHOOK} HTTP/1.1\r\nHost: x\r\n".encode()
MODES = {
    "slow headers": (_LINE, b"x-slow: y\r\n"),
    "slow bodies": (_LINE + b"Content-Length: 60000\r\n\r\n", b"x"),
    "answers that are not read": (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50),
}
"""The bytes that a slow client sends first, and those that it then sends once a second."""


def measure(scale: Scale, places: Places) -> Result:
    """Measure with each kind of slow client."""
    since = made_up.began(20_000)
    ledger = places.folder / "slow-clients.db"
    numbers = count(4_000)
    rows = []
    with processes.exporter(ledger, 1_000) as server:
        for mode, (first, then) in {"none": (b"", b""), **MODES}.items():
            with slow_clients(server, first, then) if first or then else contextlib.nullcontext():
                durations = _posts(server, scale.seconds * scale.rounds, numbers, since)
            hundredths = statistics.quantiles(durations, n=100)
            rows.append(
                Row(mode, "exporter", {"p50 ms": hundredths[49], "p99 ms": hundredths[98], "POSTs": len(durations)})
            )
    findings = [
        Finding(
            f"p99 of a POST beside {SLOW_CLIENTS} slow clients, {row.case}",
            row.figures["p99 ms"],
            "ms",
            LIMIT_MS,
            more_is_better=False,
        )
        for row in rows[1:]
    ]
    return Result("Slow clients", rows, findings, ["One POST after another, each on a new connection."])


def _posts(server: Server, seconds: float, numbers: Iterator[int], since: int) -> list[float]:
    """Return the milliseconds that each POST took."""
    durations = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started_at = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", made_up.WEBHOOK, made_up.event(next(numbers), 1_000, since))
        status = connection.getresponse().status
        connection.close()
        durations.append((time.perf_counter() - started_at) * 1000)
        if status != http.HTTPStatus.OK:
            message = f"a webhook was answered {status}"
            raise RuntimeError(message)
    return durations


@contextlib.contextmanager
def slow_clients(server: Server, first: bytes, then: bytes) -> Iterator[None]:
    """Open connections that send ``first``, and ``then`` once a second; those that the server closes are reopened."""

    def connect() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        client.sendall(first)
        client.settimeout(0)
        return client

    clients = [connect() for _ in range(SLOW_CLIENTS)]

    def send() -> None:
        for place, client in enumerate(clients):
            try:
                client.send(then)
            except BlockingIOError:
                pass  # the server reads no more requests, since the client does not read its responses
            except OSError:
                client.close()
                clients[place] = connect()

    try:
        with processes.repeating(send, BYTE_SECONDS):
            yield
    finally:
        for client in clients:
            client.close()
