"""The read side of the ledger behind one lock: states, scrapes, checkpoints and pruning."""

from __future__ import annotations

import gc
import threading
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.errors import NoSuchExportError, StoreLostError
from exporter.domain.exports import GROUP_LABEL
from exporter.ingest.intake import quarantine_reasons
from exporter.ledger.contract import PAGE_SIZE
from exporter.metrics.renderer import Renderer
from exporter.projection.checkpoint_writer import CheckpointWriter
from exporter.projection.decision_maker import find_subject
from exporter.projection.decision_records import list_recorded
from exporter.projection.landings import exports_with_landing
from exporter.projection.projector import Projector
from exporter.projection.retention import Pruner
from exporter.server.export_detail import export_detail, newest_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.domain.decision_rules import Subject
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.domain.landing import Landings, RunTimes
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import CompressedBody
    from exporter.projection.decision_records import RecordedDecision
    from exporter.projection.landings import ExportWithLanding
    from exporter.server.export_detail import ExportDetail

CHECKPOINT_SECONDS = 300.0
CHECKPOINT_EVENTS = 20_000
"""A checkpoint is due after this many new events, or after `CHECKPOINT_SECONDS` if there are any."""
BUSY_EVENTS = 10_000
"""If more events than this arrive between two checks, only `CHECKPOINT_SECONDS` counts, so that webhooks go first."""
MAX_EXPORTS_AT_STOP = 20_000
"""A stop writes no checkpoint if more exports than this have changed."""
MAX_GROUPS_EXAMINED = 20
"""Each costs a query; a sender can make up any number of groups."""


@dataclass(frozen=True, slots=True)
class ProjectionConfig:
    """The part of the configuration that states depend on.

    Attributes:
        sources: the configured sources by slug.
        declarations: the declared exports.
        exports_per_source: how many exports of a source get series of their own.
        retention: how long events are kept, in seconds.
        quarantine_retention: how long quarantined and refused bodies are kept, in seconds.
    """

    sources: Mapping[str, Source]
    declarations: Sequence[Declaration]
    exports_per_source: int
    retention: float
    quarantine_retention: float


class CatchUpResult(NamedTuple):
    """The result of reading the ledger to its end.

    Attributes:
        events: the sequence of the last event.
        from_checkpoint: whether reading started at a checkpoint.
    """

    events: int
    from_checkpoint: bool


class ScrapeResult(NamedTuple):
    """A rendered scrape.

    Attributes:
        body: the series of exports and sources, without this process's own metrics.
        series: the number of series in ``body``.
        dropped: the number of series that the limit dropped since the previous scrape.
    """

    body: CompressedBody
    series: int
    dropped: int


class CheckpointResult(NamedTuple):
    """The result of writing a checkpoint.

    Attributes:
        written: whether a checkpoint was written.
        other_configuration: whether the checkpoint belongs to an exporter of another configuration or release.
    """

    written: bool = False
    other_configuration: bool = False


class _LastCheckpoint(NamedTuple):
    """The last checkpoint that this process tried to write.

    Attributes:
        projector: the projector at that time; None before the first attempt.
        sequence: the sequence of its last event.
        at: the time, in Unix seconds.
    """

    projector: Projector | None = None
    sequence: int = 0
    at: float = 0.0


class ReadModel:
    """The states of a ledger, safe for several threads.

    Every method may raise `exporter.domain.errors.StoreError`. Times are in Unix seconds.

    Args:
        ledger: the ledger to read; the caller closes it.
        config: the part of the configuration that states depend on.

    Attributes:
        instance_id: the id of this process for heartbeats and checkpoints.
    """

    def __init__(self, ledger: Ledger, config: ProjectionConfig) -> None:
        self.instance_id = uuid.uuid4().hex
        self._ledger = ledger
        self._config = config
        self._state_lock = threading.Lock()
        self._projector, self._renderer = self._build(config)
        self._dropped = 0
        self._pruning_now = 0.0
        self._checkpoint_writer = CheckpointWriter(ledger, self.instance_id, self._state_lock, lambda: self._projector)
        self._pruner = Pruner(ledger, self._state_lock, self._catch_up_for_pruning)
        self._pruning: Iterator[int] | None = None
        self._last_checkpoint = _LastCheckpoint()
        self._last_seen_sequence = 0

    def catch_up(self, now: float) -> CatchUpResult:
        """Read the ledger to its end and render it, so that the first scrape does not have to."""
        with self._state_lock:
            self._refresh(now)
            # These objects live as long as the process; a full garbage collection of them would delay all threads.
            gc.freeze()
            return CatchUpResult(self._projector.sequence, self._projector.checkpoint_revision is not None)

    def scrape(self, now: float, *, openmetrics: bool) -> ScrapeResult:
        """Render the metrics of exports and sources in one of the two text formats."""
        with self._state_lock:
            self._refresh(now)
            renderer = self._renderer
            dropped = renderer.dropped - self._dropped
            self._dropped = renderer.dropped
            return ScrapeResult(renderer.body(openmetrics=openmetrics), renderer.series, dropped)

    def list_states(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """List the states of all exports, the most urgent first, and of all sources."""
        with self._state_lock:
            self._refresh(now)
            return self._projector.list_states(now), self._projector.list_sources()

    def crowded_groups(self, states: Iterable[ExportState]) -> set[str]:
        """Return the ids of those of the first `MAX_GROUPS_EXAMINED` groups that more than one export is at work in."""
        with self._state_lock:
            groups = islice((state for state in states if state.export == GROUP_LABEL), MAX_GROUPS_EXAMINED)
            return {state.id for state in groups if self._projector.crowding_ids(state)}

    def find_key(self, export_id: str, now: float) -> ExportKey:
        """Return the key of an export, retired or not.

        Raises:
            NoSuchExportError: no export has this id.
        """
        with self._state_lock:
            self._refresh(now)
            key = next((key for key in self._projector.exports.all_keys() if key.id == export_id), None)
        if key is None:
            message = "no export has this id"
            raise NoSuchExportError(message)
        return key

    def export_detail(self, export_id: str, now: float) -> ExportDetail:
        """Return everything about an export, retired or not.

        Raises:
            NoSuchExportError: no export has this id.
        """
        key = self.find_key(export_id, now)
        with self._state_lock:
            self._refresh(now)
            return export_detail(self._projector, self._ledger, key, now)

    def exports_with_landing(self, landings: Landings, now: float) -> list[ExportWithLanding]:
        """Call `exporter.projection.landings.exports_with_landing`.

        It reads new events and renders nothing, because it is called more often than scrapes come.
        """
        with self._state_lock:
            self._retry_if_lost(self._renderer.catch_up)
            return list(exports_with_landing(self._projector, landings, self._config.exports_per_source, now))

    def newest_runs(self, key: ExportKey, now: float) -> list[RunTimes]:
        """Return the newest runs of an export that have completed or are in progress, the newest first.

        Raises:
            NoSuchExportError: the export is gone.
        """
        with self._state_lock:
            self._refresh(now)
            return newest_runs(self._projector, self._ledger, key, now)

    def find_subject(self, key: ExportKey, now: float) -> Subject:
        """Call `exporter.projection.decision_maker.find_subject`."""
        with self._state_lock:
            self._refresh(now)
            return find_subject(self._projector, key, now)

    def list_decisions(self, now: float) -> list[RecordedDecision]:
        """List all mutes and retirements, the newest first."""
        with self._state_lock:
            self._refresh(now)
            return list_recorded(self._ledger, self._projector, now)

    def reconfigure(self, config: ProjectionConfig, now: float) -> None:
        """Switch to another configuration. The old one is in effect until then, and stays if the ledger fails."""
        with self._state_lock:
            hidden = self._renderer.hidden()
        projector, renderer = self._build(config, hidden)
        renderer.update(now)
        with self._state_lock:
            self._config, self._projector, self._renderer, self._dropped = config, projector, renderer, 0

    def write_checkpoint(self, now: float, *, stopping: bool = False) -> CheckpointResult:
        """Write a checkpoint if one is due, or if the service is stopping."""
        if not (stopping or self._checkpoint_is_due(now)):
            return CheckpointResult()
        with self._state_lock:
            self._refresh(now)
            attempt = _LastCheckpoint(self._projector, self._projector.sequence, now)
        max_exports = MAX_EXPORTS_AT_STOP if stopping else float("inf")
        written = self._checkpoint_writer.write(now, max_exports=max_exports, stopping=stopping)
        self._last_checkpoint = attempt
        return CheckpointResult(written, self._checkpoint_writer.other_configuration)

    def prune(self, now: float) -> int:
        """Remove some events and bodies past their retention, and return how many; 0 once none are left."""
        self._pruning_now = now
        pruning, self._pruning = self._pruning or self._prune(now), None
        count = next(pruning, 0)
        if count:  # otherwise the next call starts again
            self._pruning = pruning
        return count

    def _prune(self, now: float) -> Iterator[int]:
        yield from self._pruner.prune(now, self._config.retention)
        yield from self._pruner.prune_bodies(now, self._config.quarantine_retention)
        while count := self._ledger.landings.prune(now - self._config.retention, PAGE_SIZE):
            yield count

    def _refresh(self, now: float) -> None:
        """Read and render what is new. The caller holds the state lock."""
        self._retry_if_lost(lambda: self._renderer.update(now))

    @staticmethod
    def _retry_if_lost(read: Callable[[], None]) -> None:
        try:
            read()
        except StoreLostError:
            read()  # another ledger may have replaced the lost one

    def _build(self, config: ProjectionConfig, hidden: Iterable[ExportKey] = ()) -> tuple[Projector, Renderer]:
        projector = Projector(self._ledger, config.sources, config.declarations)
        return projector, Renderer(projector, config.exports_per_source, quarantine_reasons(), already_dropped=hidden)

    def _catch_up_for_pruning(self) -> Projector:
        """Return the projector after catching up. The caller, `Pruner`, holds the state lock."""
        self._refresh(self._pruning_now)
        return self._projector

    def _checkpoint_is_due(self, now: float) -> bool:
        last = self._last_checkpoint
        sequence = self._ledger.last_sequence()
        busy = sequence - self._last_seen_sequence > BUSY_EVENTS
        self._last_seen_sequence = sequence
        new_events = sequence - last.sequence
        time_is_up = new_events != 0 and abs(now - last.at) >= CHECKPOINT_SECONDS
        return last.projector is not self._projector or time_is_up or (new_events >= CHECKPOINT_EVENTS and not busy)
