"""The service behind the listeners: before it has caught up, while its ledger fails, and on a reload."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from builders import accepted_event, at, event
from clocks import FakeMachine
from exporter.config import loader
from exporter.domain.epochs import GIVEN
from exporter.domain.errors import StoreError
from exporter.ledger.contract import PAGE_SIZE
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.server import background, read_model
from exporter.server.admin import app
from exporter.server.background import STEADY_SECONDS
from exporter.server.http.messages import Headers, HttpRequest, HttpResponse
from exporter.server.http.wsgi import HTTP_REQUEST
from exporter.server.service import Service
from exporter.server.webhook.endpoint import Webhook
from memory_ledger import MemoryLedger
from running import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.loader import Config
    from exporter.domain.epochs import Epoch
    from exporter.domain.events import Event
    from exporter.server.read_model import ProjectionConfig

ON_FIRE = StoreError("the disk is on fire")


class FailingLedger(MemoryLedger):
    """A ledger that counts its operations, and fails those in ``failing``."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[str, Exception] = {}
        self.tried: Counter[str] = Counter()

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        self._try("read")
        return super().read(after, limit)

    def record_heartbeat(self, instance_id: str, now: float, epoch: Epoch = GIVEN) -> None:
        self._try("record_heartbeat")
        super().record_heartbeat(instance_id, now, epoch)

    def last_sequence(self) -> int:
        self._try("last_sequence")
        return super().last_sequence()

    def _try(self, operation: str) -> None:
        self.tried[operation] += 1
        if operation in self.failing:
            raise self.failing[operation]


@pytest.fixture
def ledger() -> FailingLedger:
    return FailingLedger()


@pytest.fixture
def service(ledger: FailingLedger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 0.001)
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.001)
    config = loader.load(None, {})
    machine = FakeMachine(at("12:00"))
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=machine)
    machine.pass_time(STEADY_SECONDS)
    yield service
    service.stop()


def scraped(service: Service) -> bytes:
    return b"".join(service.scrape(openmetrics=False).plain_pieces(b""))


def start(service: Service) -> None:
    service.start()
    wait_until(lambda: not service.why_not_ready(), "it has read the ledger")


def test_before_the_ledger_is_read_nothing_is_shown(service: Service) -> None:
    assert service.why_not_ready() == "still reading the ledger"
    with pytest.raises(StoreError, match="still reading the ledger"):
        scraped(service)
    with pytest.raises(StoreError, match="still reading the ledger"):
        service.list_states(at("12:00"))


def test_a_ledger_that_cannot_be_read_at_the_start_is_tried_until_it_can(
    service: Service, ledger: FailingLedger
) -> None:
    ledger.append([accepted_event(event("completed", at("11:00"), source="default"))])
    ledger.failing["read"] = ON_FIRE
    service.start()
    wait_until(lambda: ledger.tried["read"] > 3, "it tries again")
    assert service.why_not_ready() == "still reading the ledger"
    del ledger.failing["read"]
    wait_until(lambda: not service.why_not_ready(), "it has read the ledger")
    assert b'dataexport_completed_total{data_type="events",export="any"' in scraped(service)


def test_it_can_be_stopped_while_the_ledger_cannot_be_read(service: Service, ledger: FailingLedger) -> None:
    ledger.failing["read"] = ON_FIRE
    service.start()
    wait_until(lambda: ledger.tried["read"] > 3, "it tries again")
    service.stop()
    assert service.why_not_ready() == "still reading the ledger"


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
        assert service.why_not_ready() == "still reading the ledger"
        ledger.failing["read"] = ON_FIRE  # as a closed ledger does
        ledger.released.set()
        for thread in service._background._threads:  # noqa: SLF001 - the stop leaves them to end with the process
            thread.join()
    assert ledger.tried["read"] == 1
    assert logs == []


class Rush(FailingLedger):
    """A ledger that reports ``more`` new events at each look."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0
        self.sequence = 0

    def last_sequence(self) -> int:
        self.tried["last_sequence"] += 1
        self.sequence += self.more
        return self.sequence


def test_in_a_rush_webhooks_go_first_and_the_checkpoint_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MAINTENANCE_SECONDS", 0.001)
    config, ledger = loader.load(None, {}), Rush()
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=FakeMachine(at("12:00")))

    def revision() -> int:
        checkpoint = ledger.checkpoints.load_header()
        return checkpoint.revision if checkpoint else 0

    start(service)
    wait_until(lambda: revision() == 1, "the first checkpoint is written")
    ledger.more = read_model.BUSY_EVENTS + 1
    before = ledger.tried["last_sequence"]
    wait_until(lambda: ledger.tried["last_sequence"] > before + 20, "it looks again and again")
    assert revision() == 1
    ledger.more = 0
    wait_until(lambda: revision() > 1, "once fewer events come, it is written")
    service.stop()


def old_events(config: Config, count: int) -> list[Event]:
    """Make events of two exports that are past their retention at 0:00."""
    first = at("0:00") - 2 * config.retention
    return [
        event("completed", first + n, source="default", partner=partner)
        for partner in ("Amazon S3", "Azure")
        for n in range(count)
    ]


def test_what_is_past_its_retention_goes_soon_after_a_start_and_is_not_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 3600)  # which looks whether others have pruned
    config, ledger, machine = loader.load(None, {}), MemoryLedger(), FakeMachine(at("0:00") - STEADY_SECONDS)
    ledger.append([accepted_event(each) for each in old_events(config, 80)])
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=machine)
    machine.pass_time(STEADY_SECONDS)

    def completed() -> list[bytes]:
        return [line for line in scraped(service).splitlines() if line.startswith(b"dataexport_completed_total{")]

    start(service)
    before = completed()
    assert [line.endswith(b" 80.0") for line in before] == [True, True]
    wait_until(
        lambda: ledger.checkpoints.pruning_state().pruned_events == 2 * (80 - UNCOMPACTED_EVENTS), "it has pruned"
    )
    wait_until(lambda: service.intake.retention == config.retention, "what is older is refused")
    assert completed() == before
    service.stop()
    assert len(ledger.read(0)) == 2 * UNCOMPACTED_EVENTS
    assert service.process_metrics.registry.get_sample_value("dataexport_store_pruned_total") == 2 * (
        80 - UNCOMPACTED_EVENTS
    )


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


def test_what_is_pruned_during_a_reload_is_refused_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 3600)  # which looks whether others have pruned
    config, ledger, machine = loader.load(None, {}), MemoryLedger(), FakeMachine(at("0:00") - STEADY_SECONDS)
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=machine)
    machine.pass_time(STEADY_SECONDS)
    start(service)
    model, work = service._model, service._background  # noqa: SLF001 - to prune at one exact moment
    reconfigure, before = model.reconfigure, service.intake

    def prune_and_reconfigure(new: ProjectionConfig, now: float) -> None:
        ledger.append([accepted_event(each) for each in old_events(config, 80)])
        work._pruned_at = 0  # noqa: SLF001 - as if an hour had passed
        work._prune()  # noqa: SLF001 - as its thread does
        reconfigure(new, now)

    monkeypatch.setattr(model, "reconfigure", prune_and_reconfigure)
    assert service.reload() == ()
    assert ledger.checkpoints.pruning_state().pruned_events > 0
    assert service.intake is not before
    assert service.intake.retention == config.retention
    service.stop()


def test_a_stop_does_not_wait_until_all_that_is_old_is_pruned() -> None:
    config, ledger, machine = loader.load(None, {}), MemoryLedger(), FakeMachine(at("0:00") - STEADY_SECONDS)
    ledger.append([accepted_event(each) for each in old_events(config, 80)])
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=machine)
    machine.pass_time(STEADY_SECONDS)
    prune, stopping = ledger.checkpoints.prune, threading.Thread(target=service.stop)

    def pruned(*arguments: object) -> bool:
        ledger.checkpoints.prune = prune  # type: ignore[method-assign]
        stopping.start()
        wait_until(service._background._stopping.is_set, "the stop has begun")  # noqa: SLF001 - it waits for this thread
        return prune(*arguments)  # type: ignore[arg-type]

    ledger.checkpoints.prune = pruned  # type: ignore[assignment,method-assign]
    service.start()
    wait_until(lambda: ledger.checkpoints.pruning_state().revision > 0, "it has pruned one export")
    stopping.join()
    assert ledger.checkpoints.pruning_state().pruned_events == 80 - UNCOMPACTED_EVENTS


def test_a_failure_to_prune_ends_neither_the_checkpoints_nor_the_service(
    service: Service, ledger: FailingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MAINTENANCE_SECONDS", 0.001)
    failed = threading.Event()

    def failing(*_: object) -> bool:
        failed.set()
        raise ON_FIRE

    ledger.checkpoints.prune_quarantine = failing  # type: ignore[method-assign,assignment]
    start(service)
    wait_until(failed.is_set, "it has tried to prune")
    before = ledger.tried["last_sequence"]
    wait_until(lambda: ledger.tried["last_sequence"] > before + 3, "it looks whether a checkpoint is due")
    assert service.why_not_ready() is None


def test_a_start_without_a_heartbeat_is_none(service: Service, ledger: FailingLedger) -> None:
    ledger.failing["record_heartbeat"] = ON_FIRE
    with pytest.raises(StoreError, match="the disk is on fire"):
        service.start()


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


def test_a_heartbeat_that_fails_is_followed_by_the_next(service: Service, ledger: FailingLedger) -> None:
    start(service)
    ledger.failing["record_heartbeat"] = ON_FIRE
    tried = ledger.tried["record_heartbeat"]
    wait_until(lambda: ledger.tried["record_heartbeat"] > tried + 3, "it sends further heartbeats")
    del ledger.failing["record_heartbeat"]
    assert not service.why_not_ready()


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


def test_a_failure_to_date_events_again_is_logged_and_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MAINTENANCE_SECONDS", 0.001)

    def redate() -> None:
        raise ON_FIRE

    monkeypatch.setattr(service._timekeeper, "redate", redate)  # noqa: SLF001 - to fail
    with capture_logs() as logs:
        start(service)
        wait_until(lambda: any(each["event"] == "redating_failed" for each in logs), "it is logged")
    assert service.why_not_ready() is None


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
