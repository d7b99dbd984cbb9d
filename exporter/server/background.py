"""Work that runs beside the listeners: heartbeats, catching up with the ledger, checkpoints and pruning."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.ledger.clock import Clock
    from exporter.ledger.contract import Ledger
    from exporter.metrics.process_metrics import ProcessMetrics
    from exporter.server.read_model import ReadModel
    from exporter.server.timekeeping import Timekeeper

HEARTBEAT_SECONDS = 10.0
MAINTENANCE_SECONDS = 10.0
PRUNE_SECONDS = 3600.0
STEADY_SECONDS = 24 * 3600.0
"""Nothing is pruned until the clock has run for so long, since the start, without a step."""
RETRY_SECONDS = 1.0

log = structlog.get_logger()


class BackgroundWork:
    """The two background threads of a service.

    One sends heartbeats from the start. The other first catches up with the ledger, and from then
    on writes checkpoints and prunes.

    Args:
        ledger: records the heartbeats.
        model: catches up, writes checkpoints and prunes.
        process_metrics: count and date what was done.
        clock: the clock of this process.
        timekeeper: corrects it.
        record_declarations: records the declared exports; called when another ledger has replaced this one.
        apply_retention: makes the intake refuse events older than the retention if any were pruned.
        forget_offsets: makes the intake read the UTC offsets of sources again; called when events were dated again.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a service
        self,
        ledger: Ledger,
        model: ReadModel,
        process_metrics: ProcessMetrics,
        clock: Clock,
        timekeeper: Timekeeper,
        record_declarations: Callable[[], None],
        apply_retention: Callable[[], None],
        forget_offsets: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._model = model
        self._process_metrics = process_metrics
        self._clock = clock
        self._now = clock.now
        self._timekeeper = timekeeper
        self._record_declarations = record_declarations
        self._apply_retention = apply_retention
        self._forget_offsets = forget_offsets
        self._stopping = threading.Event()
        self._maintenance_due = threading.Event()
        """Set to end the wait for the next turn of the maintenance; when stopping, set after `_stopping`."""
        self._caught_up = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pruned_at = 0.0

    @property
    def caught_up(self) -> bool:
        """Whether the ledger was read to its end once, so that states can be shown."""
        return self._caught_up.is_set()

    def start(self, on_caught_up: Callable[[], None]) -> None:
        """Start both threads.

        Args:
            on_caught_up: called once the ledger was read to its end.

        Raises:
            StoreError: the ledger cannot be read.
        """
        self._replay_generation = self._ledger.replay_generation()
        self._ledger_id = self._ledger.ledger_id()
        self._on_caught_up = on_caught_up
        for loop in (self._heartbeat_loop, self._catch_up_loop):
            thread = threading.Thread(target=loop, daemon=True, name=loop.__name__)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop both threads and write a last checkpoint.

        Reading a large ledger may take minutes. If it has not ended, its thread is not waited for: it ends with the
        process, and no checkpoint is written.
        """
        self._stopping.set()
        self._maintenance_due.set()
        if self.caught_up:
            for thread in self._threads:
                thread.join()
            self._write_checkpoint(stopping=True)

    def maintain_soon(self) -> None:
        """Write a checkpoint of a configuration that was just applied, without waiting for the next turn."""
        self._maintenance_due.set()

    def _heartbeat_loop(self) -> None:
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            try:
                self._heartbeat()
            except StoreError as error:
                log.error("heartbeat_failed", error=str(error))

    def _heartbeat(self) -> None:
        generation = self._ledger.replay_generation()  # first, because a read is what notices a replaced ledger
        if self._ledger_id != self._ledger.ledger_id():
            # This ledger knows neither the epoch of this boot nor since when the exports are declared.
            self._timekeeper.enter()
            self._record_declarations()
            self._ledger_id = self._ledger.ledger_id()
        self._timekeeper.check()
        self._ledger.record_heartbeat(self._model.instance_id, *self._clock.read())
        self._process_metrics.backup_time.set(self._ledger.last_backup())
        self._apply_retention()  # another process may have pruned
        if generation != self._replay_generation:
            self._forget_offsets()
            self._replay_generation = generation

    def _catch_up_loop(self) -> None:
        while not self._stopping.is_set():
            try:
                events, from_checkpoint = self._model.catch_up(self._now())
            except StoreError as error:
                if not self._stopping.is_set():  # otherwise the stop has closed the ledger during the read
                    log.error("store_read_failed", error=str(error))
                    self._stopping.wait(RETRY_SECONDS)
            else:
                self._caught_up.set()
                self._on_caught_up()
                log.info("ready", events=events, from_checkpoint=from_checkpoint)
                if from_checkpoint:
                    self._maintenance_due.wait(
                        MAINTENANCE_SECONDS
                    )  # little is new, and the first scrape should not wait
                self._maintenance_loop()
                return

    def _maintenance_loop(self) -> None:
        while not self._stopping.is_set():
            self._redate()
            self._write_checkpoint()
            self._prune()
            self._maintenance_due.wait(MAINTENANCE_SECONDS)
            self._maintenance_due.clear()

    def _write_checkpoint(self, *, stopping: bool = False) -> None:
        now = self._now()
        try:
            written, other_configuration = self._model.write_checkpoint(now, stopping=stopping)
        except Exception as error:  # noqa: BLE001 - no error may end this thread or prevent a stop
            log.error("checkpoint_failed", error=str(error))
            return
        if written:
            self._process_metrics.checkpoint_time.set(now)
        if other_configuration:
            # It may also be this exporter's predecessor, killed less than a minute ago.
            log.warning("replica_differs")

    def _redate(self) -> None:
        try:
            self._timekeeper.redate()
        except Exception as error:  # noqa: BLE001 - as for the checkpoint
            log.error("redating_failed", error=str(error))

    def _prune(self) -> None:
        if self._clock.steady_seconds() < STEADY_SECONDS:
            return  # a clock that is ahead would remove what it should not
        now = self._clock.earliest_now()
        if abs(now - self._pruned_at) < PRUNE_SECONDS:
            return
        self._pruned_at = now
        try:
            while not self._stopping.is_set() and (count := self._model.prune(now)):
                self._apply_retention()
                self._process_metrics.pruned.inc(count)
        except Exception as error:  # noqa: BLE001 - as for the checkpoint
            log.error("pruning_failed", error=str(error))
