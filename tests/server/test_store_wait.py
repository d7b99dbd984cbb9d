"""The start waits for a database server that is away, and answers the probes of the admin listener meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import requests
import structlog

from exporter.config.values import Address
from exporter.domain.errors import StoreRefusedError, StoreUnreachableError
from exporter.server import store_wait
from exporter.server.store_wait import wait_for_store
from ports import free_port
from postgres import PASSWORD, PgBouncer, Postgres
from running import Exporter, wait_until

if TYPE_CHECKING:
    from pathlib import Path

_REFUSED = StoreUnreachableError("connection refused")
_OF_ANOTHER_RELEASE = StoreRefusedError("another release wrote it")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_wait, "RETRY_SECONDS", 0.01)


def test_it_is_healthy_but_not_ready_until_the_store_answers() -> None:
    address = Address("127.0.0.1", free_port())
    answers: list[tuple[str, int]] = []

    def open_store() -> None:
        if not answers:
            answers.append(("", 0))
            raise _REFUSED
        paths = ("/-/healthy", "/-/ready", "/metrics")
        answers.extend((path, requests.get(f"http://{address}{path}", timeout=60).status_code) for path in paths)

    before = signal.getsignal(signal.SIGTERM)
    with structlog.testing.capture_logs() as logs:
        wait_for_store(open_store, address)
    assert answers[1:] == [("/-/healthy", 200), ("/-/ready", 503), ("/metrics", 503)]
    assert logs == [{"event": "store_unreachable", "log_level": "warning", "error": "connection refused"}]
    assert signal.getsignal(signal.SIGTERM) == before
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{address}/-/healthy", timeout=60)


def test_an_unchanged_reason_is_logged_once_a_minute_and_another_at_once() -> None:
    reasons = iter([*["refused"] * 61, "no such host"])

    def open_store() -> None:
        for reason in reasons:
            raise StoreUnreachableError(reason)

    with structlog.testing.capture_logs() as logs:
        wait_for_store(open_store, Address("::1", free_port()))
    assert [each["error"] for each in logs] == ["refused", "refused", "no such host"]


def test_what_a_server_refuses_is_not_waited_for() -> None:
    def open_store() -> None:
        raise _OF_ANOTHER_RELEASE

    with pytest.raises(StoreRefusedError):
        wait_for_store(open_store, Address("127.0.0.1", free_port()))


def test_sigterm_ends_the_wait_and_sighup_does_not() -> None:
    def open_store() -> None:
        raise _REFUSED

    def signal_when_waiting() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, "the wait")
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=signal_when_waiting)
    thread.start()
    with structlog.testing.capture_logs(), pytest.raises(SystemExit) as ended:
        wait_for_store(open_store, Address("127.0.0.1", free_port()))
    thread.join()
    assert ended.value.code == 0


@pytest.mark.proof
@pytest.mark.parametrize("pooled", [False, True])
def test_an_exporter_that_started_before_its_database_serves_once_that_is_there(
    tmp_path: Path, *, pooled: bool
) -> None:
    with Postgres() as server, PgBouncer(server.port, {"server_login_retry": 1}) as pooler:
        server.stop()
        url = (pooler if pooled else server).url()
        exporter = Exporter(tmp_path, environment={"DATAEXPORT_STORE_URL": url}, shipped_limits=True)
        exporter.launch()
        try:
            wait_until(lambda: "store_unreachable" in exporter.log(), "the wait")
            wait_until(lambda: _status(exporter, "/-/healthy") == 200, "health")
            assert _status(exporter, "/-/ready") == 503
            assert "not ready" in exporter.run("healthcheck").stderr
            server.start()
            wait_until(lambda: _status(exporter, "/-/ready") == 200, "readiness")
            assert PASSWORD not in exporter.log()
        finally:
            exporter.__exit__()


def _status(exporter: Exporter, path: str) -> int:
    try:
        return exporter.admin(path).status_code
    except requests.ConnectionError:
        return 0
