"""What a Prometheus would have remembered, had it scraped all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import DAY, HOUR, at
from exporter.domain.exports import Declaration, Selection
from exporter.ledger.contract import PAGE_SIZE, AcceptedEvent
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import DeliveryCounter, Event, Outage
    from exporter.ledger.contract import Entry


UNTOLD = {"dataexport_webhook_duplicates_total", "dataexport_webhook_test_calls_total"}
BEGINS = at("0:00", -60)
DECLARED = [
    Declaration("never-ran", Selection("shop", request_id="7"), 24 * HOUR, owner="data"),
    Declaration("muted", Selection("shop", partner="Microsoft Azure", frequency="4h"), muted_until=BEGINS + 2 * DAY),
]


class Remembering(MemoryLedger):
    """A ledger in memory that is told its gaps, and can go back to what it knew at an earlier time."""

    def __init__(self, entries: Iterable[Entry] = (), outages: Sequence[Outage] = (), declared: float = 0) -> None:
        super().__init__()
        self.now = float("inf")
        self._told_gaps = list(outages)
        self.append(
            sorted(entries, key=lambda each: (each.event if isinstance(each, AcceptedEvent) else each).arrived_at)
        )
        if declared:
            self.record_declarations([(each.match.source, each.name) for each in DECLARED], declared)

    def outages(self) -> list[Outage]:
        return [outage for outage in self._told_gaps if outage.ended_at <= self.now]

    def read(self, after: int, limit: int = PAGE_SIZE) -> list[Event]:
        return [each for each in super().read(after, limit) if each.arrived_at <= self.now]

    def delivery_counters(self) -> list[DeliveryCounter]:
        """As they were; what has no history counts as never."""
        counted = MemoryLedger()
        counted.append([each for each in self._quarantined if each.arrived_at <= self.now])
        return counted.delivery_counters()
