"""The service behind the listeners: what it says before it knows anything, and while its ledger fails."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from builders import accepted_event, at, event
from exporter.config import loader
from exporter.domain.errors import StoreError
from exporter.ledger.contract import PAGE_SIZE
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.server import read_model, service
from exporter.server.admin import app
from exporter.server.http.messages import Headers, HttpRequest, HttpResponse
from exporter.server.service import Service
from exporter.server.webhook.endpoint import Webhook
from memory_ledger import MemoryLedger
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.loader import Config
    from exporter.domain.events import Event
    from exporter.server.read_model import ProjectionConfig

ON_FIRE = StoreError("the disk is on fire")


class FailingLedger(MemoryLedger):
    """A ledger whose operations fail as the test wants, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[str, Exception] = {}
        self.tried: Counter[str] = Counter()

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        self._try("read")
        return super().read(after, limit)

    def record_heartbeat(self, watch: str, now: float) -> None:
        self._try("beat")
        super().record_heartbeat(watch, now)

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
def made(ledger: FailingLedger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(service, "HEARTBEAT_SECONDS", 0.001)
    monkeypatch.setattr(service, "RETRY_SECONDS", 0.001)
    configured = loader.load(None, {})
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("12:00"))
    yield made
    made.stop()


def scraped(made: Service) -> bytes:
    return b"".join(made.scrape(openmetrics=False).plain_pieces(b""))


def start(made: Service) -> None:
    made.start()
    wait_until(lambda: not made.why_not_ready(), "it has read the ledger")


def test_before_the_ledger_is_read_nothing_is_shown(made: Service) -> None:
    assert made.why_not_ready() == "still reading the ledger"
    with pytest.raises(StoreError, match="still reading the ledger"):
        scraped(made)
    with pytest.raises(StoreError, match="still reading the ledger"):
        made.list_states(at("12:00"))


def test_a_ledger_that_cannot_be_read_at_the_start_is_tried_until_it_can(made: Service, ledger: FailingLedger) -> None:
    ledger.append([accepted_event(event("completed", at("11:00"), source="default"))])
    ledger.failing["read"] = ON_FIRE
    made.start()
    wait_until(lambda: ledger.tried["read"] > 3, "it tries again")
    assert made.why_not_ready() == "still reading the ledger"
    del ledger.failing["read"]
    wait_until(lambda: not made.why_not_ready(), "it has read the ledger")
    assert b'dataexport_completed_total{data_type="events",export="any"' in scraped(made)


def test_it_can_be_stopped_while_the_ledger_cannot_be_read(made: Service, ledger: FailingLedger) -> None:
    ledger.failing["read"] = ON_FIRE
    made.start()
    wait_until(lambda: ledger.tried["read"] > 3, "it tries again")
    made.stop()
    assert made.why_not_ready() == "still reading the ledger"


class Endless(FailingLedger):
    """A ledger that takes as long to read as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        found = super().read(after, limit)
        self.released.wait()
        return found


def test_a_stop_does_not_wait_until_the_ledger_is_read() -> None:
    configured, ledger = loader.load(None, {}), Endless()
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("12:00"))
    made.start()
    wait_until(lambda: ledger.tried["read"] > 0, "it reads")
    made.stop()
    assert made.why_not_ready() == "still reading the ledger"
    ledger.released.set()


class Rush(FailingLedger):
    """A ledger that says of itself, at each look, that as many more events came as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0
        self.said = 0

    def last_sequence(self) -> int:
        self.tried["last_sequence"] += 1
        self.said += self.more
        return self.said


def test_in_a_rush_webhooks_go_first_and_the_checkpoint_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAINTENANCE_SECONDS", 0.001)
    configured, ledger = loader.load(None, {}), Rush()
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("12:00"))

    def revision() -> int:
        kept = ledger.checkpoints.load_header()
        return kept.revision if kept else 0

    start(made)
    wait_until(lambda: revision() == 1, "the first checkpoint is written")
    ledger.more = read_model.BUSY_EVENTS + 1
    before = ledger.tried["last_sequence"]
    wait_until(lambda: ledger.tried["last_sequence"] > before + 20, "it looks again and again")
    assert revision() == 1
    ledger.more = 0
    wait_until(lambda: revision() > 1, "once fewer events come, it is written")
    made.stop()


def old_events(configured: Config, each: int) -> list[Event]:
    """Of two exports, past their retention at 0:00."""
    first = at("0:00") - 2 * configured.retention
    return [
        event("completed", first + n, source="default", partner=partner)
        for partner in ("Amazon S3", "Azure")
        for n in range(each)
    ]


def test_what_is_past_its_retention_goes_soon_after_a_start_and_is_not_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "HEARTBEAT_SECONDS", 3600)  # which looks whether others have pruned
    configured, ledger = loader.load(None, {}), MemoryLedger()
    ledger.append([accepted_event(each) for each in old_events(configured, 80)])
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("0:00"))

    def completed() -> list[bytes]:
        return [line for line in scraped(made).splitlines() if line.startswith(b"dataexport_completed_total{")]

    start(made)
    before = completed()
    assert [line.endswith(b" 80.0") for line in before] == [True, True]
    wait_until(
        lambda: ledger.checkpoints.pruning_state().pruned_events == 2 * (80 - UNCOMPACTED_EVENTS), "it has pruned"
    )
    wait_until(lambda: made.intake.retention == configured.retention, "what is older is refused")
    assert completed() == before
    made.stop()
    assert len(ledger.read(0)) == 2 * UNCOMPACTED_EVENTS
    assert made.process_metrics.registry.get_sample_value("dataexport_store_pruned_total") == 2 * (
        80 - UNCOMPACTED_EVENTS
    )


def test_what_is_pruned_during_a_reload_is_refused_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "HEARTBEAT_SECONDS", 3600)  # which looks whether others have pruned
    configured, ledger = loader.load(None, {}), MemoryLedger()
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("0:00"))
    start(made)
    model = made._model  # noqa: SLF001 - what happens in it meanwhile is the test's
    take, before = model.reconfigure, made.intake

    def taken(scope: ProjectionConfig, now: float) -> None:
        ledger.append([accepted_event(each) for each in old_events(configured, 80)])
        made._pruned_at = 0  # noqa: SLF001 - an hour has passed since
        made._prune()  # noqa: SLF001 - as its thread does
        take(scope, now)

    monkeypatch.setattr(model, "reconfigure", taken)
    assert made.reload() == ()
    assert ledger.checkpoints.pruning_state().pruned_events > 0
    assert made.intake is not before
    assert made.intake.retention == configured.retention
    made.stop()


def test_a_stop_does_not_wait_until_all_that_is_old_is_pruned() -> None:
    configured, ledger = loader.load(None, {}), MemoryLedger()
    ledger.append([accepted_event(each) for each in old_events(configured, 80)])
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("0:00"))
    prune, stopping = ledger.checkpoints.prune, threading.Thread(target=made.stop)

    def pruned(*arguments: object) -> bool:
        ledger.checkpoints.prune = prune  # type: ignore[method-assign]
        stopping.start()
        wait_until(made._stopping.is_set, "the stop has begun")  # noqa: SLF001 - it waits for this to end
        return prune(*arguments)  # type: ignore[arg-type]

    ledger.checkpoints.prune = pruned  # type: ignore[assignment,method-assign]
    made.start()
    wait_until(lambda: ledger.checkpoints.pruning_state().revision > 0, "it has pruned one export")
    stopping.join()
    assert ledger.checkpoints.pruning_state().pruned_events == 80 - UNCOMPACTED_EVENTS


def test_a_failure_to_prune_ends_neither_the_checkpoints_nor_the_service(
    made: Service, ledger: FailingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAINTENANCE_SECONDS", 0.001)
    failed = threading.Event()

    def failing(*_: object) -> bool:
        failed.set()
        raise ON_FIRE

    ledger.checkpoints.prune_quarantine = failing  # type: ignore[method-assign,assignment]
    start(made)
    wait_until(failed.is_set, "it has tried to prune")
    before = ledger.tried["last_sequence"]
    wait_until(lambda: ledger.tried["last_sequence"] > before + 3, "it looks whether a checkpoint is due")
    assert made.why_not_ready() == ""


def test_a_start_without_a_heartbeat_is_none(made: Service, ledger: FailingLedger) -> None:
    ledger.failing["beat"] = ON_FIRE
    with pytest.raises(StoreError, match="the disk is on fire"):
        made.start()


def test_a_ledger_put_in_place_of_a_lost_one_is_told_what_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an export that never runs would be due an interval from now, at any time."""
    monkeypatch.setattr(service, "HEARTBEAT_SECONDS", 0.001)
    toml = tmp_path / "dataexport.toml"
    toml.write_text('[[exports]]\nname = "nightly"\ninterval = "24h"\nmatch = { partner = "S3" }\n', "utf-8")
    configured = loader.load(toml, {})
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    SqlLedger(f"sqlite:///{tmp_path}/other.db").close()
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("12:00"))
    start(made)
    before = ledger.ledger_id()
    (tmp_path / "other.db").replace(tmp_path / "ledger.db")

    def declared_anew() -> bool:
        with suppress(StoreError):
            return ledger.ledger_id() != before and ledger.declaration_times() == {("default", "nightly"): at("12:00")}
        return False

    wait_until(declared_anew, "the export to be declared in the other ledger")
    made.stop()


def test_a_heartbeat_that_fails_is_followed_by_the_next(made: Service, ledger: FailingLedger) -> None:
    start(made)
    ledger.failing["beat"] = ON_FIRE
    tried = ledger.tried["beat"]
    wait_until(lambda: ledger.tried["beat"] > tried + 3, "the heart goes on")
    del ledger.failing["beat"]
    assert not made.why_not_ready()


def test_while_the_ledger_fails_it_is_not_ready_and_recovers_by_itself(made: Service, ledger: FailingLedger) -> None:
    start(made)
    ledger.failing |= {"read": ON_FIRE, "last_sequence": ON_FIRE}
    assert made.why_not_ready() == "the store does not answer: the disk is on fire"
    with pytest.raises(StoreError, match="the disk is on fire"):
        scraped(made)
    ledger.failing.clear()
    assert made.why_not_ready() == ""
    assert scraped(made)


def test_a_reload_does_not_count_again_what_was_dropped(ledger: FailingLedger) -> None:
    limits = [1]

    def configured() -> loader.Config:
        return loader.load(None, {"DATAEXPORT_EXPORTS_PER_SOURCE": str(limits[-1])})

    made = Service(configured(), configured, ledger, ProcessMetrics(), now=lambda: at("12:00"))
    for partner in ("first", "second", "third"):
        ledger.append([accepted_event(event("completed", at("11:00"), source="default", partner=partner))])
    start(made)

    def dropped() -> float | None:
        scraped(made)
        return made.process_metrics.registry.get_sample_value("dataexport_series_dropped_total")

    each = 24
    assert dropped() == 2 * each
    assert made.reload() == ()
    assert dropped() == 2 * each
    ledger.append([accepted_event(event("completed", at("11:00"), source="default", partner="fourth"))])
    assert dropped() == 3 * each
    limits.append(2)  # the second is shown again
    assert made.reload() == ()
    assert dropped() == 3 * each
    assert made.process_metrics.registry.get_sample_value("dataexport_exports_per_source_limit") == 2
    limits.append(1)
    assert made.reload() == ()
    assert dropped() == 4 * each
    assert made.process_metrics.registry.get_sample_value("dataexport_exports_per_source_limit") == 1
    made.stop()


def test_what_nobody_thought_of_is_a_problem_document_without_its_details(made: Service, ledger: FailingLedger) -> None:
    start(made)
    ledger.failing |= dict.fromkeys(("read", "last_sequence"), RuntimeError("canary"))
    client = app.create_app(made).test_client()
    for path in ("/-/ready", "/metrics", "/"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert answer.mimetype == "application/problem+json"
        assert "canary" not in answer.text


def test_requests_are_counted_by_configured_source_or_as_unknown(made: Service) -> None:
    webhook = Webhook(made)
    for source, status in (("default", 200), ("a-stranger-made-this-up", 404)):
        path = f"/webhooks/clevertap/{source}".encode()
        request = HttpRequest("POST", path, Headers(()), "127.0.0.1", "http", 0, "127.0.0.1")
        webhook.on_headers(request)
        webhook.on_response(request, HttpResponse(status, b"", ()))

    def value(name: str, **labels: str) -> float | None:
        return made.process_metrics.registry.get_sample_value(f"dataexport_webhook_{name}", labels)

    assert value("requests_total", source="default", code="200") == 1
    assert value("requests_total", source="unknown", code="404") == 1
    assert value("request_duration_seconds_count", source="default") == 1
    assert value("request_duration_seconds_count", source="unknown") == 1
    assert value("requests_total", source="a-stranger-made-this-up", code="404") is None
