"""What one process serves: its configuration, its ledger, and what it knows of it."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import ConfigurationError, StoreError
from exporter.ingest.intake import Intake
from exporter.server.read_model import ProjectionConfig, ReadModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.loader import Config
    from exporter.domain.events import Event
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import CompressedBody
    from exporter.metrics.process_metrics import ProcessMetrics

HEARTBEAT_SECONDS = 10.0
MAINTENANCE_SECONDS = 10.0
PRUNE_SECONDS = 3600.0
RETRY_SECONDS = 1.0

log = structlog.get_logger()


class Service:
    """Everything behind the two listeners, safe for several threads.

    Args:
        config: as it was checked at the start.
        reread: reads the configuration again; raises `ConfigurationError`.
        ledger: open, and this service's own.
        telemetry: this process's metrics.
        now: the clock, in Unix seconds.
    """

    def __init__(
        self,
        config: Config,
        reload_config: Callable[[], Config],
        ledger: Ledger,
        process_metrics: ProcessMetrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.process_metrics = process_metrics
        self.now = now
        self.intake = Intake(ledger, config.limits.event_bytes)
        self._reload_config = reload_config
        self._ledger = ledger
        self._model = ReadModel(ledger, projection_config(config))
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._threads: list[threading.Thread] = []
        process_metrics.initialise_sources(config.sources)
        process_metrics.reload_successful.set(1)
        process_metrics.reload_time.set(now())
        process_metrics.exports_per_source_limit.set(config.limits.exports_per_source)
        self._pruned_at = 0.0

    @property
    def ledger(self) -> Ledger:
        """What is kept, for those who only read it."""
        return self._ledger

    def start(self) -> None:
        """Say that somebody listens, and begin to catch up with the ledger.

        Raises:
            StoreError: the ledger does not take the heartbeat.
        """
        self.intake.load_offsets(self.config.sources_without_credentials.values())
        self._apply_retention(self.intake, self.config)
        self._ledger.record_heartbeat(self._model.instance_id, self.now())
        self._record_declarations(self.config)
        for work in (self._heartbeat_loop, self._catch_up_loop):
            thread = threading.Thread(target=work, daemon=True, name=work.__name__)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the background work and close the ledger."""
        self._stopping.set()
        if self._caught_up.is_set():
            for thread in self._threads:
                thread.join()
            self._write_checkpoint(stopping=True)
        # Otherwise they are left to end with the process: to read a large ledger may take minutes.
        self._ledger.close()

    def why_not_ready(self) -> str:
        """Why this cannot serve just now; empty when it can."""
        if not self._caught_up.is_set():
            return "still reading the ledger"
        try:
            self._ledger.last_sequence()
            if self.process_metrics.writes_fail:  # whether they still do only a write can tell
                self._ledger.record_heartbeat(self._model.instance_id, self.now())
        except StoreError as error:
            return f"the store does not answer: {error}"
        return ""

    def scrape(self, *, openmetrics: bool) -> CompressedBody:
        """The body of a scrape in one of the two text formats, but for this process's own metrics.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been; zeros would be a lie.
        """
        self._require_caught_up()
        body, series, dropped = self._model.scrape(self.now(), openmetrics=openmetrics)
        self.process_metrics.series.set(series)
        self.process_metrics.series_dropped.inc(dropped)
        return body

    def list_states(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """As `exporter.server.read_model.ReadModel.list_states`.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been.
        """
        self._require_caught_up()
        return self._model.list_states(now)

    def find_export(self, export_id: str, now: float, max_events: int) -> tuple[ExportState, list[Event]] | None:
        """As `exporter.server.read_model.ReadModel.find_export`.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been.
        """
        self._require_caught_up()
        return self._model.find_export(export_id, now, max_events)

    def reload(self) -> tuple[str, ...]:
        """Take the configuration as it is now; where it is wrong, keep the old one.

        Returns:
            What is wrong with it; nothing where it was taken.
        """
        with self._reloading:
            try:
                config = self._reload_config()
                self._reconfigure(config)
            except ConfigurationError as error:
                problems = error.problems
            except StoreError as error:
                problems = (f"the store does not answer: {error}",)
            else:
                self.process_metrics.reload_successful.set(1)
                self.process_metrics.reload_time.set(self.now())
                log.info("reloaded", sources=len(config.sources), exports=len(config.exports))
                return ()
        self.process_metrics.reload_successful.set(0)
        log.error("reload failed, the old configuration stays", problems=list(problems))
        return problems

    def _require_caught_up(self) -> None:
        if not self._caught_up.is_set():
            message = "still reading the ledger"
            raise StoreError(message)

    def _reconfigure(self, config: Config) -> None:
        fixed = ("webhook_listen", "admin_listen", "store_url", "log")
        need_restart = [name for name in fixed if getattr(config, name) != getattr(self.config, name)]
        if (config.tls is None) != (self.config.tls is None):
            need_restart.append("tls")
            config = replace(config, tls=self.config.tls)
        if need_restart:
            log.warning("takes effect at the next start", settings=need_restart)
            config = replace(config, **{name: getattr(self.config, name) for name in fixed})
        self.process_metrics.initialise_sources(config.sources)
        self._record_declarations(config)
        intake = Intake(self._ledger, config.limits.event_bytes)
        intake.load_offsets(config.sources_without_credentials.values())
        self._apply_retention(intake, config)
        self._model.reconfigure(projection_config(config), self.now())
        if math.isfinite(self.intake.retention):  # that may have taken long, and events were pruned meanwhile
            intake.retention = config.retention
        self.config, self.intake = config, intake
        self.process_metrics.exports_per_source_limit.set(config.limits.exports_per_source)

    def _record_declarations(self, config: Config) -> None:
        self._ledger.record_declarations(
            [(declaration.match.source, declaration.name) for declaration in config.exports], self.now()
        )

    def _heartbeat_loop(self) -> None:
        declared_in = self._ledger.ledger_id()
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            try:
                self._ledger.record_heartbeat(self._model.instance_id, self.now())
                self._apply_retention(self.intake, self.config)  # another process may have pruned
                if declared_in != self._ledger.ledger_id():
                    # In a ledger put in the place of the other, nobody has declared the exports yet.
                    self._record_declarations(self.config)
                    declared_in = self._ledger.ledger_id()
            except StoreError as error:
                log.error("no heartbeat", error=str(error))

    def _catch_up_loop(self) -> None:
        while not self._stopping.is_set():
            try:
                events, from_checkpoint = self._model.catch_up(self.now())
            except StoreError as error:
                log.error("cannot read the ledger", error=str(error))
                self._stopping.wait(RETRY_SECONDS)
            else:
                self._caught_up.set()
                log.info("ready", events=events, from_checkpoint=from_checkpoint)
                if from_checkpoint:
                    self._stopping.wait(MAINTENANCE_SECONDS)  # there is little to write, and somebody will scrape first
                self._maintenance_loop()
                return

    def _maintenance_loop(self) -> None:
        """Keep the checkpoint fresh, so that the next start has little to read, and remove what is old."""
        while not self._stopping.is_set():
            self._write_checkpoint()
            self._prune()
            self._stopping.wait(MAINTENANCE_SECONDS)

    def _write_checkpoint(self, *, stopping: bool = False) -> None:
        now = self.now()
        try:
            written, differs = self._model.write_checkpoint(now, stopping=stopping)
        except Exception as error:  # noqa: BLE001 - whatever it was, it must end neither this for good nor a stop
            log.error("no checkpoint", error=str(error))
            return
        if written:
            self.process_metrics.checkpoint_time.set(now)
        if differs:
            # It may as well be the one before this, killed a moment ago.
            log.warning("an exporter of another configuration or release was heard of within a minute on this store")

    def _prune(self) -> None:
        now = self.now()
        if now - self._pruned_at < PRUNE_SECONDS:
            return
        self._pruned_at = now
        try:
            while not self._stopping.is_set() and (count := self._model.prune(now)):
                self._apply_retention(self.intake, self.config)
                self.process_metrics.pruned.inc(count)
        except Exception as error:  # noqa: BLE001 - as for the checkpoint
            log.error("nothing more is pruned for now", error=str(error))

    def _apply_retention(self, intake: Intake, config: Config) -> None:
        """Once events were pruned, one that may be among them is not to be counted anew."""
        if self._ledger.checkpoints.pruning_state().revision:
            intake.retention = config.retention


def projection_config(config: Config) -> ProjectionConfig:
    """What of a configuration decides about what is known."""
    return ProjectionConfig(
        config.sources_without_credentials, config.exports, config.limits.exports_per_source, config.retention
    )
