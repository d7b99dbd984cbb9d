"""Logs: a line for every request, JSON for programs, columns on a terminal, and no secret or body in any."""

from __future__ import annotations

import io
import json
import os
import pty
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from builders import body, fields
from exporter import __version__
from exporter.server.logs import StandardError
from running import COMMAND, PATIENCE_SECONDS, Exporter, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "canary-token-of-a-shop"
CANARY = "canary-value"
SOURCES = f"""
[[sources]]
slug = "open"

[[sources]]
slug = "shop"
tokens = ["{TOKEN}"]
basic = {{ username = "clevertap", password = "{TOKEN}" }}
"""


class OnATerminal(Exporter):
    """An exporter whose standard error is a terminal."""

    def launch(self) -> None:
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [COMMAND, "serve"], cwd=self.folder, env=self.environment, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._shown = bytearray()
        self._screen = threading.Thread(target=self._watch, args=(ours,))
        self._screen.start()

    def log(self) -> str:
        self._screen.join()  # it ends with the last process that has the terminal
        return self._shown.decode()

    def _watch(self, ours: int) -> None:
        while True:
            try:
                shown = os.read(ours, 65536)
            except OSError:  # on Linux: the other end is closed
                break
            if not shown:  # on other systems
                break
            self._shown += shown
        os.close(ours)


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    """Start an exporter that logs as much as it can.

    One for each test, since only five requests a second without a valid credential are logged: where the tests share
    an exporter, a fast machine sends more than that in one second.
    """
    with Exporter(tmp_path, SOURCES, {"DATAEXPORT_LOG_LEVEL": "debug"}) as running:
        yield running


def lines(exporter: Exporter) -> list[dict[str, object]]:
    """Return the complete log lines, each of which must be JSON."""
    complete, _, _ = exporter.log().rpartition("\n")
    return [json.loads(line) for line in complete.splitlines()]


def of_requests(exporter: Exporter, count: int, *slugs: str) -> list[dict[str, object]]:
    """Wait for the lines of ``count`` requests for some sources, as a line may be written after the response."""

    def logged() -> list[dict[str, object]]:
        requests = [line for line in lines(exporter) if line["event"] == "webhook_request"]
        return [line for line in requests if str(line["path"]).removeprefix("/webhooks/clevertap/").startswith(slugs)]

    wait_until(lambda: len(logged()) >= count, f"{count} requests are logged")
    return logged()


def test_every_request_is_one_line_of_json_with_its_outcome(exporter: Exporter) -> None:
    exporter.post([fields(request_id=1), fields(request_id=1), {}], "open")
    exporter.post({"is_test": True}, "open")
    exporter.post(b"nonsense", "open")
    exporter.post(b"{}", "nobody")
    counted, test, wrong, unknown = of_requests(exporter, 4, "open", "nobody")
    assert (counted["method"], counted["path"], counted["code"]) == ("POST", "/webhooks/clevertap/open", 200)
    assert (counted["accepted"], counted["duplicates"], counted["quarantined"]) == (1, 1, 1)
    assert (counted["client"], counted["level"]) == ("127.0.0.1", "info")
    assert isinstance(counted["ms"], float)
    assert (test["code"], test["test"]) == (200, True)
    assert (wrong["code"], "accepted" in wrong) == (400, False)
    assert (unknown["code"], unknown["path"]) == (404, "/webhooks/clevertap/nobody")


def test_no_secret_and_nothing_of_a_body_is_logged(exporter: Exporter) -> None:
    valid = {"Authorization": f"Bearer {TOKEN}"}
    exporter.post(body(Partner=CANARY, Note=CANARY), "shop", valid)
    exporter.post({"Partner": CANARY}, "shop", valid)
    exporter.post(f'{{"{CANARY}": '.encode(), "shop", valid)
    exporter.post(b"{}", "shop", {"Authorization": f"Bearer {TOKEN}-wrong"})
    exporter.post(b"{}", "shop", {"X-Token": TOKEN, "Cookie": TOKEN})
    exporter.webhook("POST", f"/webhooks/clevertap/shop?token={TOKEN}", data=b"{}")
    assert TOKEN not in exporter.scrape()
    assert TOKEN not in exporter.admin("/").text
    assert len(of_requests(exporter, 6, "shop")) == 6
    log = exporter.log()
    assert TOKEN not in log
    assert CANARY not in log


def test_what_a_stranger_typed_stays_on_one_line(exporter: Exporter) -> None:
    hostile = "/webhooks/clevertap/hostile%0a%7b%22event%22:%22forged%22%7d%0d%1b[2J%00%e2%80%a8"
    exporter.webhook("GET", hostile)
    for raw in (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"\x1b[2J\n{}\r\n\r\n", b"GET /" + b"a" * 9000):
        with socket.create_connection(("127.0.0.1", exporter.webhook_port), PATIENCE_SECONDS) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    [request] = of_requests(exporter, 1, "hostile")
    assert str(request["path"]).lower() == hostile.replace("[2J", "%5b2j")
    assert not any(line["event"] == "forged" for line in lines(exporter))
    assert "\x1b" not in exporter.log()
    assert "Traceback" not in exporter.log()


def test_the_start_logs_version_listeners_and_store_and_the_stop_logs_one_line(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        exporter.terminate()
    [started] = [line for line in lines(exporter) if line["event"] == "started"]
    assert (started["version"], started["store"]) == (__version__, f"sqlite:///{exporter.database}")
    assert (started["webhook"], started["admin"]) == (
        f"127.0.0.1:{exporter.webhook_port}",
        f"127.0.0.1:{exporter.admin_port}",
    )
    assert lines(exporter)[-1]["event"] == "stopped"


def test_on_a_terminal_columns_are_shown(tmp_path: Path) -> None:
    with OnATerminal(tmp_path) as exporter:
        exporter.post(b"{}")
        exporter.terminate()
        shown = exporter.log()
    assert "started" in shown
    assert "\x1b[" in shown
    assert '"event"' not in shown


def test_the_form_and_the_level_can_be_set(tmp_path: Path) -> None:
    wanted = {"DATAEXPORT_LOG_FORMAT": "console", "DATAEXPORT_LOG_LEVEL": "warning"}
    with Exporter(tmp_path, environment=wanted) as exporter:
        exporter.post(b"{}")
        assert exporter.log() == ""
        away = exporter.database.rename(tmp_path / "elsewhere.db")
        exporter.post(b"{}")
        away.rename(exporter.database)
        wait_until(lambda: "removed or replaced" in exporter.log(), "it says what is wrong")
        shown = exporter.log()
    assert "error" in shown
    assert not shown.startswith("{")
    assert "\x1b" not in shown


def test_a_line_that_cannot_be_written_is_lost_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as full:
        for stream in (full, closed):
            monkeypatch.setattr(sys, "stderr", stream)
            StandardError().error("the disk is full")
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    StandardError().info("and works again")
    assert shown.getvalue() == "and works again\n"
