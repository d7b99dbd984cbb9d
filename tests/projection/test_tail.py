"""The tail: it folds every event of a configured source once, page by page, and again where it has to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, accepted_event, at, event
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.states import urgency_key
from exporter.projection import projector as projector_module
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from exporter.domain.events import Event

SHOP = Source("shop", "UTC", UTC)
DAILY = Declaration("daily", Selection("shop", partner="nobody"), interval=DAY)


def ledger_of(*events: Event) -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in events])
    return ledger


def test_what_is_of_no_configured_source_is_passed_over() -> None:
    projector = Projector(ledger_of(event("initiated", at("0:00"), source="elsewhere")), {"shop": SHOP})
    projector.catch_up()
    assert projector.list_states(at("1:00")) == []
    assert [state.events for state in projector.list_sources()] == [{"initiated": 0, "completed": 0}]
    assert projector.sequence == 1


@pytest.mark.parametrize("page", [1, 2, 3, 4, 100])
def test_every_page_is_read_and_no_event_twice(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "PAGE_SIZE", page)
    ledger = ledger_of(*(event("initiated", at("0:00", day), request_id=str(day), frequency="24h") for day in range(4)))
    projector = Projector(ledger, {"shop": SHOP})
    for _ in range(2):
        assert not projector.catch_up()
        (state,) = projector.list_states(at("1:00", 3))
        assert (state.initiated, projector.sequence) == (4, 4)
    ledger.append([accepted_event(event("completed", at("1:00", 3), request_id="3", frequency="24h"))])
    projector.catch_up()
    (state,) = projector.list_states(at("1:00", 3))
    assert (state.initiated, state.completed) == (4, 1)


def test_an_event_that_comes_very_late_is_put_in_its_place() -> None:
    runs = [event("completed", at("0:00") + 4 * HOUR * number) for number in range(60)]
    ledger = MemoryLedger()
    projector, in_order = Projector(ledger, {"shop": SHOP}), Projector(ledger_of(*runs), {"shop": SHOP})
    for each in runs[40:] + runs[1:40:2] + runs[0:40:2]:
        ledger.append([accepted_event(each)])
        projector.catch_up()
    in_order.catch_up()
    now = runs[-1].arrived_at
    assert projector.list_states(now) == in_order.list_states(now)
    assert projector.list_states(now)[0].slots_missed == 0


def test_a_declaration_counts_from_when_it_was_first_made() -> None:
    ledger = MemoryLedger()
    projector = Projector(ledger, {"shop": SHOP}, [DAILY])
    projector.catch_up()
    assert projector.list_states(at("9:00"))[0].deadline == at("9:00", 1) + DAY / 5
    ledger.record_declarations([("shop", "daily")], at("3:00"))
    projector.catch_up()
    assert projector.list_states(at("9:00"))[0].deadline == at("3:00", 1) + DAY / 5


def test_replicas_with_different_configurations_go_by_the_terms_that_were_loaded_last() -> None:
    ledger = ledger_of(event("completed", at("0:10"), partner="nobody", frequency=""))
    often = replace(DAILY, interval=4 * HOUR)
    old, new = Projector(ledger, {"shop": SHOP}, [DAILY]), Projector(ledger, {"shop": SHOP}, [often])
    ledger.record_declarations([("shop", "daily")], at("0:00"))
    ledger.record_terms({("shop", "daily"): DAILY.terms}, at("0:00"))
    old.catch_up()
    assert old.list_states(at("9:00"))[0].interval == DAY
    ledger.record_terms({("shop", "daily"): often.terms}, at("8:00"))
    for projector in (old, new):
        projector.catch_up()
        [state] = projector.list_states(at("9:00"))
        assert (state.interval, state.deadline) == (4 * HOUR, at("0:10", 1) + DAY / 5)


def test_what_is_wrong_comes_first_and_then_what_is_due_first() -> None:
    ledger = ledger_of(
        event("completed", at("0:00"), partner="overdue", request_id="1"),
        event("completed", at("3:00"), partner="fine", request_id="2"),
        event("completed", at("2:00"), partner="due before it", request_id="3"),
        event("initiated", at("0:10"), partner="never", request_id="4"),
        event("failed", at("4:50"), partner="failed", request_id="5"),
        event("completed", at("4:59"), partner="whenever", request_id="6", frequency="one-time"),
    )
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    states = projector.list_states(at("5:00"))
    order = ["never", "overdue", "failed", "due before it", "fine", "whenever"]
    assert [state.partner for state in states] == order
    assert states == sorted(states, key=lambda state: urgency_key(state, at("5:00")))
