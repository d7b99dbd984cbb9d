"""Everything that is read out of a ledger, behind one lock: what is known, its text, its checkpoint, and pruning."""

from __future__ import annotations

import gc
import threading
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.errors import StoreLostError
from exporter.ingest.intake import quarantine_reasons
from exporter.ledger.contract import PAGE_SIZE
from exporter.metrics.renderer import Renderer
from exporter.projection.checkpoint_writer import CheckpointWriter
from exporter.projection.projector import Projector
from exporter.projection.retention import Pruner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.domain.events import Event
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import CompressedBody

CHECKPOINT_SECONDS = 300.0
CHECKPOINT_EVENTS = 20_000
"""After how many new events, or seconds with some, the checkpoint is written again."""
BUSY_EVENTS = 10_000
"""While more than these arrive between two looks, webhooks go first, and the checkpoint waits for its seconds."""
MAX_EXPORTS_AT_STOP = 20_000
"""With more exports than that to write, a stop does not wait for the checkpoint."""


@dataclass(frozen=True, slots=True)
class ProjectionConfig:
    """What of a configuration decides about what is known.

    Attributes:
        sources: by slug.
        retention: seconds for which events are kept.
    """

    sources: Mapping[str, Source]
    declarations: Sequence[Declaration]
    exports_per_source: int
    retention: float


class CatchUpResult(NamedTuple):
    """How reading the ledger began.

    Attributes:
        events: up to which place it is known.
        from_checkpoint: whether it went on from one.
    """

    events: int
    from_checkpoint: bool


class ScrapeResult(NamedTuple):
    """A scrape of what is known.

    Attributes:
        body: all but a process's own metrics.
        series: how many series it has.
        dropped: how many more fell to the limit since the one before.
    """

    body: CompressedBody
    series: int
    dropped: int


class CheckpointResult(NamedTuple):
    """What became of a checkpoint.

    Attributes:
        written: whether it was.
        differs: whether another configuration or release keeps it.
    """

    written: bool = False
    other_configuration: bool = False


class ReadModel:
    """What is known of a ledger, safe for several threads. Every method may raise `exporter.domain.errors.StoreError`.

    Args:
        ledger: what is read; closed by whoever opened it.
        scope: what of the configuration decides about it.

    Attributes:
        watch: the name under which this process beats the heart in the ledger.
    """

    def __init__(self, ledger: Ledger, config: ProjectionConfig) -> None:
        self.instance_id = uuid.uuid4().hex
        self._ledger = ledger
        self._config = config
        self._state_lock = threading.Lock()
        self._projector, self._renderer = self._build(config)
        self._dropped = 0
        self._now = 0.0
        self._checkpoint_writer = CheckpointWriter(ledger, self.instance_id, self._state_lock, lambda: self._projector)
        self._pruner = Pruner(ledger, self._state_lock, self._caught_up_projector)
        self._pruning: Iterator[int] | None = None
        self._checkpointed: tuple[Projector | None, int, float] = (None, 0, 0.0)
        self._last_seen_sequence = 0

    def catch_up(self, now: float) -> CatchUpResult:
        """Read all there is, and render it, so that no scrape waits for that."""
        with self._state_lock:
            self._refresh(now)
            # All of this lives as long as the process. A full collection that traverses it would delay everyone.
            gc.freeze()
            return CatchUpResult(self._projector.sequence, self._projector.checkpoint_revision is not None)

    def scrape(self, now: float, *, openmetrics: bool) -> ScrapeResult:
        """Render the families of exports and sources in one of the two text formats."""
        with self._state_lock:
            self._refresh(now)
            collector = self._renderer
            dropped, self._dropped = collector.dropped - self._dropped, collector.dropped
            return ScrapeResult(collector.body(openmetrics=openmetrics), collector.series, dropped)

    def list_states(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """List the states of all exports, the most urgent first, and of all sources."""
        with self._state_lock:
            self._refresh(now)
            return self._projector.list_states(now), self._projector.list_sources()

    def find_export(self, export_id: str, now: float, max_events: int) -> tuple[ExportState, list[Event]] | None:
        """Look up one export by its `ExportKey.id`, with its newest events, the last one first; None if there is none.

        If other exports share its selection, it is not looked for past `PAGE` events of theirs.
        """
        with self._state_lock:
            self._refresh(now)
            key = next((key for key in self._projector.list_keys() if key.id == export_id), None)
            if key is None:
                return None
            known = self._projector.exports
            recent = islice(self._ledger.select_newest_first(known.selection(key), self._projector.sequence), PAGE_SIZE)
            return self._projector.export_state(key, now), list(
                islice((e for e in recent if known.is_event_of(key, e)), max_events)
            )

    def reconfigure(self, config: ProjectionConfig, now: float) -> None:
        """Use another configuration. The old one answers until the new one is ready, and stays if the ledger fails."""
        with self._state_lock:
            hidden = self._renderer.hidden()
        reader, collector = self._build(config, hidden)
        collector.update(now)
        with self._state_lock:
            self._config, self._projector, self._renderer, self._dropped = config, reader, collector, 0

    def write_checkpoint(self, now: float, *, stopping: bool = False) -> CheckpointResult:
        """Write the checkpoint if that is due, or before leaving."""
        if not (stopping or self._checkpoint_is_due(now)):
            return CheckpointResult()
        with self._state_lock:
            self._refresh(now)
            reader, sequence = self._projector, self._projector.sequence
        max_exports = MAX_EXPORTS_AT_STOP if stopping else float("inf")
        written = self._checkpoint_writer.write(now, max_exports=max_exports, stopping=stopping)
        self._checkpointed = reader, sequence, now
        return CheckpointResult(written, self._checkpoint_writer.other_configuration)

    def prune(self, now: float) -> int:
        """Remove some of what is past its retention; how many events and bodies were removed, 0 once none is left."""
        self._now = now
        pruning, self._pruning = self._pruning or self._pruner.prune(now, self._config.retention), None
        count = next(pruning, 0)
        if count:
            self._pruning = pruning
        return count

    def _refresh(self, now: float) -> None:
        """Know what there is now; while it is held."""
        try:
            self._renderer.update(now)
        except StoreLostError:
            self._renderer.update(now)  # what lies there now may be a ledger as well

    def _build(self, config: ProjectionConfig, hidden: Iterable[ExportKey] = ()) -> tuple[Projector, Renderer]:
        reader = Projector(self._ledger, config.sources, config.declarations)
        return reader, Renderer(reader, config.exports_per_source, quarantine_reasons(), already_dropped=hidden)

    def _caught_up_projector(self) -> Projector:
        """The reader with all that it has read, as of when pruning was asked for; while it is held."""
        self._refresh(self._now)
        return self._projector

    def _checkpoint_is_due(self, now: float) -> bool:
        reader, sequence, at = self._checkpointed
        newest = self._ledger.last_sequence()
        rush, self._last_seen_sequence = newest - self._last_seen_sequence > BUSY_EVENTS, newest
        waiting = newest - sequence
        late = waiting != 0 and now - at >= CHECKPOINT_SECONDS
        return reader is not self._projector or late or (waiting >= CHECKPOINT_EVENTS and not rush)
