"""What one process serves: its configuration, its ledger, and what it knows of it."""

from __future__ import annotations

import gc
import threading
import time
import uuid
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from exporter.collector import Collector, uncollected
from exporter.errors import ConfigurationError, StoreError
from exporter.intake import REASONS, Intake
from exporter.keeping import Keeper
from exporter.ledger import PAGE
from exporter.pruning import Pruner
from exporter.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config import Config
    from exporter.gzip_parts import Body
    from exporter.ledger import Ledger
    from exporter.model import Event, ExportKey, ExportState, SourceState
    from exporter.telemetry import Telemetry

HEARTBEAT_SECONDS = 10.0
UPKEEP_SECONDS = 10.0
CHECKPOINT_SECONDS = 300.0
CHECKPOINT_EVENTS = 20_000
"""After how many new events, or seconds with some, the checkpoint is written again."""
RUSH_EVENTS = 10_000
"""While more than these arrive between two looks, webhooks go first, and the checkpoint waits for its seconds."""
PRUNE_SECONDS = 3600.0
MOST_AT_THE_END = 20_000
"""With more exports than that to write, a stop does not wait for the checkpoint, nor for what is kept of their text."""
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
        self._watch = uuid.uuid4().hex
        self._knowing = threading.Lock()
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._dropped = 0
        self._threads: list[threading.Thread] = []
        telemetry.expect_sources(config.sources)
        telemetry.reload_successful.set(1)
        telemetry.reload_time.set(now())
        telemetry.exports_per_source_limit.set(config.limits.exports_per_source)
        self._reader, self._collector = self._knowledge(config)
        self._keeper = Keeper(ledger, self._watch, self._knowing, lambda: self._reader, self._text)
        self._pruner = Pruner(ledger, self._knowing, self._refreshed)
        self._pruned_at = 0.0
        self._checkpointed: tuple[Reader | None, int, float] = (None, 0, 0.0)
        self._looked_at = 0

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
        self._ledger.beat(self._watch, self.now())
        self._declare(self.config)
        for work in (self._beat, self._catch_up):
            thread = threading.Thread(target=work, daemon=True, name=work.__name__)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the background work and close the ledger."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._caught_up.is_set():
            self._checkpoint(leaving=True)
        self._ledger.close()

    def unready(self) -> str:
        """Why this cannot serve just now; empty when it can."""
        if not self._caught_up.is_set():
            return "still reading the ledger"
        try:
            self._ledger.last_sequence()
            if self.telemetry.writes_fail:  # whether they still do only a write can tell
                self._ledger.beat(self._watch, self.now())
        except StoreError as error:
            return f"the store does not answer: {error}"
        return ""

    def scrape(self, *, openmetrics: bool) -> Body:
        """The body of a scrape in one of the two text formats, but for this process's own metrics.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been; zeros would be a lie.
        """
        self._refuse_early()
        with self._knowing:
            collector = self._collector
            collector.refresh(self.now())
            self.telemetry.series.set(collector.series)
            self.telemetry.series_dropped.inc(collector.dropped - self._dropped)
            self._dropped = collector.dropped
            return collector.body(openmetrics=openmetrics)

    def known(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """The states of all exports, the most urgent first, and of all sources.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been.
        """
        self._refuse_early()
        with self._knowing:
            self._collector.refresh(now)
            return self._reader.states(now), self._reader.sources()

    def export(self, identity: str, now: float, most: int) -> tuple[ExportState, list[Event]] | None:
        """One export by its `ExportKey.id` with its newest events, the last one first; None for no such export.

        Where other exports share its selection, it is not looked for past `PAGE` events of theirs.

        Raises:
            StoreError: the ledger cannot be read, or has not yet been.
        """
        self._refuse_early()
        with self._knowing:
            self._collector.refresh(now)
            known = self._reader.exports
            key = next((key for key in self._reader.shown() if key.id == identity), None)
            if key is None:
                return None
            recent = islice(self._ledger.recent(known.selection(key), self._reader.sequence), PAGE)
            return self._reader.export(key, now), list(islice((e for e in recent if known.owns(key, e)), most))

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
        fixed = ("webhook_listen", "admin_listen", "webhook_front", "store_url", "log")
        waiting = [name for name in fixed if getattr(config, name) != getattr(self.config, name)]
        if (config.tls is None) != (self.config.tls is None):
            waiting.append("tls")
            config = replace(config, tls=self.config.tls)
        if waiting:
            log.warning("takes effect at the next start", settings=waiting)
            config = replace(config, **{name: getattr(self.config, name) for name in fixed})
        self.telemetry.expect_sources(config.sources)
        self._declare(config)
        with self._knowing:
            hidden = self._collector.hidden()
        reader, collector = self._knowledge(config, hidden)
        collector.refresh(self.now())
        intake = Intake(self._ledger, config.limits.event_bytes)
        intake.recall(config.plain_sources.values())
        self._refuse_old(intake, config)
        with self._knowing:
            self.config, self.intake = config, intake
            self._reader, self._collector, self._dropped = reader, collector, 0
            self.telemetry.exports_per_source_limit.set(config.limits.exports_per_source)

    def _knowledge(self, config: Config, hidden: Iterable[ExportKey] = ()) -> tuple[Reader, Collector]:
        reader = Reader(self._ledger, config.plain_sources, config.exports)
        return reader, Collector(reader, config.limits.exports_per_source, REASONS, counted=hidden)

    def _declare(self, config: Config) -> None:
        self._ledger.declare([(each.match.source, each.name) for each in config.exports], self.now())

    def _beat(self) -> None:
        declared_in = self._ledger.identity()
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            try:
                self._ledger.beat(self._watch, self.now())
                self._refuse_old(self.intake, self.config)  # another process may have pruned
                if declared_in != self._ledger.identity():
                    # In a ledger put in the place of the other, nobody has declared the exports yet.
                    self._declare(self.config)
                    declared_in = self._ledger.identity()
            except StoreError as error:
                log.error("no heartbeat", error=str(error))

    def _keep_up(self) -> None:
        """Keep the checkpoint fresh, so that the next start has little to read."""
        if self._reader.saved is not None:
            self._stopping.wait(UPKEEP_SECONDS)  # whoever went on from one has little to write, and is scraped first
        while not self._stopping.is_set():
            self._checkpoint()
            self._prune()
            self._stopping.wait(UPKEEP_SECONDS)

    def _refuse_old(self, intake: Intake, config: Config) -> None:
        """Once events were pruned, one that may be among them is not to be counted anew."""
        if self._ledger.folds.pruned().revision:
            intake.retention = config.retention

    def _prune(self) -> None:
        now = self.now()
        if now - self._pruned_at < PRUNE_SECONDS:
            return
        self._pruned_at = now
        try:
            for count in self._pruner.prune(now, self.config.retention):
                self._refuse_old(self.intake, self.config)
                self.telemetry.pruned.inc(count)
                if self._stopping.is_set():
                    break
        except Exception as error:  # noqa: BLE001 - as for the checkpoint
            log.error("nothing more is pruned for now", error=str(error))

    def _text(self) -> str | None:
        """What is to be kept of the text of the collector of the moment."""
        return self._collector.kept(MOST_AT_THE_END)

    def _refreshed(self) -> Reader:
        """The reader, as of now; while it is held."""
        self._collector.refresh(self.now())
        return self._reader

    def _checkpoint(self, *, leaving: bool = False) -> None:
        try:
            if leaving or self._checkpoint_is_due():
                self._write_checkpoint(leaving=leaving)
        except Exception as error:  # noqa: BLE001 - whatever it was, it must end neither this for good nor a stop
            log.error("no checkpoint", error=str(error))

    def _checkpoint_is_due(self) -> bool:
        reader, sequence, at = self._checkpointed
        newest = self._ledger.last_sequence()
        rush, self._looked_at = newest - self._looked_at > RUSH_EVENTS, newest
        waiting = newest - sequence
        late = waiting != 0 and self.now() - at >= CHECKPOINT_SECONDS
        return reader is not self._reader or late or (waiting >= CHECKPOINT_EVENTS and not rush)

    def _write_checkpoint(self, *, leaving: bool) -> None:
        now = self.now()
        with self._knowing:
            self._collector.refresh(now)
            reader, sequence = self._reader, self._reader.sequence
        most = MOST_AT_THE_END if leaving else float("inf")
        if self._keeper.write(now, most=most, leaving=leaving):
            self.telemetry.checkpoint_time.set(now)
        if self._keeper.differs:
            # It may as well be the one before this, killed a moment ago.
            log.warning("an exporter of another configuration or release was heard of within a minute on this store")
        self._checkpointed = reader, sequence, now

    def _catch_up(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._knowing, uncollected():
                    self._collector.refresh(self.now())  # with all there is to render, so that no scrape waits for it
                    # What is known now will be needed as long as this runs; looking through it for
                    # garbage would hold up every request now and then. It is not even looked
                    # through once, which took 25 ms of a start with 10,000 exports, twice, and
                    # found a few hundred objects.
                    gc.freeze()
            except StoreError as error:
                log.error("cannot read the ledger", error=str(error))
                self._stopping.wait(RETRY_SECONDS)
            else:
                self._caught_up.set()
                log.info("ready", events=self._reader.sequence, from_checkpoint=self._reader.saved is not None)
                self._keep_up()
                return
