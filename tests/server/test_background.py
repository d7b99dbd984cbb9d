"""The work of the service beside requests: heartbeats, checkpoints, and pruning."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

import services
from builders import accepted_event, at, event
from clocks import FakeMachine
from exporter.config import loader
from exporter.domain.errors import StoreError
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.server import background, read_model
from exporter.server.background import STEADY_SECONDS
from exporter.server.service import Service
from memory_ledger import MemoryLedger
from running import wait_until
from services import ON_FIRE, FailingLedger, scraped, start

if TYPE_CHECKING:
    from exporter.config.loader import Config
    from exporter.domain.events import Event
    from exporter.server.read_model import ProjectionConfig


ledger, service = services.ledger, services.service


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


def test_a_heartbeat_that_fails_is_followed_by_the_next(service: Service, ledger: FailingLedger) -> None:
    start(service)
    ledger.failing["record_heartbeat"] = ON_FIRE
    tried = ledger.tried["record_heartbeat"]
    wait_until(lambda: ledger.tried["record_heartbeat"] > tried + 3, "it sends further heartbeats")
    del ledger.failing["record_heartbeat"]
    assert not service.why_not_ready()


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
