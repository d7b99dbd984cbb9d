"""Answers commands from the store of an exporter, whether or not it runs."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from exporter.domain.decisions import MUTE, RETIRE
from exporter.ingest.replay import Replay, ReplayResult, oldest_acceptable
from exporter.ledger.clock import Clock, ThisMachine
from exporter.projection.decision_maker import DecisionMaker, find_subject
from exporter.projection.decision_records import list_recorded
from exporter.projection.landings import LandingHistories, attach_landings, exports_with_landing
from exporter.projection.unconfigured_sources import unconfigured_states
from exporter.server.admin.api import decision_schemas, schemas
from exporter.server.export_detail import export_detail

if TYPE_CHECKING:
    from exporter.cli.exporter_access import Document
    from exporter.config.loader import Config
    from exporter.domain.decision_rules import Author, MuteEnd
    from exporter.domain.exports import ExportKey
    from exporter.domain.landing_history import LandingState
    from exporter.domain.state_filter import StateFilter
    from exporter.ingest.replay import QuarantineSelection
    from exporter.ledger.sql.ledger import SqlLedger
    from exporter.projection.projector import Projector


class StoredExporter:
    """An exporter's store; see `exporter.cli.exporter_access.ExporterAccess`.

    Args:
        settings: the configuration.
        projector: reads the ledger.
        ledger: the open ledger; the caller closes it.
    """

    def __init__(self, settings: Config, projector: Projector, ledger: SqlLedger) -> None:
        self._settings = settings
        self._projector = projector
        self._ledger = ledger

    def list_exports(self, chosen: StateFilter) -> list[Document]:
        """See `ExporterAccess`."""
        self._projector.catch_up()
        now = time.time()
        states = [state for state in self._projector.list_states(now) if chosen.matches(state, now)]
        states = attach_landings(states, self._landings(now))
        return [schemas.export_document(state, now) for state in states]

    def export_detail(self, export_id: str) -> Document:
        """See `ExporterAccess`."""
        self._projector.catch_up()
        now = time.time()
        detail = export_detail(self._projector, self._ledger, self._key(export_id), now)
        [state] = attach_landings([detail.subject.state], self._landings(now))
        detail = detail._replace(subject=replace(detail.subject, state=state))
        return schemas.export_detail_document(detail, now, self._settings)

    def _landings(self, now: float) -> dict[str, LandingState]:
        """Return what is known about the files of exports, by `ExportKey.id`."""
        landings, limit = self._settings.landings, self._settings.limits.exports_per_source
        if not landings:
            return {}
        histories = LandingHistories(self._ledger)
        histories.catch_up()
        exports = exports_with_landing(self._projector, landings, limit, now)
        return {export.state.id: histories.state(export, now) for export in exports}

    def list_events(self, source: str | None, limit: int) -> list[Document]:
        """See `ExporterAccess`."""
        return [schemas.event_document(event) for event in self._ledger.newest(source, limit)]

    def list_sources(self) -> list[Document]:
        """See `ExporterAccess`."""
        states = self._projector.list_sources() + unconfigured_states(self._ledger, self._settings.sources)
        return [schemas.source_document(state, self._settings) for state in states]

    def known_slugs(self) -> set[str]:
        """See `ExporterAccess`."""
        return {*self._settings.sources, *self._ledger.event_sources(), *self._ledger.quarantine_counts()}

    def list_quarantine(self, source: str | None, limit: int) -> list[Document]:
        """See `ExporterAccess`."""
        return [schemas.quarantined_document(body) for body in self._ledger.quarantine(limit, source)]

    def list_refused(self, source: str | None, limit: int) -> list[Document]:
        """See `ExporterAccess`."""
        return [schemas.refused_document(body) for body in self._ledger.bodies.refused(limit, source)]

    def list_mutes(self) -> list[Document]:
        """See `ExporterAccess`."""
        items = decision_schemas.configured_mutes(self._settings, time.time())
        return self._decisions(items, MUTE)

    def list_retirements(self) -> list[Document]:
        """See `ExporterAccess`."""
        return self._decisions([], RETIRE)

    def _decisions(self, items: list[decision_schemas.DecisionItem], kind: str) -> list[Document]:
        recorded = list_recorded(self._ledger, self._projector, time.time())
        items += decision_schemas.decision_items(recorded, kind)
        return [decision_schemas.decision_document(item, kind) for item in items]

    def mute(self, export_id: str, end: MuteEnd, author: Author) -> float:
        """See `ExporterAccess`."""
        return self._maker().mute(self._key(export_id), end, author).decision.until

    def unmute(self, export_id: str, author: Author) -> None:
        """See `ExporterAccess`."""
        self._maker().unmute(self._key(export_id), author)

    def retire(self, export_id: str, author: Author) -> None:
        """See `ExporterAccess`."""
        self._maker().retire(self._key(export_id), author)

    def unretire(self, export_id: str, author: Author) -> None:
        """See `ExporterAccess`."""
        self._maker().unretire(self._key(export_id), author)

    def replay_quarantine(self, selection: QuarantineSelection, *, dry_run: bool) -> ReplayResult:
        """See `ExporterAccess`."""
        oldest = oldest_acceptable(self._ledger, self._settings.retention, time.time())
        replay = Replay(self._ledger, self._ledger.replay_store, self._settings.sources_without_credentials, oldest)
        last = deque(replay.replay_quarantine(selection, dry_run=dry_run), maxlen=1)
        return last[0] if last else ReplayResult()

    def _key(self, export_id: str) -> ExportKey:
        return {key.id: key for key in self._projector.exports.all_keys()}[export_id]

    def _maker(self) -> DecisionMaker:
        clock = Clock(self._ledger, ThisMachine())
        clock.start()
        return DecisionMaker(self._ledger, clock.read, partial(find_subject, self._projector))
