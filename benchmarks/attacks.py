r"""Measures what attacks take from the other clients of an exporter. Every attack is bounded and stays on loopback.

    .venv/bin/python benchmarks/attacks.py
    .venv/bin/python benchmarks/attacks.py --only bodies --only log
    .venv/bin/python benchmarks/attacks.py --rounds 2 --exporter before=OLD/bin/dataexport-exporter \
        --exporter now=.venv/bin/dataexport-exporter

Each attack has an exporter of its own, with default settings and 1,024 or 4,096 file descriptors, and attackers of a
low priority. While it lasts, a sender posts events, each on a new connection, and `/metrics` is scraped every second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import math
import multiprocessing
import os
import resource
import secrets
import socket
import ssl
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import hostile
import processes
from report import Result, Row

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import certificates
from builders import body
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.sharedctypes import Synchronized

    from processes import Server

FORK = multiprocessing.get_context("fork")
TOKEN, LEAKED_TOKEN = secrets.token_hex(16), secrets.token_hex(16)
SOURCES = [{"slug": "default", "tokens": [TOKEN]}, {"slug": "leaked", "tokens": [LEAKED_TOKEN]}]
ADDRESS = "127.0.0.1"
PATH = "/webhooks/clevertap/leaked"
LEAKED = f"Authorization: Bearer {LEAKED_TOKEN}\r\n"
CLIENT_SECONDS = 20
"""A client waits so long for a response. Then its request counts as cut."""
PAUSE_SECONDS = 0.05
SCRAPE_SECONDS = 1.0
SAMPLE_SECONDS = 0.2
RECOVERY_SECONDS = 15
"""After an attack, the memory is read once more when so much time has passed: handshakes and heads have timed out."""
BARE_CONNECTS = 36_000
OPEN_CONNECTS = 3_000
BODIES = 980
PARTNERS = 40_000


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack.

    Attributes:
        what: what is sent.
        run: sends it to a port until the process is ended, and counts.
        counts: what it counts.
        seconds: it ends after this time at the latest.
        open_files: the file descriptors that the exporter may have.
        tls: whether the webhook listener has a certificate.
    """

    what: str
    run: Callable[[int, Synchronized[int]], None]
    counts: str
    seconds: float = 10
    open_files: int = 4096
    tls: bool = False


def flood(port: int, count: Synchronized[int], wire: bytes, connections: int) -> None:
    """Send the same bytes over so many connections, each time on a new one, once the last one was closed."""

    async def send() -> None:
        while True:
            with suppress(OSError):  # refused while it sends
                reader, writer = await asyncio.open_connection(ADDRESS, port)
                writer.write(wire)
                await reader.read()
                count.value += 1
                writer.close()
                await writer.wait_closed()

    async def send_all() -> None:
        await asyncio.gather(*(send() for _ in range(connections)))

    asyncio.run(send_all())


def connect_only(port: int, count: Synchronized[int]) -> None:
    """Connect and send nothing, with up to `OPEN_CONNECTS` connections at a time."""
    connections: list[socket.socket] = []
    while count.value < BARE_CONNECTS:
        try:
            connections.append(socket.create_connection((ADDRESS, port), 2))
            count.value += 1
        except OSError:
            time.sleep(0.01)
        if len(connections) > OPEN_CONNECTS:
            connections.pop(0).close()
    time.sleep(CLIENT_SECONDS)


def hold_bodies(port: int, count: Synchronized[int]) -> None:
    """Send a megabyte of a longer body on each of `BODIES` connections, and leave them open."""
    wire = head(LEAKED + "Content-Length: 1000001\r\n") + b"x" * 1_000_000
    connections = [socket.create_connection((ADDRESS, port), CLIENT_SECONDS) for _ in range(BODIES)]

    def send(connection: socket.socket) -> None:
        with suppress(OSError):  # refused while it sends
            connection.sendall(wire)
            with count.get_lock():
                count.value += 1

    with ThreadPoolExecutor(32) as senders:
        list(senders.map(send, connections))
    time.sleep(CLIENT_SECONDS)


def name_partners(port: int, count: Synchronized[int]) -> None:
    """Send an event of each of `PARTNERS` partners, in lists."""
    with closing(http.client.HTTPConnection(ADDRESS, port, timeout=60)) as connection:
        for events in hostile.partners(1, PARTNERS):
            connection.request("POST", PATH, events, {"Authorization": f"Bearer {LEAKED_TOKEN}"})
            response = connection.getresponse()
            answer = response.read()
            if response.status == http.HTTPStatus.OK:
                count.value += json.loads(answer)["accepted"]


def head(fields: str) -> bytes:
    """Return the head of a POST with further header fields."""
    return f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n".encode()


def one_byte_chunks(fields: str, size: int) -> bytes:
    """Return a request whose body of so many bytes is sent in chunks of one byte."""
    return head(fields + "Transfer-Encoding: chunked\r\n") + b"1\r\nx\r\n" * size + b"0\r\n\r\n"


def pipelined(path: str, requests: int) -> bytes:
    """Return so many requests, the last of which closes the connection."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    return f"{request}\r\n".encode() * (requests - 1) + f"{request}Connection: close\r\n\r\n".encode()


ATTACKS = {
    "chunks": Attack(
        "200 connections, each with a body of 250 kB in chunks of one byte, no token",
        partial(flood, wire=one_byte_chunks("", 250_000), connections=200),
        "requests",
    ),
    "chunks-token": Attack(
        "the same, of 900 kB, with a token",
        partial(flood, wire=one_byte_chunks(LEAKED, 900_000), connections=200),
        "requests",
    ),
    "bodies": Attack(
        f"{BODIES} connections, each with 1 MB of a body that does not end, with a token",
        hold_bodies,
        "bodies sent",
        15,
    ),
    "connects": Attack(
        f"up to {BARE_CONNECTS:,} connects to the TLS listener that send nothing, {OPEN_CONNECTS:,} open at a time",
        connect_only,
        "connects",
        25,
        1024,
        tls=True,
    ),
    "log": Attack(
        "2 connections with requests for paths of 660 invalid bytes, no token",
        partial(flood, wire=pipelined("/" + "%ff" * 660, 100), connections=2),
        "hundreds of requests",
        5,
    ),
    "partners": Attack(f"{PARTNERS:,} events, each of a new partner, with a token", name_partners, "accepted", 60),
}


class Client:
    """A sender of one source, and a Prometheus."""

    def __init__(self, server: Server, authority: ssl.SSLContext | None) -> None:
        self.milliseconds: list[float] = []
        self.cut = self.scrapes = self.scrapes_cut = 0
        self._server = server
        self._authority = authority

    def post(self) -> None:
        """Post an event; if the response is not 200, it counts as cut."""
        started_at = time.perf_counter()
        if self._authority is None:
            connection = http.client.HTTPConnection(ADDRESS, self._server.port, timeout=CLIENT_SECONDS)
        else:
            connection = http.client.HTTPSConnection(
                ADDRESS, self._server.port, timeout=CLIENT_SECONDS, context=self._authority
            )
        event = body(request_id=secrets.token_hex(8))
        headers = {"Authorization": f"Bearer {TOKEN}", "Connection": "close"}
        if _answered_200(connection, "POST", "/webhooks/clevertap/default", event, headers):
            self.milliseconds.append((time.perf_counter() - started_at) * 1000)
        else:
            self.cut += 1

    def scrape(self) -> None:
        """Scrape; if the response is not 200, it counts as cut."""
        connection = http.client.HTTPConnection(ADDRESS, self._server.admin_port, timeout=CLIENT_SECONDS)
        if _answered_200(connection, "GET", "/metrics"):
            self.scrapes += 1
        else:
            self.scrapes_cut += 1


def _answered_200(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> bool:
    with closing(connection):
        try:
            connection.request(method, path, content, headers or {})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return False
        return response.status == http.HTTPStatus.OK


@contextmanager
def exporter(command: str, folder: Path, attack: Attack) -> Iterator[tuple[Server, ssl.SSLContext | None]]:
    """Start an exporter with two sources, and return it with what its certificate is verified by."""
    environment = {
        "DATAEXPORT_WEBHOOK_LISTEN": f"{ADDRESS}:{free_port()}",
        "DATAEXPORT_ADMIN_LISTEN": f"{ADDRESS}:{free_port()}",
        "DATAEXPORT_STORE_URL": f"sqlite:///{folder}/exports.db",
        "DATAEXPORT_SOURCES": json.dumps(SOURCES),
    }
    authority = None
    if attack.tls:
        certificate, key = certificates.make(folder, "listener")
        environment |= {"DATAEXPORT_TLS_CERTIFICATE_FILE": str(certificate), "DATAEXPORT_TLS_KEY_FILE": str(key)}
        authority = ssl.create_default_context(cafile=str(certificate))
    ports = [int(environment[f"DATAEXPORT_{name}_LISTEN"].rpartition(":")[2]) for name in ("WEBHOOK", "ADMIN")]
    limited = ["bash", "-c", f'ulimit -n {attack.open_files}; exec "$@"', "bash", command, "serve"]
    server = processes.Server(limited, environment, (ports[0], ports[1]), folder / "log")
    try:
        yield server, authority
    finally:
        server.stop()


def measure(command: str, attack: Attack) -> tuple[dict[str, float], str]:
    """Attack an exporter once; return the figures, and a remark."""
    count = FORK.Value("i", 0)
    with (
        tempfile.TemporaryDirectory() as name,
        exporter(command, Path(name), attack) as (server, authority),
    ):
        folder, first, client = Path(name), Client(server, authority), Client(server, authority)
        first.scrape()
        first.post()
        memory = [server.memory()[1]]
        log_bytes = (folder / "log").stat().st_size
        attacker = FORK.Process(target=_attack, args=(attack, server.port, count), daemon=True)
        attacker.start()
        started_at = time.perf_counter()
        with (
            processes.repeating(client.scrape, SCRAPE_SECONDS),
            processes.repeating(lambda: memory.append(server.memory()[1]), SAMPLE_SECONDS),
        ):
            while time.perf_counter() - started_at < attack.seconds and attacker.is_alive():
                client.post()
                time.sleep(PAUSE_SECONDS)
        lasted = time.perf_counter() - started_at
        log_bytes = (folder / "log").stat().st_size - log_bytes
        attacker.terminate()
        attacker.join()
        remark = f"{count.value:,} {attack.counts} in {lasted:.1f} s"
        if attack.run is name_partners:
            remark += f", {_store_and_page(server, folder)}"
        time.sleep(RECOVERY_SECONDS)
        figures = {
            **_percentiles(client.milliseconds),
            "cut": client.cut,
            "scrapes": client.scrapes,
            "scrapes cut": client.scrapes_cut,
            "MB before": memory[0] / 1e6,
            "MB during": max(memory) / 1e6,
            "MB after": server.memory()[1] / 1e6,
            "log kB/s": log_bytes / 1000 / lasted,
        }
    return figures, remark


def _attack(attack: Attack, port: int, count: Synchronized[int]) -> None:
    os.nice(10)
    attack.run(port, count)


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    if not milliseconds:
        return {"POSTs": 0}
    ordered = sorted(milliseconds)
    median, last = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.5, 0.99))
    return {"POSTs": len(ordered), "p50 ms": median, "p99 ms": last, "longest ms": ordered[-1]}


def _store_and_page(server: Server, folder: Path) -> str:
    stored = sum(path.stat().st_size for path in folder.glob("exports.db*"))
    started_at = time.perf_counter()
    with closing(http.client.HTTPConnection(ADDRESS, server.admin_port, timeout=60)) as connection:
        connection.request("GET", "/")
        page = connection.getresponse().read()
    seconds = time.perf_counter() - started_at
    return f"store {stored / 1e6:.0f} MB, status page {len(page) / 1000:,.0f} kB in {seconds:.1f} s"


def main() -> None:
    """Run the attacks, the exporters in turn, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--exporter", action="append", metavar="LABEL=PATH", help="the command of an exporter")
    arguments.add_argument("--only", action="append", choices=ATTACKS, metavar="ATTACK", help=", ".join(ATTACKS))
    arguments.add_argument("--rounds", type=int, default=1, help="how often each exporter is attacked")
    options = arguments.parse_args()
    ours = f"now={Path(sys.executable).with_name('dataexport-exporter')}"
    commands = dict(each.split("=", 1) for each in options.exporter or [ours])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    names = options.only or list(ATTACKS)
    result = Result("Attacks", notes=[f"{name}: {ATTACKS[name].what}" for name in names])
    for name in names:
        for number in range(1, options.rounds + 1):
            for label, command in commands.items():
                figures, remark = measure(command, ATTACKS[name])
                result.rows.append(Row(name, f"{label} {number}", figures))
                result.notes.append(f"{name}, {label} {number}: {remark}")
                print(result.rows[-1], remark, file=sys.stderr, flush=True)
    print(result.text())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
