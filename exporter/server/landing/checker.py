"""Checks in the background whether the files of exports have landed, and publishes what is known about them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

from exporter.domain.errors import StoreError
from exporter.domain.landing import ERROR, Found, LandingCheck, Landings, choose_target, judge, next_check
from exporter.domain.landing_history import LandingHistory
from exporter.metrics.landing_families import landing_text
from exporter.server.landing.object_store import ListingError, find_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from exporter.domain.exports import ExportKey, Source
    from exporter.domain.landing import Landing, RunTimes, Target
    from exporter.domain.landing_history import LandingState
    from exporter.domain.states import ExportState
    from exporter.ledger.clock import Clock
    from exporter.ledger.contract import Ledger
    from exporter.server.read_model import ReadModel

TICK_SECONDS = 5.0
LEASE_RENEWAL_SECONDS = 20.0
MAX_CHECKS = 8
"""How many checks are made at a time."""
MAX_CHECKS_PER_BUCKET = 4
"""How many of them in one bucket, so that one that hangs does not stop those of others."""
HISTORY_SECONDS = 35 * 86400.0
"""How far back checks are read at the start."""

log = structlog.get_logger()


class Configured(NamedTuple):
    """The part of the configuration that checks depend on."""

    landings: Landings
    sources: Mapping[str, Source]
    exports_per_source: int


@dataclass(frozen=True, slots=True)
class Published:
    """What is known, for scrapes and pages.

    Attributes:
        states: by `ExportKey.id`.
        text: the series in the text format, and in OpenMetrics.
    """

    states: Mapping[str, LandingState]
    text: tuple[bytes, bytes]


class Subject(NamedTuple):
    """An export whose files are looked for, at one instant.

    Attributes:
        zone: the time zone of its source; None if that is not configured.
        target: the run whose files to look for.
    """

    state: ExportState
    landing: Landing
    zone: tzinfo | None
    target: Target


class LandingChecker:
    """Checks landings in threads of its own; safe for several threads.

    Without a configured landing, it starts no thread, imports no obstore and publishes nothing.

    Args:
        ledger: stores the checks.
        model: has the states and runs of exports.
        clock: the clock of this process.
        configured: the configuration.
        find: looks for files.

    Attributes:
        is_ready: whether what was configured at the start was published once, so that no series appears late.
    """

    def __init__(
        self,
        ledger: Ledger,
        model: ReadModel,
        clock: Clock,
        configured: Configured,
        find: Callable[[Landing, str, float], Found] = find_files,
    ) -> None:
        self._ledger = ledger
        self._model = model
        self._clock = clock
        self._configured = configured
        self._find = find
        self.is_ready = not configured.landings
        self._published: Published | None = None
        self._histories: dict[str, LandingHistory] = {}
        self._runs: dict[str, tuple[object, list[RunTimes]]] = {}
        self._subjects: list[Subject] = []
        self._read_up_to = 0
        self._ledger_id = ""
        self._leased_at = float("-inf")
        self._lock = threading.Lock()
        self._in_flight: dict[str, str] = {}
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def states(self) -> Mapping[str, LandingState]:
        """What is known about exports with a configured landing, by `ExportKey.id`."""
        published = self._published
        return published.states if published else {}

    def text(self, *, openmetrics: bool) -> bytes:
        """Return the series; empty without a configured landing."""
        published = self._published
        return published.text[openmetrics] if published else b""

    def attach(self, states: list[ExportState]) -> list[ExportState]:
        """Return states with what is known about their files."""
        known = self.states
        if not known:
            return states
        return [replace(state, landing=known[state.id]) if state.id in known else state for state in states]

    def start(self) -> None:
        """Publish what is known, and start the thread, if a landing is configured; the ledger has been read."""
        self.reconfigure(self._configured)

    def reconfigure(self, configured: Configured) -> None:
        """Apply another configuration."""
        self._configured = configured
        if not configured.landings:
            with self._refreshing:
                self._published = None
            return
        self._refresh_or_log()
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True, name="landing checks")
            self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Stop the thread. Checks that are under way end with the process, and are not stored."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                busy = set(self._in_flight)  # before the refresh, which then has what those before it found
            if self._refresh_or_log():
                self._start_checks(busy)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _refresh_or_log(self) -> bool:
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001 - no error may end the thread
            log.warning("landings_not_read", error=str(error))
            return False
        return True

    def refresh(self) -> None:
        """Read what is new, and publish it.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._refreshing:
            if not self._configured.landings:
                self._subjects = []
                return
            self._read_checks()
            now = self._clock.now()
            configured = self._configured
            exports = self._model.states_with(configured.landings.of, configured.exports_per_source, now)
            self._subjects = self._choose_targets(exports, configured.sources, now)
            rows = [(state, self._history(state.id).state(state, landing, now)) for _, state, landing in exports]
            states = {state.id: landing_state for state, landing_state in rows}
            text = (landing_text(rows, openmetrics=False), landing_text(rows, openmetrics=True))
            self._published = Published(states, text)
            self.is_ready = True

    def _read_checks(self) -> None:
        store = self._ledger.landings
        if self._ledger_id != self._ledger.ledger_id():
            checks = store.read_recent(self._clock.now() - HISTORY_SECONDS)
            self._ledger_id, self._read_up_to = self._ledger.ledger_id(), 0
            self._histories.clear()
        else:
            checks = store.read(self._read_up_to)
        for check in checks:
            self._history(check.export_id).add(check)
            self._read_up_to = check.sequence

    def _history(self, export_id: str) -> LandingHistory:
        return self._histories.setdefault(export_id, LandingHistory())

    def _choose_targets(
        self,
        exports: Sequence[tuple[ExportKey, ExportState, Landing]],
        sources: Mapping[str, Source],
        now: float,
    ) -> list[Subject]:
        subjects = []
        for key, state, landing in exports:
            zone = sources[state.source].zone
            target = choose_target(state, landing, zone, self._runs_of(key, state), now)
            if target is not None:
                subjects.append(Subject(state, landing, zone, target))
        return subjects

    def _runs_of(self, key: ExportKey, state: ExportState) -> Sequence[RunTimes]:
        """Return the newest runs of an export, read again when an event has changed them."""
        marker = (state.last_received, state.last_completed, state.last_initiated)
        cached = self._runs.get(state.id)
        if cached is None or cached[0] != marker:
            cached = self._runs[state.id] = marker, self._model.newest_runs(key, self._clock.now())
        return cached[1]

    def _start_checks(self, busy: set[str]) -> None:
        now = self._clock.now()
        due = [
            (next_check(subject.target, self._history(subject.state.id).checks_of(subject.target.key)), subject)
            for subject in self._subjects
            if subject.state.id not in busy
        ]
        due = sorted((pair for pair in due if pair[0] <= now), key=lambda pair: pair[0])
        if not due or not self._has_lease():
            return
        for _, subject in due:
            self._start_check(subject)

    def _has_lease(self) -> bool:
        now, epoch = self._clock.read()
        if abs(now - self._leased_at) < LEASE_RENEWAL_SECONDS:
            return True
        try:
            has_lease = self._ledger.landings.lease(self._model.instance_id, now, epoch)
        except StoreError as error:
            log.warning("landings_not_read", error=str(error))
            return False
        self._leased_at = now if has_lease else float("-inf")
        return has_lease

    def _start_check(self, subject: Subject) -> None:
        bucket = subject.landing.url.split("/")[2]
        with self._lock:
            per_bucket = Counter(self._in_flight.values())
            if len(self._in_flight) >= MAX_CHECKS or per_bucket[bucket] >= MAX_CHECKS_PER_BUCKET:
                return
            self._in_flight[subject.state.id] = bucket
        threading.Thread(target=self._check, args=(subject,), daemon=True, name="landing check").start()

    def _check(self, subject: Subject) -> None:
        try:
            check = make_check(subject, self._find)
            now, epoch = self._clock.read()
            if not self._stopping.is_set():
                self._ledger.landings.append(replace(check, checked_at=now), epoch)
        except StoreError as error:
            log.warning("landing_not_stored", error=str(error))
        else:
            self._wake.set()
        finally:
            with self._lock:
                del self._in_flight[subject.state.id]


def make_check(subject: Subject, find: Callable[[Landing, str, float], Found]) -> LandingCheck:
    """Look for the files of a run once, and return what was found; its ``checked_at`` is not set."""
    state, landing, zone, target = subject
    found, detail = Found(0, 0, 0), landing.url
    try:
        detail = landing.url_of(target, zone)
        found = find(landing, detail, target.since)
        result = judge(landing, found)
    except (ListingError, ValueError) as error:
        result, detail = ERROR, str(error)
    return LandingCheck(state.source, state.id, target.key, target.due_at, 0, result, *found, detail)
