"""The service behind the listeners: before it has caught up, while its ledger fails, and on a reload."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

import services
from builders import accepted_event, at, event
from clocks import FakeMachine
from exporter.config import loader
from exporter.domain.errors import StoreError
from exporter.ledger.contract import PAGE_SIZE
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server import background
from exporter.server.admin import app
from exporter.server.http.messages import Headers, HttpRequest, HttpResponse
from exporter.server.http.wsgi import HTTP_REQUEST
from exporter.server.service import Service
from exporter.server.webhook.endpoint import Webhook
from running import PATIENCE_SECONDS, wait_until
from services import ON_FIRE, FailingLedger, scraped, start

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config.loader import Config
    from exporter.domain.events import Event

ledger, service = services.ledger, services.service


def test_before_the_ledger_is_read_nothing_is_shown(service: Service) -> None:
    assert service.why_not_ready() == "still reading the store"
    with pytest.raises(StoreError, match="still reading the store"):
        scraped(service)
    with pytest.raises(StoreError, match="still reading the store"):
        service.list_states(at("12:00"))


def test_before_the_checks_of_landings_are_read_nothing_is_shown(service: Service) -> None:
    start(service)
    service.landings.is_ready = False
    with pytest.raises(StoreError, match="still reading the store"):
        scraped(service)


def test_a_reload_before_the_ledger_is_read_leaves_the_landings_to_the_start(service: Service) -> None:
    assert service.reload() == ()
    start(service)
    assert service.why_not_ready() is None


def test_a_ledger_that_cannot_be_read_at_the_start_is_tried_until_it_can(
    service: Service, ledger: FailingLedger
) -> None:
    ledger.append([accepted_event(event("completed", at("11:00"), source="default"))])
    ledger.failing["read"] = ON_FIRE
    service.start()
    wait_until(lambda: ledger.tried["read"] > 3, "it tries again")
    assert service.why_not_ready() == "still reading the store"
    del ledger.failing["read"]
    wait_until(lambda: not service.why_not_ready(), "it has read the ledger")
    assert b'dataexport_completed_total{data_type="events",export="any"' in scraped(service)


def test_it_can_be_stopped_while_the_ledger_cannot_be_read(service: Service, ledger: FailingLedger) -> None:
    ledger.failing["read"] = ON_FIRE
    service.start()
    wait_until(lambda: ledger.tried["read"] > 3, "it tries again")
    service.stop()
    assert service.why_not_ready() == "still reading the store"


class Endless(FailingLedger):
    """A ledger whose reads end once ``released`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.released = threading.Event()

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        self.reading.set()
        self.released.wait()
        return super().read(after, limit)


def test_a_stop_neither_waits_until_the_ledger_is_read_nor_reports_that_it_was_closed() -> None:
    config, ledger = loader.load(None, {}), Endless()
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=FakeMachine(at("12:00")))
    service.start()
    wait_until(ledger.reading.is_set, "it reads")
    with capture_logs() as logs:
        service.stop()
        assert service.why_not_ready() == "still reading the store"
        ledger.failing["read"] = ON_FIRE  # as a closed ledger does
        ledger.released.set()
        for thread in service._background._threads:  # noqa: SLF001 - the stop leaves them to end with the process
            thread.join()
    assert ledger.tried["read"] == 1
    assert logs == []


class Numbers:
    """Counts how often a number was drawn."""

    def __init__(self) -> None:
        self.drawn = 0
        self._lock = threading.Lock()

    def __next__(self) -> int:
        with self._lock:
            self.drawn += 1
            return self.drawn


def test_reloads_that_wait_for_another_share_the_next_one(
    ledger: FailingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = loader.load(None, {})
    may_end, reads = threading.Event(), []

    def read_config() -> Config:
        reads.append(1)
        assert may_end.wait(PATIENCE_SECONDS)
        return config

    service = Service(config, read_config, ledger, ProcessMetrics(), machine=FakeMachine(at("12:00")))
    requests = Numbers()
    monkeypatch.setattr(service, "_reload_requests", requests)
    start(service)
    with ThreadPoolExecutor(20) as threads:
        reloads = [threads.submit(service.reload) for _ in range(20)]
        wait_until(lambda: requests.drawn == 21, "one reload has begun, and 19 wait")
        may_end.set()
        assert {each.result() for each in reloads} == {()}
    assert len(reads) == 2
    service.stop()


def test_a_ledger_put_in_place_of_a_lost_one_is_told_what_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an export that never runs would be due an interval from now, at any time."""
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 0.001)
    toml = tmp_path / "dataexport.toml"
    toml.write_text('[[exports]]\nname = "nightly"\ninterval = "24h"\nmatch = { partner = "S3" }\n', "utf-8")
    config = loader.load(toml, {})
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    SqlLedger(f"sqlite:///{tmp_path}/other.db").close()
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=FakeMachine(at("12:00")))
    start(service)
    before = ledger.ledger_id()
    (tmp_path / "other.db").replace(tmp_path / "ledger.db")

    def declared_anew() -> bool:
        with suppress(StoreError):
            return ledger.ledger_id() != before and set(ledger.declaration_times()) == {
                ("default", ""),
                ("default", "nightly"),
            }
        return False

    wait_until(declared_anew, "the export to be declared in the other ledger")
    service.stop()


def test_while_the_ledger_fails_it_is_not_ready_and_recovers_by_itself(service: Service, ledger: FailingLedger) -> None:
    start(service)
    ledger.failing |= {"read": ON_FIRE, "last_sequence": ON_FIRE}
    assert service.why_not_ready() == "the store does not answer: the disk is on fire"
    with pytest.raises(StoreError, match="the disk is on fire"):
        scraped(service)
    ledger.failing.clear()
    assert service.why_not_ready() is None
    assert scraped(service)


def test_a_reload_does_not_count_again_what_was_dropped(ledger: FailingLedger) -> None:
    limits = [1]

    def configured() -> loader.Config:
        return loader.load(None, {"DATAEXPORT_EXPORTS_PER_SOURCE": str(limits[-1])})

    service = Service(configured(), configured, ledger, ProcessMetrics(), machine=FakeMachine(at("12:00")))
    for partner in ("first", "second", "third"):
        ledger.append([accepted_event(event("completed", at("11:00"), source="default", partner=partner))])
    start(service)

    def dropped() -> float | None:
        scraped(service)
        return service.process_metrics.registry.get_sample_value("dataexport_series_dropped_total")

    each = 28
    assert dropped() == 2 * each
    assert service.reload() == ()
    assert dropped() == 2 * each
    ledger.append([accepted_event(event("completed", at("11:00"), source="default", partner="fourth"))])
    assert dropped() == 3 * each
    limits.append(2)  # the second is shown again
    assert service.reload() == ()
    assert dropped() == 3 * each
    assert service.process_metrics.registry.get_sample_value("dataexport_exports_per_source_limit") == 2
    limits.append(1)
    assert service.reload() == ()
    assert dropped() == 4 * each
    assert service.process_metrics.registry.get_sample_value("dataexport_exports_per_source_limit") == 1
    service.stop()


def test_what_nobody_thought_of_is_a_problem_document_without_its_details(
    service: Service, ledger: FailingLedger
) -> None:
    start(service)
    ledger.failing |= dict.fromkeys(("read", "last_sequence"), RuntimeError("canary"))
    client = app.create_app(service).test_client()
    for path in ("/-/ready", "/metrics", "/"):
        request = HttpRequest("GET", path.encode(), Headers(()), "127.0.0.1", "http", 0, "127.0.0.1")
        answer = client.get(path, environ_overrides={HTTP_REQUEST: request})
        assert answer.status_code == 500
        assert answer.mimetype == "application/problem+json"
        assert "canary" not in answer.text


def test_requests_are_counted_by_configured_source_or_as_unknown(service: Service) -> None:
    webhook = Webhook(service, lambda _request, _response: None)
    for source, status in (("default", 200), ("a-stranger-service-this-up", 404)):
        path = f"/webhooks/clevertap/{source}".encode()
        request = HttpRequest("POST", path, Headers(()), "127.0.0.1", "http", 0, "127.0.0.1")
        webhook.on_headers(request)
        webhook.on_response(request, HttpResponse(status, b"", ()))

    def value(name: str, **labels: str) -> float | None:
        return service.process_metrics.registry.get_sample_value(f"dataexport_webhook_{name}", labels)

    assert value("requests_total", source="default", code="200") == 1
    assert value("requests_total", source="unknown", code="404") == 1
    assert value("request_duration_seconds_count", source="default") == 1
    assert value("request_duration_seconds_count", source="unknown") == 1
    assert value("requests_total", source="a-stranger-service-this-up", code="404") is None


def test_a_backup_shows_without_a_restart_and_after_one(service: Service, ledger: FailingLedger) -> None:
    start(service)
    assert backup_time(service) == 0
    ledger.record_backup(at("11:00"))
    wait_until(lambda: backup_time(service) == at("11:00"), "a heartbeat reads it")
    again = Service(service.config, lambda: service.config, ledger, ProcessMetrics(), machine=FakeMachine(at("12:00")))
    again.start()
    assert backup_time(again) == at("11:00")
    again.stop()


def backup_time(service: Service) -> float | None:
    registry = service.process_metrics.registry
    return registry.get_sample_value("dataexport_backup_last_success_timestamp_seconds")
