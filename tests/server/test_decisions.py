"""Decisions that a running service makes: what its next scrape shows of them, and that a repeated one is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, accepted_event, at, body, event
from clocks import FakeMachine
from exporter.config import loader
from exporter.domain.decision_rules import Author, MuteEnd
from exporter.domain.errors import NoSuchExportError, StoreError
from exporter.domain.events import QuarantinedBody
from exporter.domain.exports import ExportKey
from exporter.ingest.replay import QuarantineSelection
from exporter.ledger.contract import AcceptedEvent
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.service import Service
from memory_ledger import MemoryLedger
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ANN = Author("Ann", "bucket is moved")
NOW = at("12:00")
KEY = ExportKey("default", "group", "any", "amazon s3", "events", "4h")


@pytest.fixture
def service() -> Iterator[Service]:
    config = loader.load(None, {})
    ledger = MemoryLedger()
    ledger.append([accepted_event(event("completed", at("11:00"), source="default"))])
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=FakeMachine(NOW))
    yield service
    service.stop()


def start(service: Service) -> None:
    service.start()
    wait_until(lambda: not service.why_not_ready(), "it has read the ledger")


def is_muted(service: Service) -> bool:
    text = b"".join(service.scrape(openmetrics=False).plain_pieces(b"")).decode()
    (line,) = [line for line in text.splitlines() if line.startswith("dataexport_muted{")]
    return float(line.rpartition(" ")[2]) == 1


def test_nothing_is_decided_before_the_ledger_is_read(service: Service) -> None:
    with pytest.raises(StoreError, match="still reading the ledger"):
        service.find_key(KEY.id)
    with pytest.raises(StoreError, match="still reading the ledger"):
        service.decisions.retire(KEY, ANN)
    assert service.ledger.decisions() == []


def test_a_mute_is_in_the_next_scrape_and_recorded_once(service: Service) -> None:
    start(service)
    key = service.find_key(KEY.id)
    assert key == KEY
    with ThreadPoolExecutor(4) as threads:
        decided = [
            future.result()
            for future in [
                threads.submit(service.decisions.mute, key, MuteEnd(NOW + HOUR, float(HOUR)), ANN) for _ in range(8)
            ]
        ]
    assert sum(each.is_new for each in decided) == 1
    assert {each.decision.until for each in decided} == {NOW + HOUR}
    assert len(service.ledger.decisions()) == 1
    assert is_muted(service)
    service.decisions.unmute(key, ANN)
    assert not is_muted(service)


def test_a_retired_export_is_found_for_the_decision_to_restore_it(service: Service) -> None:
    start(service)
    assert service.decisions.retire(KEY, ANN).is_new
    assert not service.decisions.retire(KEY, ANN).is_new
    assert service.list_states(service.now())[0] == []
    service.decisions.unretire(service.find_key(KEY.id), ANN)
    assert [state.key for state in service.list_states(service.now())[0]] == [KEY]


def test_an_export_that_does_not_exist_is_not_decided_about(service: Service) -> None:
    start(service)
    with pytest.raises(NoSuchExportError):
        service.find_key("0123456789abcdef")
    with pytest.raises(NoSuchExportError):
        service.decisions.retire(KEY._replace(partner="elsewhere"), ANN)


def test_the_quarantine_is_replayed_page_by_page_after_a_preview(service: Service) -> None:
    start(service)
    for number in range(4):
        content = body(request_id=number) if number % 2 else b"{}"
        source = "default" if number < 3 else "not-configured"
        service.ledger.append([QuarantinedBody(source, NOW - 60, "bad_date", "", content, bytes([number]) * 16)])
    everything = QuarantineSelection()
    preview = service.replay_quarantine(everything, 0, 100, dry_run=True)
    assert [isinstance(each.entry, AcceptedEvent) for each in preview.bodies] == [False, True, False]
    assert preview.next_after is None
    assert len(service.ledger.quarantine()) == 4
    first = service.replay_quarantine(everything, 0, 2, dry_run=False)
    assert (len(first.bodies), first.next_after) == (2, 2)
    rest = service.replay_quarantine(everything, 2, 3, dry_run=False)
    assert (len(rest.bodies), rest.next_after) == (1, None)
    assert [each.sequence for each in service.ledger.quarantine()] == [4, 3, 1]


def test_one_body_of_the_quarantine_is_replayed(service: Service) -> None:
    start(service)
    for number in range(3):
        service.ledger.append([QuarantinedBody("default", NOW - 60, "bad_date", "", body(), bytes([number]) * 16)])
    (replayed,), next_after = service.replay_quarantine(QuarantineSelection(sequence=2), 0, 100, dry_run=False)
    assert (replayed.quarantined.sequence, replayed.inserted, next_after) == (2, True, None)
    assert [each.sequence for each in service.ledger.quarantine()] == [3, 1]
    assert service.replay_quarantine(QuarantineSelection(sequence=2), 0, 100, dry_run=False).bodies == []
    assert service.replay_quarantine(QuarantineSelection("elsewhere", sequence=1), 0, 9, dry_run=False).bodies == []
    assert service.replay_quarantine(QuarantineSelection(reason="x"), 0, 9, dry_run=False).bodies == []
