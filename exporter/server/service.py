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
from exporter.server.read_model import ReadModel, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.loader import Config
    from exporter.domain.events import Event
    from exporter.domain.states import ExportState, SourceState
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import Body
    from exporter.metrics.process_metrics import Telemetry

HEARTBEAT_SECONDS = 10.0
UPKEEP_SECONDS = 10.0
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
        reread: Callable[[], Config],
        ledger: Ledger,
        telemetry: Telemetry,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.telemetry = telemetry
        self.now = now
        self.intake = Intake(ledger, config.limits.event_bytes)
        self._reread = reread
        self._ledger = ledger
        self._model = ReadModel(ledger, scope_of(config))
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._threads: list[threading.Thread] = []
        telemetry.expect_sources(config.sources)
        telemetry.reload_successful.set(1)
        telemetry.reload_time.set(now())
        telemetry.exports_per_source_limit.set(config.limits.exports_per_source)
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
        self.intake.recall(self.config.plain_sources.values())
        self._refuse_old(self.intake, self.config)
        self._ledger.beat(self._model.watch, self.now())
        self._declare(self.config)
        for work in (self._beat, self._catch_up):
            thread = threading.Thread(target=work, daemon=True, name=work.__name__)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the background work and close the ledger."""
        self._stopping.set()
        if self._caught_up.is_set():
            for thread in self._threads:
                thread.join()
            self._checkpoint(leaving=True)
        # Otherwise they are left to end with the process: to read a large ledger may take minutes.
        self._ledger.close()

    def unready(self) -> str:
        """Why this cannot serve just now; empty when it can."""
        if not self._caught_up.is_set():
            return "still reading the ledger"
        try:
            self._ledger.last_sequence()
            if self.telemetry.writes_fail:  # whether they still do only a write can tell
                self._ledger.beat(self._model.watch, self.now())
        except StoreError as error:
            return f"the store does not answer: {error}"
        return ""

    def scrape(self, *, openmetrics: bool) -> Body:
        """The body of a scrape in one of the two text formats, but for this process's own metrics.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been; zeros would be a lie.
        """
        self._refuse_early()
        body, series, dropped = self._model.scrape(self.now(), openmetrics=openmetrics)
        self.telemetry.series.set(series)
        self.telemetry.series_dropped.inc(dropped)
        return body

    def known(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """As `exporter.server.read_model.ReadModel.known`.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been.
        """
        self._refuse_early()
        return self._model.known(now)

    def export(self, identity: str, now: float, most: int) -> tuple[ExportState, list[Event]] | None:
        """As `exporter.server.read_model.ReadModel.export`.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been.
        """
        self._refuse_early()
        return self._model.export(identity, now, most)

    def reload(self) -> tuple[str, ...]:
        """Take the configuration as it is now; where it is wrong, keep the old one.

        Returns:
            What is wrong with it; nothing where it was taken.
        """
        with self._reloading:
            try:
                config = self._reread()
                self._take(config)
            except ConfigurationError as error:
                problems = error.problems
            except StoreError as error:
                problems = (f"the store does not answer: {error}",)
            else:
                self.telemetry.reload_successful.set(1)
                self.telemetry.reload_time.set(self.now())
                log.info("reloaded", sources=len(config.sources), exports=len(config.exports))
                return ()
        self.telemetry.reload_successful.set(0)
        log.error("reload failed, the old configuration stays", problems=list(problems))
        return problems

    def _refuse_early(self) -> None:
        if not self._caught_up.is_set():
            message = "still reading the ledger"
            raise StoreError(message)

    def _take(self, config: Config) -> None:
        fixed = ("webhook_listen", "admin_listen", "store_url", "log")
        waiting = [name for name in fixed if getattr(config, name) != getattr(self.config, name)]
        if (config.tls is None) != (self.config.tls is None):
            waiting.append("tls")
            config = replace(config, tls=self.config.tls)
        if waiting:
            log.warning("takes effect at the next start", settings=waiting)
            config = replace(config, **{name: getattr(self.config, name) for name in fixed})
        self.telemetry.expect_sources(config.sources)
        self._declare(config)
        intake = Intake(self._ledger, config.limits.event_bytes)
        intake.recall(config.plain_sources.values())
        self._refuse_old(intake, config)
        self._model.take(scope_of(config), self.now())
        if math.isfinite(self.intake.retention):  # that may have taken long, and events were pruned meanwhile
            intake.retention = config.retention
        self.config, self.intake = config, intake
        self.telemetry.exports_per_source_limit.set(config.limits.exports_per_source)

    def _declare(self, config: Config) -> None:
        self._ledger.declare([(each.match.source, each.name) for each in config.exports], self.now())

    def _beat(self) -> None:
        declared_in = self._ledger.identity()
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            try:
                self._ledger.beat(self._model.watch, self.now())
                self._refuse_old(self.intake, self.config)  # another process may have pruned
                if declared_in != self._ledger.identity():
                    # In a ledger put in the place of the other, nobody has declared the exports yet.
                    self._declare(self.config)
                    declared_in = self._ledger.identity()
            except StoreError as error:
                log.error("no heartbeat", error=str(error))

    def _catch_up(self) -> None:
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
                    self._stopping.wait(UPKEEP_SECONDS)  # there is little to write, and somebody will scrape first
                self._keep_up()
                return

    def _keep_up(self) -> None:
        """Keep the checkpoint fresh, so that the next start has little to read, and remove what is old."""
        while not self._stopping.is_set():
            self._checkpoint()
            self._prune()
            self._stopping.wait(UPKEEP_SECONDS)

    def _checkpoint(self, *, leaving: bool = False) -> None:
        now = self.now()
        try:
            written, differs = self._model.keep(now, leaving=leaving)
        except Exception as error:  # noqa: BLE001 - whatever it was, it must end neither this for good nor a stop
            log.error("no checkpoint", error=str(error))
            return
        if written:
            self.telemetry.checkpoint_time.set(now)
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
                self._refuse_old(self.intake, self.config)
                self.telemetry.pruned.inc(count)
        except Exception as error:  # noqa: BLE001 - as for the checkpoint
            log.error("nothing more is pruned for now", error=str(error))

    def _refuse_old(self, intake: Intake, config: Config) -> None:
        """Once events were pruned, one that may be among them is not to be counted anew."""
        if self._ledger.folds.pruned().revision:
            intake.retention = config.retention


def scope_of(config: Config) -> Scope:
    """What of a configuration decides about what is known."""
    return Scope(config.plain_sources, config.exports, config.limits.exports_per_source, config.retention)
