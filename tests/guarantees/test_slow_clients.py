"""Four hundred slow clients, of each kind that slowhttptest knows, do not starve a sender."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders import fields
from exporter.server.http.connection import HEAD_SECONDS
from loading import Load
from running import Exporter, wait_until
from tools import program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.proof

SLOW = 400
AT_ONCE = 300
"""How many of them are there at the same time while valid events are sent; the server closes some, others come."""
KINDS = {
    "headers": ["-H", "-t", "POST", "-i", "2", "-x", "24"],
    "body": ["-B", "-t", "POST", "-i", "2", "-x", "10", "-s", "8192"],
    "read": ["-X", "-w", "1", "-y", "8", "-n", "5", "-z", "1", "-k", "3"],
}


def open_connections(exporter: Exporter) -> int:
    """The connections to the webhook, as the kernel counts them."""
    local = f"0100007F:{exporter.webhook_port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(line[1] == local and line[3] == "01" for line in lines)


@contextmanager
def attack(exporter: Exporter, kind: list[str]) -> Iterator[None]:
    url = f"{exporter.webhook_url}/webhooks/clevertap/default"
    arguments = ["-c", str(SLOW), "-r", str(SLOW), "-p", "3", "-l", "60", "-u", url]
    with subprocess.Popen(
        [program("slowhttptest"), *kind, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as attacker:
        try:
            wait_until(lambda: open_connections(exporter) >= AT_ONCE, "the slow clients are there")
            yield
        finally:
            attacker.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_slow_clients_hold_up_nobody(tmp_path: Path, kind: str) -> None:
    with Exporter(tmp_path) as exporter:
        with Load(exporter, 4, keep_alive=False, pause=0.01) as load:
            meanwhile = 0
            while meanwhile < 200:  # if the slow clients have gone by then, others come
                with attack(exporter, KINDS[kind]):
                    while meanwhile < 200 and open_connections(exporter) >= AT_ONCE // 2:
                        load.wait_for(10)
                        meanwhile += 10
        assert (load.broken, load.refused) == ([], [])
        # A promise, and no benchmark: whoever is starved here waits for the ten seconds of the slow ones.
        assert sorted(load.seconds)[int(len(load.seconds) * 0.99)] < HEAD_SECONDS / 2
        assert "Traceback" not in exporter.log()


def test_scrapes_that_are_not_read_hold_up_no_other_and_wait_one_for_each_client(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter, ExitStack() as slow:
        assert exporter.post([fields(request_id=number, Partner=f"partner {number}") for number in range(150)]).ok
        scrape_bytes, before = len(exporter.scrape()), exporter.value("process_resident_memory_bytes")
        assert before is not None
        readers = [slow.enter_context(socket.socket()) for _ in range(30)]
        for reader in readers:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", exporter.admin_port))
            reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        with Load(exporter, 1, keep_alive=False) as load:
            load.wait_for(20)
        assert (load.broken, load.refused) == ([], [])
        for _ in range(10):
            after = exporter.value("process_resident_memory_bytes")
            assert after is not None
            # Of the ten scrapes of each reader, the kernel takes some, one waits, and the others are not rendered.
            assert after - before < 2 * len(readers) * scrape_bytes
        assert "Traceback" not in exporter.log()


@pytest.mark.parametrize(("limit", "files", "most"), [("-Sn 256", 4096, 1000), ("-n 300", 300, 100)])
def test_connections_are_as_many_as_open_files_allow_and_another_still_gets_in(
    tmp_path: Path, limit: str, files: int, most: int
) -> None:
    before = ["bash", "-c", f'ulimit {limit}; exec "$@"', "bash"]
    with Exporter(tmp_path, before=before) as exporter, ExitStack() as idle:
        assert exporter.value("process_max_fds") == files
        for _ in range(most + 20):
            idle.enter_context(socket.create_connection(("127.0.0.1", exporter.webhook_port), 20))
        with Load(exporter, 1, keep_alive=False) as load:
            load.wait_for(20)
        assert (load.broken, load.refused) == ([], [])
        # The kernel counts those as well that are just being taken or closed.
        wait_until(lambda: open_connections(exporter) <= most, "no more are open than may be")
        assert open_connections(exporter) >= most - 20
        assert "Traceback" not in exporter.log()


def test_the_running_server_gives_up_on_who_dawdles(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        begun = []
        for port in (exporter.webhook_port, exporter.admin_port):
            for sent in (b"", b"POST / HTTP/1.1\r\n"):
                begun.append(socket.create_connection(("127.0.0.1", port), 60))
                begun[-1].sendall(sent)
        told = [each.makefile("rb").readline() for each in begun]
        assert told == [b"", b"HTTP/1.1 408 Request Timeout\r\n"] * 2
        for each in begun:
            each.close()
        wait_until(lambda: '"code": 408' in exporter.log(), "it is logged")
