"""A ledger that can go back in time, to compare a backfill with what scrapes would have shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import DAY, HOUR, at
from exporter.domain.exports import Declaration, Selection
from exporter.ledger.contract import PAGE_SIZE, AcceptedEvent
from memory_landings import MemoryLandingStore
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import DeliveryCounter, Event, Outage
    from exporter.domain.landing import LandingCheck
    from exporter.ledger.contract import Entry


NAMES_WITHOUT_HISTORY = {"dataexport_webhook_duplicates_total", "dataexport_webhook_test_calls_total"}
BEGINS = at("0:00", -60)
DECLARED = [
    Declaration("never-ran", Selection("shop", request_id="7"), 24 * HOUR, owner="data"),
    Declaration("muted", Selection("shop", partner="Microsoft Azure", frequency="4h"), muted_until=BEGINS + 2 * DAY),
]


class TimeTravelLandingStore(MemoryLandingStore):
    """The checks of a `TimeTravelLedger`."""

    def __init__(self, ledger: TimeTravelLedger) -> None:
        super().__init__()
        self._ledger = ledger

    def read_newest(self, limit: int) -> list[LandingCheck]:
        return [check for check in super().read_newest(limit) if check.checked_at <= self._ledger.now]

    def read(self, after: int) -> list[LandingCheck]:
        return [check for check in super().read(after) if check.checked_at <= self._ledger.now]


class TimeTravelLedger(MemoryLedger):
    """A ledger in memory with given outages that shows only what it had at `now`."""

    def __init__(self, entries: Iterable[Entry] = (), outages: Sequence[Outage] = (), declared: float = 0) -> None:
        super().__init__()
        self.now = float("inf")
        self.landings = TimeTravelLandingStore(self)
        self._given_outages = list(outages)
        self.append(
            sorted(entries, key=lambda entry: (entry.event if isinstance(entry, AcceptedEvent) else entry).arrived_at)
        )
        if declared:
            self.record_declarations(
                [(declaration.match.source, declaration.name) for declaration in DECLARED], declared
            )

    def outages(self) -> list[Outage]:
        return [outage for outage in self._given_outages if outage.ended_at <= self.now]

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        return [event for event in super().read(after, limit) if event.arrived_at <= self.now]

    def delivery_counters(self) -> list[DeliveryCounter]:
        """Return the counts as they were; duplicates and test calls, which have no history, are left out."""
        ledger = MemoryLedger()
        ledger.append([body for body in self._quarantined if body.arrived_at <= self.now])
        return ledger.delivery_counters()
