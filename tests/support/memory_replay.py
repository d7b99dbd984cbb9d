"""A replay store in memory: the contract of `exporter.ledger.replay_store` in the fewest lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.events import QuarantinedBody
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.replay_store import PAGE_SIZE, ArrivalPosition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Event
    from exporter.ledger.contract import AcceptedEvent, Entry
    from memory_ledger import MemoryLedger


class MemoryReplayStore:
    """The `exporter.ledger.replay_store.ReplayStore` of a `MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._in_progress = False

    def read_with_bodies(self, source: str, after: ArrivalPosition, limit: int = PAGE_SIZE) -> list[AcceptedEvent]:
        def position(stored: AcceptedEvent) -> tuple[int, int]:
            return to_micros(stored.event.arrived_at), stored.event.sequence

        page = [stored for stored in self._ledger.stored if stored.event.source == source]
        return sorted((each for each in page if position(each) > (after.arrived_us, after.sequence)), key=position)[
            :limit
        ]

    def newest_before(self, source: str, arrived_at: float, limit: int) -> list[Event]:
        every = self.read_with_bodies(source, ArrivalPosition(), len(self._ledger.stored))
        return [stored.event for stored in every if stored.event.arrived_at < arrived_at][-limit:]

    def newest_in_epoch(self, source: str, epoch: int, limit: int) -> list[tuple[Event, int]]:
        return [
            (stored.event, to_micros(stored.event.arrived_at) - stored.epoch.offset_us)
            for stored in reversed(self._ledger.stored)
            if (stored.event.source, stored.epoch.id) == (source, epoch)
        ][:limit]

    def count_events(self, source: str) -> int:
        return len(self.read_with_bodies(source, ArrivalPosition(), len(self._ledger.stored)))

    def resolve_quarantined(
        self, pairs: Sequence[tuple[QuarantinedBody, Entry]], *, uncount: bool = False
    ) -> list[bool | None]:
        outcomes: list[bool | None] = []
        for old, new in pairs:
            if isinstance(new, QuarantinedBody):
                outcomes.append(False)
            elif self._ledger.remove_quarantined([old.sequence]):
                if uncount:
                    self._ledger.uncount(old)
                outcomes += self._ledger.append([new])
            else:
                outcomes.append(None)
        return outcomes

    def move_arrivals(self, epoch: int, offset_us: int, after: int) -> tuple[int, int]:
        del after  # all at once
        moved = 0
        for index, stored in enumerate(self._ledger.stored):
            if stored.epoch.id == epoch and stored.epoch.offset_us != offset_us:
                clock_us = to_micros(stored.event.arrived_at) - stored.epoch.offset_us
                event = stored.event._replace(arrived_at=from_micros(clock_us + offset_us))
                self._ledger.stored[index] = stored._replace(
                    event=event, epoch=stored.epoch._replace(offset_us=offset_us)
                )
                moved += 1
        self._in_progress = self._in_progress or moved > 0
        return moved, 0

    def finish_dating(self, epoch: int, offset_us: int) -> None:
        self._ledger.finish_dating(epoch, offset_us)

    def amend(self, events: Sequence[Event], *, last: bool) -> None:
        by_sequence = {event.sequence: event for event in events}
        for index, stored in enumerate(self._ledger.stored):
            if stored.event.sequence in by_sequence:
                self._ledger.stored[index] = stored._replace(event=by_sequence[stored.event.sequence])
        self._in_progress = self._in_progress or bool(events)
        if last and self._in_progress:
            self._in_progress = False
            self._ledger.raise_replay_generation()
