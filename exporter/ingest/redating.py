"""Dates again what arrived under a clock that turned out to be wrong. See `exporter.domain.epochs`."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from exporter.domain.event_time import CLOCK_TOLERANCE, SETTLING_EVENTS, naive_timestamp
from exporter.ingest.intake import OLDER_THAN_RETENTION
from exporter.ingest.replay import Replay
from exporter.ledger.contract import HEARTBEAT_TIMEOUT
from exporter.ledger.instants import from_micros
from exporter.ledger.replay_store import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.domain.epochs import Epoch, StoredEpoch
    from exporter.domain.exports import Source
    from exporter.ledger.contract import Ledger
    from exporter.ledger.replay_store import ReplayStore

DATE_OUT_OF_RANGE = "date_out_of_range"
"""The reason for which vendors' adapters quarantine a date that cannot be, given the arrival."""
MIN_TEXTS = 3
"""How many events of an epoch must have a text with the time they happened before their delay is usual."""
DATE_REASONS = (DATE_OUT_OF_RANGE, OLDER_THAN_RETENTION)
"""The reasons for quarantine that a wrong clock can cause."""


class Redating:
    """Dates events again whose epoch has another offset than the one that dated them.

    Args:
        ledger: the ledger.
        sources: the configured sources by slug. Of other sources, only the arrivals are dated again.
        oldest: Unix seconds; see `exporter.ingest.replay.Replay`.
    """

    def __init__(self, ledger: Ledger, sources: Mapping[str, Source], oldest: float = -math.inf) -> None:
        self._ledger = ledger
        self._sources = sources
        self._oldest = oldest

    def redate(self) -> int:
        """Date the events again, and put what is quarantined for its date through the parser.

        An epoch counts as dated once a call finds nothing to change: an event may be stored with the old offset
        while this runs, and a process may be killed in it.

        Returns:
            How many events and quarantined bodies changed.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        pending = {epoch.id: epoch for epoch in self._ledger.epochs() if epoch.offset_us != epoch.dated_us}
        if not pending:
            return 0
        store = self._ledger.replay_store
        changed = sum(_move_arrivals(store, epoch) for epoch in pending.values())
        replay = Replay(self._ledger, store, self._sources, self._oldest)
        began_at = from_micros(min(epoch.first_us + epoch.offset_us for epoch in pending.values()))
        for source in self._sources.values():
            changed += replay.redate(source, began_at, pending.keys())
        store.amend([], last=True)
        changed += sum(replay.resolve_quarantined(self._sources, reason) for reason in DATE_REASONS)
        if not changed:
            for epoch in pending.values():
                store.finish_dating(epoch.id, epoch.offset_us)
        return changed

    def was_right_before(self, epoch: Epoch, step: float) -> bool:
        """Return whether texts of events show that the clock was right until it stepped forward.

        Then the machine was paused, and its clock with it, or the clock is wrong now. The text of an event tells
        when it happened if the time zone of its source is known, and it arrives soon after that.

        Args:
            epoch: the epoch, with its offset before the step.
            step: in seconds. Up to `CLOCK_TOLERANCE`, the texts tell too little.

        Raises:
            StoreError: the ledger cannot be read.
        """
        if step <= CLOCK_TOLERANCE:
            return False
        delays = self._delays(epoch)
        return 2 * sum(abs(delay) < abs(delay + step) for delay in delays) > len(delays)

    def usual_delay(self, epoch: Epoch) -> float | None:
        """Return the median of arrival minus occurrence, by the texts of the newest events of an epoch.

        It is near 0 if the clock was right; None if no text tells, or not enough of them.

        Raises:
            StoreError: the ledger cannot be read.
        """
        delays = self._delays(epoch)
        return median(delays) if len(delays) >= MIN_TEXTS else None

    def _delays(self, epoch: Epoch) -> list[float]:
        """Return arrival minus occurrence of the newest events of an epoch whose texts have the time they happened."""
        newest_in_epoch = self._ledger.replay_store.newest_in_epoch
        return [
            from_micros(clock_us + epoch.offset_us) - (naive_timestamp(event.local_time) - event.utc_offset)
            for source in self._sources.values()
            for event, clock_us in newest_in_epoch(source.slug, epoch.id, SETTLING_EVENTS)
            if source.zone is not None or event.offset_in_text
        ]

    def epochs_behind(self, epochs: Iterable[StoredEpoch]) -> set[int]:
        """Return the epochs in which bodies arrived, and every one had a date too far in the future.

        Raises:
            StoreError: the ledger cannot be read.
        """
        refused: set[int] = set()
        for slug in self._sources:
            after = 0
            while page := self._ledger.quarantine(PAGE_SIZE, slug, after):
                after = page[-1].sequence
                refused.update(body.epoch.id for body in page if body.reason == DATE_OUT_OF_RANGE)
        return {epoch.id for epoch in epochs if epoch.id in refused and not self._has_events(epoch)}

    def _has_events(self, epoch: StoredEpoch) -> bool:
        began_at = from_micros(epoch.first_us + epoch.offset_us)
        ended_at = from_micros(epoch.last_us + epoch.offset_us) + HEARTBEAT_TIMEOUT
        newest = [
            event for slug in self._sources for event in self._ledger.replay_store.newest_before(slug, ended_at, 1)
        ]
        return any(event.arrived_at >= began_at for event in newest)


def _move_arrivals(store: ReplayStore, epoch: StoredEpoch) -> int:
    """Date all arrivals of an epoch by its offset; returns how many were dated otherwise."""
    moved = after = 0
    while True:
        count, after = store.move_arrivals(epoch.id, epoch.offset_us, after)
        moved += count
        if not after:
            return moved
