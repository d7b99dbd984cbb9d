"""Strangers who send in tiny chunks, connect and wait, or fill the memory take nothing from a sender."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

import certificates
import strangers
from builders import body
from exporter.server.http.connection import HEAD_SECONDS
from loading import Load
from running import PATIENCE_SECONDS, Exporter, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proof

HEAD = b"POST /webhooks/clevertap/%b HTTP/1.1\r\nHost: localhost\r\n"
SOURCES = '[[sources]]\nslug = "default"\n[[sources]]\nslug = "closed"\ntokens = ["a-token-of-somebody"]\n'


@pytest.mark.parametrize("source", ["closed", "default"])
def test_chunks_of_one_byte_hold_up_nobody(tmp_path: Path, source: str) -> None:
    with Exporter(tmp_path, SOURCES) as exporter:
        command = [sys.executable, strangers.__file__, str(exporter.webhook_port), source]
        with subprocess.Popen(command) as attack:
            try:
                wait_until(lambda: exporter.log().count(f"/webhooks/clevertap/{source}") > 4, "the strangers are there")
                with Load(exporter, 1, keep_alive=False, pause=0.01) as load:
                    load.wait_for(30)
            finally:
                attack.terminate()
        assert (load.broken, load.refused) == ([], [])
        # A promise, and no benchmark: before the limits, nothing was answered for twenty seconds.
        assert sorted(load.seconds)[-2] < HEAD_SECONDS / 2
        assert "Traceback" not in exporter.log()


def test_more_bare_connections_than_open_files_cut_no_sender_and_no_scrape(tmp_path: Path) -> None:
    certificate, key = certificates.make(tmp_path, "first")
    named = {"DATAEXPORT_TLS_CERTIFICATE_FILE": str(certificate), "DATAEXPORT_TLS_KEY_FILE": str(key)}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limited = ["bash", "-c", 'ulimit -n 300; exec "$@"', "bash"]
    try:
        with Exporter(tmp_path, environment=named, before=limited) as exporter:
            url = f"https://localhost:{exporter.webhook_port}/webhooks/clevertap/default"
            memory = exporter.value("process_resident_memory_bytes")
            assert memory is not None
            for batch in range(10):
                with ExitStack() as silent:
                    for _ in range(400):
                        address = ("127.0.0.1", exporter.webhook_port)
                        silent.enter_context(socket.create_connection(address, PATIENCE_SECONDS))
                    answer = exporter.http.post(
                        url, body(request_id=batch), verify=str(certificate), timeout=PATIENCE_SECONDS
                    )
                    assert answer.json()["accepted"] == 1
                    assert exporter.value("dataexport_store_up") == 1
            after = exporter.value("process_resident_memory_bytes")
            assert after is not None
            assert after - memory < 16 * 1024 * 1024
            assert "Traceback" not in exporter.log()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_bodies_that_are_never_complete_take_a_bounded_part_of_memory(tmp_path: Path) -> None:
    limits = "[limits]\ntotal_request_bytes = 16777216\n"
    with Exporter(tmp_path, limits) as exporter, ExitStack() as opened:
        memory = exporter.value("process_resident_memory_bytes")
        assert memory is not None
        for _ in range(strangers.STRANGERS):
            stranger = socket.create_connection(("127.0.0.1", exporter.webhook_port), PATIENCE_SECONDS)
            opened.enter_context(stranger)
            with suppress(OSError):  # refused while it sends
                stranger.sendall(HEAD % b"default" + b"Content-Length: 1000001\r\n\r\n" + b"x" * 1_000_000)
        assert exporter.post(body()).json()["accepted"] == 1
        after = exporter.value("process_resident_memory_bytes")
        assert after is not None
        assert after - memory < 64 * 1024 * 1024
