"""The service behind both listeners: configuration, ledger, intake, read model and background work."""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from exporter.config import store_url
from exporter.domain.errors import ConfigurationError, StoreError
from exporter.domain.exports import key_of_source
from exporter.ingest.intake import Intake
from exporter.ingest.redating import Redating
from exporter.ingest.replay import Replay, oldest_acceptable
from exporter.ledger.clock import Clock, ThisMachine
from exporter.projection.decision_maker import DecisionMaker
from exporter.server.background import BackgroundWork
from exporter.server.landing.checker import LandingChecker
from exporter.server.read_model import ProjectionConfig, ReadModel
from exporter.server.refused_bodies import RefusedBodies
from exporter.server.timekeeping import Timekeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.loader import Config
    from exporter.domain.decision_rules import Subject
    from exporter.domain.exports import ExportKey
    from exporter.domain.states import ExportState, SourceState
    from exporter.ingest.replay import QuarantineSelection, ReplayPage
    from exporter.ledger.clock import Machine
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import CompressedBody
    from exporter.metrics.process_metrics import ProcessMetrics
    from exporter.projection.decision_records import RecordedDecision
    from exporter.server.export_detail import ExportDetail

NOT_READ = "still reading the store"
RESTART_SETTINGS = ("webhook_listen", "admin_listen", "store_url", "log")
"""Fields of `Config` that a reload cannot change; nor can it switch TLS on or off."""

log = structlog.get_logger()


class Service:
    """Everything behind the two listeners; safe for several threads.

    Args:
        config: the configuration to start with.
        reload_config: reads the configuration again; raises `ConfigurationError`.
        ledger: an open ledger; `stop` closes it.
        process_metrics: this process's own metrics.
        machine: has the clocks; by default this machine.

    Attributes:
        config: the configuration in effect; a reload replaces it.
        clock: the clock that stamps what arrives.
        now: returns the time of that clock, in Unix seconds.
        intake: the way of a webhook's body to the ledger; a reload replaces it.
        refused_bodies: records the bodies that the webhook refuses.
        landings: checks whether the files of exports have landed.
        decisions: makes decisions about exports; raises `StoreError` until the ledger was read to its end.
    """

    def __init__(
        self,
        config: Config,
        reload_config: Callable[[], Config],
        ledger: Ledger,
        process_metrics: ProcessMetrics,
        machine: Machine | None = None,
    ) -> None:
        self.config = config
        self.process_metrics = process_metrics
        self.clock = Clock(ledger, machine or ThisMachine())
        self.now = self.clock.now
        process_metrics.clock_time.set_function(self.clock.wall)
        self.intake = Intake(ledger, config.limits.event_bytes)
        self.refused_bodies = RefusedBodies(ledger.bodies, self.now)
        self._reload_config = reload_config
        self._ledger = ledger
        self._model = ReadModel(ledger, projection_config(config))
        self.decisions = DecisionMaker(ledger, self.clock.read, self._find_subject)
        self.landings = LandingChecker(ledger, self._model, self.clock, config.landings)
        self._timekeeper = Timekeeper(ledger, self.clock, self._redating)
        self._background = BackgroundWork(
            ledger,
            self._model,
            process_metrics,
            self.clock,
            self._timekeeper,
            record_declarations=lambda: self._record_declarations(self.config),
            apply_retention=lambda: self._apply_retention(self.intake, self.config),
            forget_offsets=self._forget_offsets,
        )
        self._reload_lock = threading.Lock()
        self._reload_requests = itertools.count(1)
        self._reload_started_at = 0  # the number of requests at the start of the newest reload
        self._reload_problems: tuple[str, ...] = ()
        self._initialise_metrics(config)
        process_metrics.reload_successful.set(1)
        process_metrics.reload_time.set(self.now())
        process_metrics.exports_per_source_limit.set(config.limits.exports_per_source)
        process_metrics.certificate_end.set(config.tls_expires_at)
        process_metrics.backup_max_age.set(config.backup_max_age)
        file = store_url.sqlite_file(config.store_url)
        process_metrics.store_volume.folder = file.parent if file else None

    @property
    def ledger(self) -> Ledger:
        """The ledger, for reading."""
        return self._ledger

    def start(self, on_caught_up: Callable[[], None] = lambda: None) -> None:
        """Record a first heartbeat, the sources and the declared exports, and start the background work.

        Args:
            on_caught_up: called once the ledger was read to its end, so that states can be shown.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        self.intake.load_offsets(self.config.sources_without_credentials.values())
        self._apply_retention(self.intake, self.config)
        self._timekeeper.enter()
        self._ledger.record_heartbeat(self._model.instance_id, *self.clock.read())
        self._record_declarations(self.config)
        self.process_metrics.backup_time.set(self._ledger.last_backup())

        def begin() -> None:
            self.landings.start()
            on_caught_up()

        self._background.start(begin)
        self.refused_bodies.start()

    def stop(self) -> None:
        """Stop the background work and close the ledger."""
        self.refused_bodies.stop()
        self.landings.stop()
        self._background.stop()
        self._ledger.close()

    def why_not_ready(self) -> str | None:
        """Explain why this service cannot answer now; None if it can."""
        if not (self._background.caught_up and self.landings.is_ready):
            return NOT_READ
        try:
            self._ledger.last_sequence()
            if self.process_metrics.writes_fail:  # only another write shows whether they still do
                self._ledger.record_heartbeat(self._model.instance_id, *self.clock.read())
        except StoreError as error:
            return f"the store does not answer: {error}"
        return None

    def scrape(self, *, openmetrics: bool) -> CompressedBody:
        """Render a scrape in one of the two text formats, without this process's own metrics.

        Raises:
            StoreError: the ledger cannot be read, or was not read to its end yet: zeros would be wrong.
        """
        self._require_caught_up()
        if not self.landings.is_ready:
            raise StoreError(NOT_READ)
        body, series, dropped = self._model.scrape(self.now(), openmetrics=openmetrics)
        self.process_metrics.series.set(series)
        self.process_metrics.series_dropped.inc(dropped)
        landings = self.landings.part(openmetrics=openmetrics)
        return body.followed_by(landings) if landings else body

    def list_states(self, now: float) -> tuple[list[ExportState], list[SourceState]]:
        """Call `exporter.server.read_model.ReadModel.list_states`.

        Raises:
            StoreError: the ledger cannot be read, or was not read to its end yet.
        """
        self._require_caught_up()
        states, sources = self._model.list_states(now)
        return self.landings.attach(states), sources

    def crowded_groups(self, states: list[ExportState]) -> set[str]:
        """Call `exporter.server.read_model.ReadModel.crowded_groups`.

        Raises:
            StoreError: the ledger cannot be read.
        """
        return self._model.crowded_groups(states)

    def list_decisions(self, now: float) -> list[RecordedDecision]:
        """Call `exporter.server.read_model.ReadModel.list_decisions`.

        Raises:
            StoreError: the ledger cannot be read, or was not read to its end yet.
        """
        self._require_caught_up()
        return self._model.list_decisions(now)

    def find_key(self, export_id: str) -> ExportKey:
        """Return the key of an export, retired or not, for a decision about it.

        Raises:
            NoSuchExportError: no export has this id.
            StoreError: the ledger cannot be read, or was not read to its end yet.
        """
        self._require_caught_up()
        return self._model.find_key(export_id, self.now())

    def export_detail(self, export_id: str, now: float) -> ExportDetail:
        """Call `exporter.server.read_model.ReadModel.export_detail`.

        Raises:
            NoSuchExportError: no export has this id.
            StoreError: the ledger cannot be read, or was not read to its end yet.
        """
        self._require_caught_up()
        detail = self._model.export_detail(export_id, now)
        [state] = self.landings.attach([detail.subject.state])
        return detail._replace(subject=replace(detail.subject, state=state))

    def replay_quarantine(self, selection: QuarantineSelection, after: int, limit: int, *, dry_run: bool) -> ReplayPage:
        """Call `exporter.ingest.replay.Replay.replay_quarantine_page`.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        oldest = oldest_acceptable(self._ledger, self.config.retention, self.now())
        replay = Replay(self._ledger, self._ledger.replay_store, self.config.sources_without_credentials, oldest)
        return replay.replay_quarantine_page(selection, after, limit, dry_run=dry_run)

    @property
    def reload_problems(self) -> tuple[str, ...]:
        """The problems of the configuration that the last reload refused; empty if it was applied."""
        return self._reload_problems

    def reload(self) -> tuple[str, ...]:
        """Read the configuration again and apply it, or keep the old one if anything is wrong with the new one.

        A call that waits for another reload takes the result of the next one, however many calls wait for that.

        Returns:
            The problems of the new configuration; empty if it was applied.
        """
        requested = next(self._reload_requests)
        with self._reload_lock:
            if self._reload_started_at > requested:
                return self._reload_problems
            started_at = next(self._reload_requests)
            self._reload_problems = self._reload()
            self._reload_started_at = started_at
            return self._reload_problems

    def _reload(self) -> tuple[str, ...]:
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
            log.info("config_reloaded", sources=len(config.sources), exports=len(config.exports))
            return ()
        self.process_metrics.reload_successful.set(0)
        log.error("config_reload_failed", problems=list(problems))
        return problems

    def _initialise_metrics(self, config: Config) -> None:
        self.process_metrics.initialise_sources(config.sources)
        if config.landings:
            self.process_metrics.initialise_landings()

    def _find_subject(self, key: ExportKey, now: float) -> Subject:
        self._require_caught_up()
        return self._model.find_subject(key, now)

    def _require_caught_up(self) -> None:
        if not self._background.caught_up:
            raise StoreError(NOT_READ)

    def _reconfigure(self, config: Config) -> None:
        config = self._keep_restart_settings(config)
        self._initialise_metrics(config)
        self._record_declarations(config)
        intake = Intake(self._ledger, config.limits.event_bytes)
        intake.load_offsets(config.sources_without_credentials.values())
        self._apply_retention(intake, config)
        self._model.reconfigure(projection_config(config), self.now())
        if math.isfinite(self.intake.retention):  # events may have been pruned while the model was reconfigured
            intake.refuse_older_than(config.retention)
        self.config, self.intake = config, intake
        if self._background.caught_up:
            self.landings.reconfigure(config.landings)
        self.process_metrics.exports_per_source_limit.set(config.limits.exports_per_source)
        self.process_metrics.certificate_end.set(config.tls_expires_at)
        self.process_metrics.backup_max_age.set(config.backup_max_age)
        # Until then the checkpoint shows others, such as the doctor, that an exporter has the old configuration.
        self._background.maintain_soon()

    def _keep_restart_settings(self, config: Config) -> Config:
        """Keep the current values of settings that only a restart can change, and warn of those that differ."""
        current = {name: getattr(self.config, name) for name in RESTART_SETTINGS}
        differing = [name for name, value in current.items() if getattr(config, name) != value]
        if (config.tls is None) != (self.config.tls is None):
            differing.append("tls")
            config = replace(config, tls=self.config.tls, tls_expires_at=self.config.tls_expires_at)
        if differing:
            log.warning("restart_needed", settings=differing)
        return replace(config, **current)

    def _record_declarations(self, config: Config) -> None:
        self._ledger.record_declarations(
            [
                *map(key_of_source, config.sources),
                *((declaration.match.source, declaration.name) for declaration in config.exports),
            ],
            *self.clock.read(),
        )
        terms = {(declaration.match.source, declaration.name): declaration.terms for declaration in config.exports}
        self._ledger.record_terms(terms, *self.clock.read())

    def _redating(self) -> Redating:
        oldest = oldest_acceptable(self._ledger, self.config.retention, self.now())
        return Redating(self._ledger, self.config.sources_without_credentials, oldest)

    def _forget_offsets(self) -> None:
        self.intake.forget_offsets()

    def _apply_retention(self, intake: Intake, config: Config) -> None:
        """Once any event was pruned, refuse older ones: the ledger could no longer recognise a duplicate."""
        if self._ledger.checkpoints.pruning_state().revision:
            intake.refuse_older_than(config.retention)


def projection_config(config: Config) -> ProjectionConfig:
    """Select what the read model needs of the configuration."""
    return ProjectionConfig(
        config.sources_without_credentials,
        config.exports,
        config.limits.exports_per_source,
        config.retention,
        config.quarantine_retention,
    )
