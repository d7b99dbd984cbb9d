"""Prunes events and bodies past their retention from the ledger, and stores what they amount to as baselines.

Each export loses its oldest events in chronological order, up to the first one that arrived after
the limit. It keeps its newest `UNCOMPACTED_EVENTS`, so that a late event still finds its place. The
baseline keeps a run open whose start is pruned.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.domain.frequency import DAY
from exporter.ledger.contract import PAGE_SIZE
from exporter.projection import baselines, serialization
from exporter.projection.fold.history import UNCOMPACTED_EVENTS
from exporter.projection.fold.sort_keys import pack_sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from exporter.domain.events import Event
    from exporter.domain.exports import ExportKey
    from exporter.ledger.checkpoint_store import PruningState
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

RETENTION_MARGIN = 2.0 * DAY
"""Seconds added to the retention, because the zone of a local time can be off by a day."""
MIN_EVENTS = UNCOMPACTED_EVENTS
"""With fewer events to prune, an export waits for more."""
MAX_EVENTS = 500
"""How many events one transaction prunes, so that no webhook waits for long."""


class Pruner:
    """Prunes a ledger.

    Args:
        ledger: the ledger to prune.
        state_lock: held during every access to the projector.
        current_projector: returns the projector after it has caught up; called under the lock.
    """

    def __init__(
        self, ledger: Ledger, state_lock: AbstractContextManager[object], current_projector: Callable[[], Projector]
    ) -> None:
        self._ledger = ledger
        self._state_lock = state_lock
        self._current_projector = current_projector

    def prune(self, now: float, retention: float) -> Iterator[int]:
        """Prune events past their retention; yields how many each transaction removed.

        An export with conflicting changes during the pruning is left to the next call.

        Args:
            now: the current instant.
            retention: in seconds.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        limit = now - retention - RETENTION_MARGIN
        for key, count in self._prunable_counts(limit).items():
            if count >= MIN_EVENTS:
                yield from self._prune_export(key, limit)

    def prune_bodies(self, now: float, retention: float) -> Iterator[int]:
        """Prune quarantined and refused bodies past their retention; yields how many each transaction removed.

        Args:
            now: the current instant.
            retention: in seconds.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        for prune in (self._ledger.checkpoints.prune_quarantine, self._ledger.bodies.prune_refused):
            while count := prune(now - retention, MAX_EVENTS):
                yield count

    def _prunable_counts(self, limit: float) -> Counter[ExportKey]:
        """Return how many events of each export arrived before ``limit``, for exports that have events to lose."""
        counts: Counter[ExportKey] = Counter()
        after = 0
        # The ledger is ordered by arrival, within seconds.
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
                return  # the export is gone
            read_up_to, pruning_state = projector.sequence, projector.pruning_state
            selection = projector.exports.selection(key)
        events = list(self._ledger.select(selection, read_up_to))
        with self._state_lock:
            if self._current_projector() is not projector:
                return  # the configuration was reloaded
            history = sorted(
                (event for event in events if projector.exports.is_event_of(key, event)), key=pack_sort_key
            )
        prunable = _leading_events(history[:-UNCOMPACTED_EVENTS], limit, read_up_to)
        while prunable:
            batch, prunable = prunable[:MAX_EVENTS], prunable[MAX_EVENTS:]
            if not self._prune_batch(projector, key, batch, pruning_state, read_up_to):
                return
            pruning_state = self._ledger.checkpoints.pruning_state()
            yield len(batch)

    def _prune_batch(
        self, projector: Projector, key: ExportKey, batch: Sequence[Event], pruning_state: PruningState, read_up_to: int
    ) -> bool:
        """Prune the next events of an export; return False if another process pruned, or a new event conflicts."""
        new_baselines = self._new_baselines(projector, key, batch)
        ids = {event.request_id for event in batch}
        last = batch[-1].occurred_at

        def conflicts_with(source: str, request_id: str, occurred_at: float) -> bool:
            return source == key.source and (request_id in ids or occurred_at <= last)

        sequences = [event.sequence for event in batch]
        return self._ledger.checkpoints.prune(pruning_state, sequences, new_baselines, read_up_to, conflicts_with)

    def _new_baselines(self, projector: Projector, key: ExportKey, events: Sequence[Event]) -> dict[str, str]:
        """Return the rows of the baselines of an export and its source after its next events are pruned."""
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


def _leading_events(history: Sequence[Event], limit: float, last_sequence: int) -> Sequence[Event]:
    """Return the events before the first one that arrived after ``limit`` or is the last one in the ledger."""
    for index, event in enumerate(history):
        if event.arrived_at >= limit or event.sequence == last_sequence:
            return history[:index]
    return history
