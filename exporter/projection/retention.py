"""Pruning: events past their retention leave the ledger, and what they amount to stays.

Of each export go the oldest events in the order of history, as long as they arrived before the
limit, and never the newest few, so that whatever comes late is put in its place as before. A run
that is still open goes with its start: the base keeps it open.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.ledger.contract import PAGE
from exporter.projection import baselines, serialization
from exporter.projection.fold.history import RECENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from exporter.domain.events import Event
    from exporter.domain.exports import ExportKey
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Reader

MARGIN = 2 * 86400.0
"""Seconds past the retention for which events are kept, since a text without a zone may be read a day apart."""
LEAST = RECENT
"""How many events of an export are worth a transaction."""
MOST = 500
"""How many events leave in one transaction, so that no writer waits for long."""


class Pruner:
    """Prunes what a reader knows.

    Args:
        ledger: to be pruned.
        knowing: a lock; the reader is only looked at while it is held.
        reader: the reader of the moment, after a refresh; called while the lock is held.
    """

    def __init__(self, ledger: Ledger, knowing: AbstractContextManager[object], reader: Callable[[], Reader]) -> None:
        self._ledger = ledger
        self._knowing = knowing
        self._reader = reader

    def prune(self, now: float, retention: float) -> Iterator[int]:
        """Remove what is past its retention; how many events and bodies each transaction removed.

        What others disturb is left for the next time.

        Raises:
            StoreError: the ledger cannot be read, or cannot be written.
        """
        limit = now - retention - MARGIN
        for key, count in self._old(limit).items():
            if count >= LEAST:
                yield from self._prune_export(key, limit)
        while count := self._ledger.folds.prune_quarantine(limit, MOST):
            yield count

    def _old(self, limit: float) -> Counter[ExportKey]:
        """How many events of each export arrived before ``limit``, as far as more than the newest few are there."""
        found: Counter[ExportKey] = Counter()
        after = 0
        # Events stand in the ledger in the order of their arrival, but for seconds.
        while (page := self._ledger.read(after, PAGE)) and any(event.arrived_at < limit for event in page):
            after = page[-1].sequence
            with self._knowing:
                exports = self._reader().exports
                keys = [exports.key_of(each) for each in page if each.arrived_at < limit and exports.follows(each)]
                found.update(key for key in keys if exports.members(key) > RECENT)
        return found

    def _prune_export(self, key: ExportKey, limit: float) -> Iterator[int]:
        with self._knowing:
            reader = self._reader()
            if key not in reader.exports:
                return  # gone meanwhile
            upto, known, selection = reader.sequence, reader.pruned, reader.exports.selection(key)
        events = list(self._ledger.select(selection, upto))
        with self._knowing:
            if self._reader() is not reader:
                return  # reloaded meanwhile
            own = sorted((each for each in events if reader.exports.owns(key, each)), key=lambda each: each.order)
        going = _first(own[:-RECENT], limit, upto)
        while going:
            some, going = going[:MOST], going[MOST:]
            bases = self._bases(reader, key, some)
            ids = {each.request_id for each in some}
            last = some[-1].occurred_at

            def disturbed_by(source: str, request_id: str, occurred_at: float) -> bool:
                return source == key.source and (request_id in ids or occurred_at <= last)  # noqa: B023 - called at once

            if not self._ledger.folds.prune(known, [each.sequence for each in some], bases, upto, disturbed_by):
                return
            known = self._ledger.folds.pruned()
            yield len(some)

    def _bases(self, reader: Reader, key: ExportKey, events: Sequence[Event]) -> dict[str, str]:
        base = baselines.base_of(self._ledger, reader.known_sources, key)
        source = baselines.source_base(self._ledger, key.source)
        with self._knowing:
            base = reader.exports.folded(key, base, events)
            source.know(reader.histories[key.source].statuses)
        for event in events:
            source.add(event)
        return {
            baselines.export_row(key): serialization.base_text(base),
            baselines.source_row(key.source): baselines.source_text(source),
        }


def _first(own: Sequence[Event], limit: float, upto: int) -> Sequence[Event]:
    """The first events of history up to one that arrived after ``limit``, or is the last one in the ledger."""
    for at, event in enumerate(own):
        if event.arrived_at >= limit or event.sequence == upto:
            return own[:at]
    return own
