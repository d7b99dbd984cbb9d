"""The tail: it folds every event of a configured source once, page by page, and again where it has to."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, at, event, received
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.states import urgency
from exporter.projection import projector
from exporter.projection.projector import Reader
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from exporter.domain.events import Event

SHOP = Source("shop", "UTC", UTC)
DAILY = Declaration("daily", Selection("shop", partner="nobody"), interval=DAY)


def ledger_of(*events: Event) -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.append([received(each) for each in events])
    return ledger


def test_what_is_of_no_configured_source_is_passed_over() -> None:
    known = Reader(ledger_of(event("initiated", at("0:00"), source="elsewhere")), {"shop": SHOP})
    known.refresh()
    assert known.states(at("1:00")) == []
    assert [state.events for state in known.sources()] == [{"initiated": 0, "completed": 0}]
    assert known.sequence == 1


@pytest.mark.parametrize("page", [1, 2, 3, 4, 100])
def test_every_page_is_read_and_no_event_twice(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "PAGE", page)
    ledger = ledger_of(*(event("initiated", at("0:00", day), request_id=str(day), frequency="24h") for day in range(4)))
    known = Reader(ledger, {"shop": SHOP})
    for _ in range(2):
        assert not known.refresh()
        (state,) = known.states(at("1:00", 3))
        assert (state.initiated, known.sequence) == (4, 4)
    ledger.append([received(event("completed", at("1:00", 3), request_id="3", frequency="24h"))])
    known.refresh()
    (state,) = known.states(at("1:00", 3))
    assert (state.initiated, state.completed) == (4, 1)


def test_an_event_that_comes_very_late_is_put_in_its_place() -> None:
    runs = [event("initiated", at("0:00") + 4 * HOUR * number) for number in range(60)]
    ledger = MemoryLedger()
    known, in_order = Reader(ledger, {"shop": SHOP}), Reader(ledger_of(*runs), {"shop": SHOP})
    for each in runs[40:] + runs[1:40:2] + runs[0:40:2]:
        ledger.append([received(each)])
        known.refresh()
    in_order.refresh()
    now = runs[-1].arrived_at
    assert known.states(now) == in_order.states(now)
    assert known.states(now)[0].slots_missed == 0


def test_a_declaration_counts_from_when_it_was_first_made() -> None:
    ledger = MemoryLedger()
    known = Reader(ledger, {"shop": SHOP}, [DAILY])
    known.refresh()
    assert known.states(at("9:00"))[0].deadline == at("9:00", 1) + DAY / 5
    ledger.declare([("shop", "daily")], at("3:00"))
    known.refresh()
    assert known.states(at("9:00"))[0].deadline == at("3:00", 1) + DAY / 5


def test_what_is_wrong_comes_first_and_then_what_is_due_first() -> None:
    ledger = ledger_of(
        event("completed", at("0:00"), partner="late", request_id="1"),
        event("completed", at("3:00"), partner="fine", request_id="2"),
        event("completed", at("2:00"), partner="due before it", request_id="3"),
        event("initiated", at("0:10"), partner="never", request_id="4"),
        event("failed", at("4:50"), partner="failed", request_id="5"),
        event("completed", at("4:59"), partner="whenever", request_id="6", frequency="one-time"),
    )
    known = Reader(ledger, {"shop": SHOP})
    known.refresh()
    states = known.states(at("5:00"))
    order = ["never", "late", "failed", "due before it", "fine", "whenever"]
    assert [state.partner for state in states] == order
    assert states == sorted(states, key=lambda state: urgency(state, at("5:00")))
