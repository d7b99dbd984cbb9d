"""A stop or a reload under load loses nothing that was acknowledged, and answers what has begun."""

from __future__ import annotations

import http.client
import socket
import time
from typing import TYPE_CHECKING

import pytest

from builders import body
from exporter.ledger.sql.ledger import SqlLedger
from loading import Load
from running import PATIENCE_SECONDS, Exporter, wait_until
from tools import PROOF

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proof

STOPS = 8
PROMISED_SECONDS = 10


def stored(exporter: Exporter) -> set[str]:
    ledger = SqlLedger(f"sqlite:///{exporter.database}")
    try:
        return {event.request_id for event in ledger.read(0, 1_000_000)}
    finally:
        ledger.close()


def begin(exporter: Exporter, name: str) -> tuple[http.client.HTTPConnection, bytes]:
    """A request of which half the body is sent; and the other half."""
    announced = body(request_id=name)
    connection = http.client.HTTPConnection("127.0.0.1", exporter.webhook_port, timeout=PATIENCE_SECONDS)
    connection.putrequest("POST", "/webhooks/clevertap/default")
    connection.putheader("Content-Length", str(len(announced)))
    connection.endheaders(announced[:20])
    return connection, announced[20:]


def listens(exporter: Exporter) -> bool:
    try:
        socket.create_connection(("127.0.0.1", exporter.webhook_port), PROMISED_SECONDS).close()
    except ConnectionError:
        return False
    return True


def stop_under_load(exporter: Exporter) -> float:
    """Stop it while it has much to do; how many seconds that took."""
    with Load(exporter, 8) as load, Load(exporter, 2, pause=PROMISED_SECONDS * 3) as idle:
        load.wait_for(50)
        wait_until(lambda: len(idle.acknowledged) == 2, "the idle ones have sent theirs")
        begun, rest = begin(exporter, "begun")
        assert exporter.http.get(exporter.admin_url + "/-/healthy", timeout=PATIENCE_SECONDS).status_code == 200
        load.wait_for(10)
        began = time.monotonic()
        exporter.begin_stop()
        wait_until(lambda: not listens(exporter), "it lets nobody in any more")
        begun.send(rest)
        answer = begun.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        answer.read()
        begun.close()
        assert exporter.wait() == 0
        took = time.monotonic() - began
    assert load.refused == []
    assert load.acknowledged | {"begun"} <= stored(exporter)
    assert "Traceback" not in exporter.log()
    return took


def test_a_stop_under_load_answers_what_has_begun_and_loses_nothing(tmp_path: Path) -> None:
    took = []
    for number in range(STOPS * PROOF):
        (tmp_path / str(number)).mkdir()
        with Exporter(tmp_path / str(number)) as exporter:
            took.append(stop_under_load(exporter))
    assert min(took) < PROMISED_SECONDS  # a connection that holds up a stop holds up all of them, a busy machine some


def test_reloads_under_load_lose_nothing_and_cut_no_connection(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter, Load(exporter, 8) as load:
        for number in range(20):
            exporter.config_path.write_text(f"[limits]\nrequest_bytes = {100_000 + number}\n", "utf-8")
            exporter.send_sighup()
            load.wait_for(20)
        assert exporter.admin("/-/reload", "POST").status_code == 200
        load.wait_for(20)
        load.stop()
        assert (load.broken, load.refused) == ([], [])
        assert exporter.log().count('"event": "config_reloaded"') >= 2
        assert stored(exporter) == load.acknowledged


def test_an_interrupt_ends_it_at_once_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        with Load(exporter, 4) as load:
            load.wait_for(50)
            connection, _ = begin(exporter, "half")
            exporter.interrupt()
            assert exporter.wait() == 0
            connection.close()
        assert load.acknowledged <= stored(exporter)
        assert "Traceback" not in exporter.log()


def test_in_development_mode_nothing_is_warned_of(tmp_path: Path) -> None:
    with Exporter(tmp_path, environment={"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "default"}) as exporter:
        with Load(exporter, 4) as load:
            load.wait_for(50)
            exporter.send_sighup()
            exporter.scrape()
            load.wait_for(50)
        assert exporter.terminate() == 0
        assert "Warning" not in exporter.log()
        assert "Traceback" not in exporter.log()
