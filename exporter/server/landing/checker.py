"""Checks in the background whether the files of exports have landed, and publishes what is known about them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import StoreError
from exporter.domain.landing import ERROR, Found, LandingCheck, choose_target, judge, next_check
from exporter.metrics.landing_families import LandingRenderer
from exporter.projection.landings import LandingHistories, attach_landings
from exporter.server.landing.object_store import ListingError, find_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.domain.landing import Landing, Landings, RunTimes, Target
    from exporter.domain.landing_history import LandingState
    from exporter.domain.states import ExportState
    from exporter.ledger.clock import Clock
    from exporter.ledger.contract import Ledger
    from exporter.metrics.gzip_parts import Part
    from exporter.projection.landings import ExportWithLanding
    from exporter.server.read_model import ReadModel

TICK_SECONDS = 5.0
LEASE_RENEWAL_SECONDS = 20.0
MAX_CHECKS = 8
"""How many checks are made at a time."""
MAX_CHECKS_PER_BUCKET = 4
"""How many of them in one bucket, so that one that hangs does not stop those of others."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """What is known, for scrapes and pages.

    Attributes:
        states: by `ExportKey.id`.
        parts: the series in the text format, and in OpenMetrics; None if there are none.
    """

    states: Mapping[str, LandingState]
    parts: tuple[Part, Part] | None


class LandingChecker:
    """Checks landings in threads of its own; safe for several threads.

    Without a configured landing, it starts no thread, imports no obstore and publishes nothing.

    Args:
        ledger: stores the checks.
        model: has the states and runs of exports.
        clock: the clock of this process.
        landings: the configured ones.
        find: looks for files.

    Attributes:
        is_ready: whether what was configured at the start was published once, so that no series appears late.
    """

    def __init__(
        self,
        ledger: Ledger,
        model: ReadModel,
        clock: Clock,
        landings: Landings,
        find: Callable[[Landing, str, float], Found] = find_files,
    ) -> None:
        self._ledger = ledger
        self._model = model
        self._clock = clock
        self._landings = landings
        self._find = find
        self.is_ready = not landings
        self._configured_at = 0.0
        self._published: Published | None = None
        self._histories = LandingHistories(ledger)
        self._renderer = LandingRenderer()
        self._exports: list[tuple[ExportWithLanding, LandingState]] = []
        self._runs: dict[str, tuple[object, list[RunTimes]]] = {}
        self._leased_at = float("-inf")
        self._lock = threading.Lock()
        self._in_flight: dict[str, str] = {}
        """The buckets in which checks are under way, by the id of the export."""
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def states(self) -> Mapping[str, LandingState]:
        """What is known about exports with a configured landing, by `ExportKey.id`."""
        published = self._published
        return published.states if published else {}

    def part(self, *, openmetrics: bool) -> Part | None:
        """Return the series; None without any."""
        published = self._published
        return published.parts[openmetrics] if published and published.parts else None

    def attach(self, states: list[ExportState]) -> list[ExportState]:
        """Return states with what is known about their files."""
        known = self.states
        return attach_landings(states, known) if known else states

    def start(self) -> None:
        """Publish what is known, and start the thread, if a landing is configured; the ledger has been read."""
        self.reconfigure(self._landings)

    def reconfigure(self, landings: Landings) -> None:
        """Apply another configuration. It may have corrected what a check found, so what was not there is due again."""
        self._landings, self._configured_at = landings, self._clock.now()
        if not landings:
            with self._refreshing:
                self._published = None
            return
        self._succeeds(self.refresh)
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
            if self._succeeds(self.refresh):
                self._succeeds(partial(self._start_checks, busy))
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    @staticmethod
    def _succeeds(step: Callable[[], None]) -> bool:
        try:
            step()
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
            landings = self._landings
            if not landings:
                self._exports = []
                return
            now = self._clock.now()
            self._histories.catch_up()
            exports = self._model.exports_with_landing(landings, now)
            self._exports = [(export, self._histories.state(export, now)) for export in exports]
            states = {export.state.id: known for export, known in self._exports}
            self._runs = {export_id: runs for export_id, runs in self._runs.items() if export_id in states}
            parts = self._renderer.update((export.state, known) for export, known in self._exports)
            self._published = Published(states, parts)
            self.is_ready = True

    def _start_checks(self, busy: set[str]) -> None:
        """Start the checks that are due, as far as there is room: first of those looked at longest ago.

        Args:
            busy: the ids of exports that are being looked at, or were when the store was read.
        """
        now = self._clock.now()
        for export, _ in sorted(self._exports, key=lambda pair: pair[1].checked_at):
            # Asked first, since the rest reads events: while all checks of a bucket hang, that would be for nothing.
            if export.state.id in busy or not self._has_room(export.landing.bucket):
                continue
            target = self._due_target(export, now)
            if target is not None:
                if not self._has_lease():
                    return
                self._start_check(export, target)

    def _due_target(self, export: ExportWithLanding, now: float) -> Target | None:
        """Return the run of an export whose files to look for now; None if none is due."""
        target = choose_target(export.state, export.landing, export.zone, self._runs_of(export), now)
        if target is None:
            return None
        checks = self._histories.of(export.state.id).checks_of(target.key)
        return target if next_check(target, checks, self._configured_at) <= now else None

    def _runs_of(self, export: ExportWithLanding) -> Sequence[RunTimes]:
        """Return the newest runs of an export, read again when an event has changed them."""
        state = export.state
        marker = (state.last_received, state.last_completed, state.last_initiated)
        cached = self._runs.get(state.id)
        if cached is None or cached[0] != marker:
            cached = self._runs[state.id] = marker, self._model.newest_runs(export.key, self._clock.now())
        return cached[1]

    def _has_room(self, bucket: str) -> bool:
        with self._lock:
            in_bucket = Counter(self._in_flight.values())[bucket]
            return len(self._in_flight) < MAX_CHECKS and in_bucket < MAX_CHECKS_PER_BUCKET

    def _has_lease(self) -> bool:
        now, epoch = self._clock.read()
        if abs(now - self._leased_at) < LEASE_RENEWAL_SECONDS:
            return True
        has_lease = self._ledger.landings.lease(self._model.instance_id, now, epoch)
        self._leased_at = now if has_lease else float("-inf")
        return has_lease

    def _start_check(self, export: ExportWithLanding, target: Target) -> None:
        with self._lock:
            self._in_flight[export.state.id] = export.landing.bucket
        threading.Thread(target=self._check, args=(export, target), daemon=True, name="landing check").start()

    def _check(self, export: ExportWithLanding, target: Target) -> None:
        try:
            check = make_check(export, target, self._find)
            now, epoch = self._clock.read()
            if not self._stopping.is_set():
                self._ledger.landings.append(replace(check, checked_at=now), epoch)
        except StoreError as error:
            log.warning("landing_not_stored", error=str(error))
        else:
            self._wake.set()
        finally:
            with self._lock:
                del self._in_flight[export.state.id]


def make_check(
    export: ExportWithLanding, target: Target, find: Callable[[Landing, str, float], Found] = find_files
) -> LandingCheck:
    """Look for the files of a run once, and return what was found; its ``checked_at`` is not set."""
    state, landing = export.state, export.landing
    found, detail = Found(0, 0, 0), landing.url
    try:
        detail = landing.url_of(target, export.zone)
        found = find(landing, detail, target.since)
        result = judge(landing, found)
    except (ListingError, ValueError) as error:
        result, detail = ERROR, str(error)
    return LandingCheck(state.source, state.id, target.key, target.due_at, 0, result, *found, detail)
