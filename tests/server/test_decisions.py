"""Decisions that a running service makes: what its next scrape shows of them, and that a repeated one is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

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
from exporter.server.admin.app import create_app
from exporter.server.http.messages import Headers, HttpRequest
from exporter.server.http.wsgi import HTTP_REQUEST
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
    text = service.scrape(openmetrics=False).plain(b"").decode()
    (line,) = [line for line in text.splitlines() if line.startswith("dataexport_muted{")]
    return float(line.rpartition(" ")[2]) == 1


def test_nothing_is_decided_before_the_ledger_is_read(service: Service) -> None:
    with pytest.raises(StoreError, match="still reading the store"):
        service.find_key(KEY.id)
    with pytest.raises(StoreError, match="still reading the store"):
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


def ask(service: Service, method: str, path: str, sent: object = None) -> Any:  # noqa: ANN401 - JSON
    """Return the document of the API, without a listener in between."""
    request = HttpRequest(method, path.encode(), Headers(()), "127.0.0.1", "http", 0, "127.0.0.1")
    client = create_app(service).test_client()
    answer = client.open(f"/api/v1/{path}", method=method, json=sent, environ_overrides={HTTP_REQUEST: request})
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_replay_names_what_became_of_each_body(service: Service) -> None:
    start(service)
    for number, content in enumerate((body(request_id=5), body(request_id=5), b'{"is_test": true}', b"{}")):
        service.ledger.append([QuarantinedBody("default", NOW - 60, "bad_date", "", content, bytes([number]) * 16)])

    def replayed(**fields: object) -> Any:  # noqa: ANN401 - JSON
        return ask(service, "POST", "replays", fields)["replay"]

    preview = replayed(preview=True)
    assert [each["outcome"] for each in preview["bodies"]] == ["accepted", "accepted", "test call", "quarantined"]
    assert preview["bodies"][0]["event"]["request_id"] == "5"
    done = replayed()
    assert [each["outcome"] for each in done["bodies"]] == ["accepted", "duplicate", "test call", "quarantined"]
    assert done["bodies"][3] == {
        "sequence": 4,
        "source": "default",
        "reason": "bad_date",
        "outcome": "quarantined",
        "detail": preview["bodies"][3]["detail"],
        "event": None,
    }
    counts = {name: done[name] for name in ("accepted", "duplicates", "test_calls", "still_quarantined")}
    assert counts == {"accepted": 1, "duplicates": 1, "test_calls": 1, "still_quarantined": {"missing_key": 1}}


def test_outages_are_listed_from_the_newest_on(service: Service) -> None:
    for instant in (HOUR, 2 * HOUR, 2 * HOUR + 10, 5 * HOUR):
        service.ledger.record_heartbeat("another", NOW - 6 * HOUR + instant)
    start(service)
    newest, *older = ask(service, "GET", "outages")["outages"]
    assert newest == {
        "began_at": "2026-06-01T11:00:00Z",
        "began_at_seconds": NOW - HOUR,
        "ended_at": "2026-06-01T12:00:00Z",
        "ended_at_seconds": NOW,
    }
    assert [each["ended_at_seconds"] for each in older] == [NOW - HOUR, NOW - 4 * HOUR]
    page = ask(service, "GET", "outages?limit=1&offset=1")
    assert (page["outages"], page["total"], page["next"]) == (older[:1], 3, "?limit=1&offset=2")


def test_a_source_that_is_not_configured_is_listed_with_its_last_arrival(service: Service) -> None:
    service.ledger.append([accepted_event(event("completed", at("10:00"), source="former"))])
    start(service)
    own, former = ask(service, "GET", "sources")["sources"]
    assert (own["slug"], own["configured"], own["webhook_path"]) == ("default", True, "/webhooks/clevertap/default")
    assert (former["slug"], former["configured"], former["webhook_path"]) == ("former", False, None)
    assert former["last_accepted_seconds"] == at("10:00") + 2  # the delay of the event
