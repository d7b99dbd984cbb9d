"""What a Prometheus would have remembered, had it scraped all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import DAY, HOUR, at
from exporter.domain.exports import Declaration, Selection
from exporter.ledger.contract import PAGE, Received
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import Event, Gap, Tally
    from exporter.ledger.contract import Entry


UNTOLD = {"dataexport_webhook_duplicates_total", "dataexport_webhook_test_calls_total"}
BEGINS = at("0:00", -60)
DECLARED = [
    Declaration("never-ran", Selection("shop", request_id="7"), 24 * HOUR, owner="data"),
    Declaration("muted", Selection("shop", partner="Microsoft Azure", frequency="4h"), muted_until=BEGINS + 2 * DAY),
]


class Remembering(MemoryLedger):
    """A ledger in memory that is told its gaps, and can go back to what it knew at an earlier time."""

    def __init__(self, entries: Iterable[Entry] = (), gaps: Sequence[Gap] = (), declared: float = 0) -> None:
        super().__init__()
        self.now = float("inf")
        self._told_gaps = list(gaps)
        self.append(sorted(entries, key=lambda each: (each.event if isinstance(each, Received) else each).arrived_at))
        if declared:
            self.declare([(each.match.source, each.name) for each in DECLARED], declared)

    def gaps(self) -> list[Gap]:
        return [gap for gap in self._told_gaps if gap.ended_at <= self.now]

    def read(self, after: int, limit: int = PAGE) -> list[Event]:
        return [each for each in super().read(after, limit) if each.arrived_at <= self.now]

    def tallies(self) -> list[Tally]:
        """As they were; what has no history counts as never."""
        counted = MemoryLedger()
        counted.append([each for each in self._quarantined if each.arrived_at <= self.now])
        return counted.tallies()
