"""Everything that is read out of a ledger, behind one lock: what is known, its text, its checkpoint, and pruning."""

from __future__ import annotations

import gc
import threading
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.errors import StoreLostError
from exporter.ingest.intake import REASONS
from exporter.ledger.contract import PAGE
from exporter.metrics.renderer import Collector
from exporter.projection.checkpoint_writer import Keeper
from exporter.projection.projector import Reader
from exporter.projection.retention import Pruner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.domain.events import Event
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import Body

CHECKPOINT_SECONDS = 300.0
CHECKPOINT_EVENTS = 20_000
"""After how many new events, or seconds with some, the checkpoint is written again."""
RUSH_EVENTS = 10_000
"""While more than these arrive between two looks, webhooks go first, and the checkpoint waits for its seconds."""
MOST_AT_THE_END = 20_000
"""With more exports than that to write, a stop does not wait for the checkpoint."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a configuration decides about what is known.

    Attributes:
        sources: by slug.
        retention: seconds for which events are kept.
    """

    sources: Mapping[str, Source]
    declarations: Sequence[Declaration]
    exports_per_source: int
    retention: float


class Start(NamedTuple):
    """How reading the ledger began.

    Attributes:
        events: up to which place it is known.
        from_checkpoint: whether it went on from one.
    """

    events: int
    from_checkpoint: bool


class Scrape(NamedTuple):
    """A scrape of what is known.

    Attributes:
        body: all but a process's own metrics.
        series: how many series it has.
        dropped: how many more fell to the limit since the one before.
    """

    body: Body
    series: int
    dropped: int


class Upkeep(NamedTuple):
    """What became of a checkpoint.

    Attributes:
        written: whether it was.
        differs: whether another configuration or release keeps it.
    """

    written: bool = False
    differs: bool = False


class ReadModel:
    """What is known of a ledger, safe for several threads. Every method may raise `exporter.domain.errors.StoreError`.

    Args:
        ledger: what is read; closed by whoever opened it.
        scope: what of the configuration decides about it.

    Attributes:
        watch: the name under which this process beats the heart in the ledger.
    """

    def __init__(self, ledger: Ledger, scope: Scope) -> None:
        self.watch = uuid.uuid4().hex
        self._ledger = ledger
        self._scope = scope
        self._knowing = threading.Lock()
        self._reader, self._collector = self._made(scope)
        self._dropped = 0
        self._now = 0.0
        self._keeper = Keeper(ledger, self.watch, self._knowing, lambda: self._reader)
        self._pruner = Pruner(ledger, self._knowing, self._refreshed)
        self._pruning: Iterator[int] | None = None
        self._checkpointed: tuple[Reader | None, int, float] = (None, 0, 0.0)
        self._looked_at = 0

    def catch_up(self, now: float) -> Start:
        """Read all there is, and render it, so that no scrape waits for that."""
        with self._knowing:
            self._refresh(now)
            # All of this lives as long as the process. A full collection that traverses it would delay everyone.
            gc.freeze()
            return Start(self._reader.sequence, self._reader.saved is not None)

    def scrape(self, now: float, *, openmetrics: bool) -> Scrape:
        """Render the families of exports and sources in one of the two text formats."""
        with self._knowing:
            self._refresh(now)
            collector = self._collector
            dropped, self._dropped = collector.dropped - self._dropped, collector.dropped
            return Scrape(collector.body(openmetrics=openmetrics), collector.series, dropped)

    def known(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """List the states of all exports, the most urgent first, and of all sources."""
        with self._knowing:
            self._refresh(now)
            return self._reader.states(now), self._reader.sources()

    def export(self, identity: str, now: float, most: int) -> tuple[ExportState, list[Event]] | None:
        """Look up one export by its `ExportKey.id`, with its newest events, the last one first; None if there is none.

        If other exports share its selection, it is not looked for past `PAGE` events of theirs.
        """
        with self._knowing:
            self._refresh(now)
            key = next((key for key in self._reader.shown() if key.id == identity), None)
            if key is None:
                return None
            known = self._reader.exports
            recent = islice(self._ledger.recent(known.selection(key), self._reader.sequence), PAGE)
            return self._reader.export(key, now), list(islice((e for e in recent if known.owns(key, e)), most))

    def take(self, scope: Scope, now: float) -> None:
        """Use another configuration. The old one answers until the new one is ready, and stays if the ledger fails."""
        with self._knowing:
            hidden = self._collector.hidden()
        reader, collector = self._made(scope, hidden)
        collector.refresh(now)
        with self._knowing:
            self._scope, self._reader, self._collector, self._dropped = scope, reader, collector, 0

    def keep(self, now: float, *, leaving: bool = False) -> Upkeep:
        """Write the checkpoint if that is due, or before leaving."""
        if not (leaving or self._checkpoint_is_due(now)):
            return Upkeep()
        with self._knowing:
            self._refresh(now)
            reader, sequence = self._reader, self._reader.sequence
        most = MOST_AT_THE_END if leaving else float("inf")
        written = self._keeper.write(now, most=most, leaving=leaving)
        self._checkpointed = reader, sequence, now
        return Upkeep(written, self._keeper.differs)

    def prune(self, now: float) -> int:
        """Remove some of what is past its retention; how many events and bodies were removed, 0 once none is left."""
        self._now = now
        pruning, self._pruning = self._pruning or self._pruner.prune(now, self._scope.retention), None
        count = next(pruning, 0)
        if count:
            self._pruning = pruning
        return count

    def _refresh(self, now: float) -> None:
        """Know what there is now; while it is held."""
        try:
            self._collector.refresh(now)
        except StoreLostError:
            self._collector.refresh(now)  # what lies there now may be a ledger as well

    def _made(self, scope: Scope, hidden: Iterable[ExportKey] = ()) -> tuple[Reader, Collector]:
        reader = Reader(self._ledger, scope.sources, scope.declarations)
        return reader, Collector(reader, scope.exports_per_source, REASONS, counted=hidden)

    def _refreshed(self) -> Reader:
        """The reader with all that it has read, as of when pruning was asked for; while it is held."""
        self._refresh(self._now)
        return self._reader

    def _checkpoint_is_due(self, now: float) -> bool:
        reader, sequence, at = self._checkpointed
        newest = self._ledger.last_sequence()
        rush, self._looked_at = newest - self._looked_at > RUSH_EVENTS, newest
        waiting = newest - sequence
        late = waiting != 0 and now - at >= CHECKPOINT_SECONDS
        return reader is not self._reader or late or (waiting >= CHECKPOINT_EVENTS and not rush)
