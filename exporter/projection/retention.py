"""Pruning: events past their retention leave the ledger, and what they amount to stays.

Of each export go the oldest events in the order of history, as long as they arrived before the
limit, and never the newest few, so that whatever comes late is put in its place as before. A run
that is still open goes with its start: the base keeps it open.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.ledger.contract import PAGE_SIZE
from exporter.projection import baselines, serialization
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.projection.fold.sort_keys import pack_sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from exporter.domain.events import Event
    from exporter.domain.exports import ExportKey
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

RETENTION_MARGIN = 2 * 86400.0
"""Seconds past the retention for which events are kept, since a text without a zone may be read a day apart."""
MIN_EVENTS = UNCOMPACTED_EVENTS
"""How many events of an export are worth a transaction."""
MAX_EVENTS = 500
"""How many events leave in one transaction, so that no writer waits for long."""


class Pruner:
    """Prunes what a reader knows.

    Args:
        ledger: to be pruned.
        knowing: a lock; the reader is only looked at while it is held.
        reader: the reader of the moment, after a refresh; called while the lock is held.
    """

    def __init__(
        self, ledger: Ledger, state_lock: AbstractContextManager[object], current_projector: Callable[[], Projector]
    ) -> None:
        self._ledger = ledger
        self._state_lock = state_lock
        self._current_projector = current_projector

    def prune(self, now: float, retention: float) -> Iterator[int]:
        """Remove what is past its retention; how many events and bodies each transaction removed.

        What others disturb is left for the next time.

        Raises:
            StoreError: the ledger cannot be read, or cannot be written.
        """
        limit = now - retention - RETENTION_MARGIN
        for key, count in self._prunable_counts(limit).items():
            if count >= MIN_EVENTS:
                yield from self._prune_export(key, limit)
        while count := self._ledger.checkpoints.prune_quarantine(limit, MAX_EVENTS):
            yield count

    def _prunable_counts(self, limit: float) -> Counter[ExportKey]:
        """How many events of each export arrived before ``limit``, as far as more than the newest few are there."""
        counts: Counter[ExportKey] = Counter()
        after = 0
        # Events stand in the ledger in the order of their arrival, but for seconds.
        while (page := self._ledger.read(after, PAGE_SIZE)) and any(event.arrived_at < limit for event in page):
            after = page[-1].sequence
            with self._state_lock:
                exports = self._current_projector().exports
                keys = [
                    exports.key_of(event) for event in page if event.arrived_at < limit and exports.is_configured(event)
                ]
                counts.update(key for key in keys if exports.event_count(key) > UNCOMPACTED_EVENTS)
        return counts

    def _prune_export(self, key: ExportKey, limit: float) -> Iterator[int]:
        with self._state_lock:
            projector = self._current_projector()
            if key not in projector.exports:
                return  # gone meanwhile
            read_up_to, pruning_state, selection = (
                projector.sequence,
                projector.pruning_state,
                projector.exports.selection(key),
            )
        events = list(self._ledger.select(selection, read_up_to))
        with self._state_lock:
            if self._current_projector() is not projector:
                return  # reloaded meanwhile
            history = sorted(
                (event for event in events if projector.exports.is_event_of(key, event)),
                key=pack_sort_key,
            )
        prunable = _leading_events(history[:-UNCOMPACTED_EVENTS], limit, read_up_to)
        while prunable:
            batch, prunable = prunable[:MAX_EVENTS], prunable[MAX_EVENTS:]
            baselines = self._new_baselines(projector, key, batch)
            ids = {event.request_id for event in batch}
            last = batch[-1].occurred_at

            def conflicts_with(source: str, request_id: str, occurred_at: float) -> bool:
                return source == key.source and (request_id in ids or occurred_at <= last)  # noqa: B023 - called at once

            if not self._ledger.checkpoints.prune(
                pruning_state, [event.sequence for event in batch], baselines, read_up_to, conflicts_with
            ):
                return
            pruning_state = self._ledger.checkpoints.pruning_state()
            yield len(batch)

    def _new_baselines(self, projector: Projector, key: ExportKey, events: Sequence[Event]) -> dict[str, str]:
        baseline = baselines.load_baseline(self._ledger, projector.configured_sources, key)
        source_stats = baselines.load_source_baseline(self._ledger, key.source)
        with self._state_lock:
            baseline = projector.exports.fold_onto(key, baseline, events)
            source_stats.expect_statuses(projector.source_stats[key.source].statuses)
        for event in events:
            source_stats.add(event)
        return {
            baselines.export_row_key(key): serialization.encode_baseline(baseline),
            baselines.source_row_key(key.source): baselines.encode_source_stats(source_stats),
        }


def _leading_events(history: Sequence[Event], limit: float, upto: int) -> Sequence[Event]:
    """The first events of history up to one that arrived after ``limit``, or is the last one in the ledger."""
    for at, event in enumerate(history):
        if event.arrived_at >= limit or event.sequence == upto:
            return history[:at]
    return history
