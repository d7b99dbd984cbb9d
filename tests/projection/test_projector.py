"""The tail loses nothing when the ledger fails while it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders import SHOP, accepted_event, at, body, event
from exporter.domain.errors import StoreError
from exporter.domain.events import Outage
from exporter.domain.exports import Source
from exporter.ingest.intake import Intake
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger
from projectors import LedgerWithOutages

if TYPE_CHECKING:
    from exporter.domain.events import Event

NOW = 1_800_000_000.0
AUTO = Source("default")


class Faltering(MemoryLedger):
    """A ledger that fails to be read as often as it is told."""

    failures = 0

    def read(self, after: int, limit: int = 10_000) -> list[Event]:
        if self.failures:
            self.failures -= 1
            message = "made to fail"
            raise StoreError(message)
        return super().read(after, limit)


def test_a_failed_refresh_still_tells_the_next_caller_that_all_was_folded_again() -> None:
    ledger = Faltering()
    Intake(ledger, 65_536).ingest(AUTO, body(), NOW)
    projector = Projector(ledger, {AUTO.slug: AUTO})
    assert projector.catch_up() is False
    states = projector.list_states(NOW)

    ledger.record_heartbeat("one", NOW)
    ledger.record_heartbeat("one", NOW + 3600)
    ledger.failures = 1
    with pytest.raises(StoreError):
        projector.catch_up()

    assert projector.catch_up() is True
    assert projector.list_states(NOW) == states
    assert projector.catch_up() is False


def test_a_gap_that_is_told_after_a_later_one_is_taken_in_by_folding_all_again() -> None:
    ledger = LedgerWithOutages()
    ledger.append([accepted_event(event("completed", at("1:00", day), frequency="24h")) for day in (0, 4, 8)])
    early, late = Outage(at("12:00"), at("12:00", 2)), Outage(at("12:00", 4), at("12:00", 6))
    ledger.known_outages = [late]
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    ledger.known_outages = [early, late]
    assert projector.catch_up() is True
    assert projector.outages == [early, late]
    started = Projector(ledger, {"shop": SHOP})
    started.catch_up()
    assert projector.list_states(at("2:00", 8)) == started.list_states(at("2:00", 8))
    assert projector.catch_up() is False


def test_more_exports_than_are_kept_evaluated_have_the_same_states(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(event("completed", at("1:00"), partner=f"partner {number}")) for number in range(3)])
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    wanted = [projector.list_states(now) for now in (NOW, NOW, NOW + 1)]
    monkeypatch.setattr("exporter.projection.projector.MAX_CACHED_STATES", 1)
    again = Projector(ledger, {"shop": SHOP})
    again.catch_up()
    assert [again.list_states(now) for now in (NOW, NOW, NOW + 1)] == wanted
    assert len(wanted[0]) == 3
