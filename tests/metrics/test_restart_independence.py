"""However a process began, each line that it shows is what the client library writes of everything, worked out anew.

Whatever happened before, meanwhile and beside it: other processes of the same configuration on the
same ledger, which decide, prune, keep a checkpoint or are killed, and replays.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import told_events
from builders import HOUR, MINUTE, accepted_event, at
from exporter.domain.decisions import MUTE, RETIRE, UNMUTE, UNRETIRE, Decision
from exporter.domain.exports import Declaration, Source
from exporter.ingest.vendors.clevertap import REASONS
from exporter.ledger.contract import AcceptedEvent
from exporter.metrics.renderer import Renderer
from exporter.metrics.series_limit import combine
from exporter.projection import retention
from exporter.projection.checkpoint_writer import CheckpointWriter
from exporter.projection.fold import history
from exporter.projection.projector import Projector
from exporter.projection.retention import RETENTION_MARGIN, Pruner
from memory_ledger import MemoryLedger
from reference import Reference, rendered_by_library
from told_events import BY_ID, NIGHTLY
from tools import thorough

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.domain.states import ExportState

SLUGS = ("shop", "other-shop")


class Configured(NamedTuple):
    """What a text depends on of the configuration."""

    sources: dict[str, Source]
    declarations: tuple[Declaration, ...] = (NIGHTLY, BY_ID)
    limit: int = 50


IN_UTC = {slug: Source(slug, "UTC", UTC) for slug in SLUGS}
USUAL = Configured(IN_UTC)
OTHERS = (
    Configured(IN_UTC, (replace(NIGHTLY, owner="data"), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, runbook_url="https://runbooks.example/nightly"), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, muted_until=at("12:00", day=2)), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, objective=0.5), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, first_expected=at("18:00")), BY_ID)),
    Configured(IN_UTC, (NIGHTLY, replace(BY_ID, grace=60))),
    Configured(IN_UTC, (BY_ID,)),
    Configured({slug: Source(slug, "Europe/Berlin", ZoneInfo("Europe/Berlin")) for slug in SLUGS}),
    Configured({slug: Source(slug) for slug in SLUGS}),
    Configured(IN_UTC, limit=2),
)


class Process:
    """What one process knows and shows.

    Args:
        ledger: which it follows.
        configured: its configuration.
        now: when it is started.
    """

    def __init__(self, ledger: MemoryLedger, configured: Configured, now: float) -> None:
        self.ledger, self.configured = ledger, configured
        ledger.record_declarations([(each.match.source, each.name) for each in configured.declarations], now)
        self.projector = Projector(ledger, configured.sources, configured.declarations)
        self.renderer = Renderer(self.projector, configured.limit, REASONS)
        self.renderer.update(now)

    def stop(self, now: float, *, leaving: bool = True) -> None:
        self.renderer.update(now)
        assert CheckpointWriter(self.ledger, "me", threading.Lock(), lambda: self.projector).write(
            now, stopping=leaving
        )

    def shown(self) -> str:
        return self.renderer.body(openmetrics=False).plain(b"").decode()

    def expected(self, now: float) -> str:
        """What the library writes of everything, read and worked out anew, and not from a checkpoint."""
        projector = Projector(self.ledger.without_checkpoint(), self.configured.sources, self.configured.declarations)
        projector.catch_up()
        shown: list[ExportState] = []
        for slug in self.configured.sources:
            keys = [key for key in projector.list_keys() if key.source == slug]
            keys.sort(key=lambda key: (projector.exports.first_sequence(key), key))
            first, over = keys[: self.configured.limit], keys[self.configured.limit :]
            shown += [projector.export_state(key, now) for key in first]
            if over:
                shown.append(combine(slug, [projector.export_state(key, now) for key in over]))
        return rendered_by_library(Reference(shown, projector.list_sources()), openmetrics=False)


@pytest.fixture(autouse=True, scope="module")
def short_memory() -> Iterator[None]:
    """So that a few events are enough to be pruned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "UNCOMPACTED_EVENTS", 4)
        patch.setattr(retention, "UNCOMPACTED_EVENTS", 4)
        patch.setattr(retention, "MIN_EVENTS", 1)
        yield


class Replayed(MemoryLedger):
    """A ledger in memory of which events can be dated again."""

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def replay_generation(self) -> int:
        return self._epoch

    def amend(self, which: int, seconds: float) -> None:
        """What a replay does with an event whose zone was wrong."""
        if self.stored:
            at = which % len(self.stored)
            kept = self.stored[at]
            told = kept.event._replace(occurred_at=kept.event.occurred_at + seconds)
            self.stored[at] = AcceptedEvent(told, kept.body)
        self._epoch += 1


class Tell(NamedTuple):
    """Some events, each so many minutes after the step before."""

    times: int
    each: told_events.Tell


class Wait(NamedTuple):
    """Nothing, for so many hours; somebody else's exporter may begin to listen after it."""

    hours: int
    outage: bool


class Decide(NamedTuple):
    """Somebody decides something about one of the exports, while the process runs or after it."""

    kind: str
    which: int
    hours: int


class Prune(NamedTuple):
    """The process prunes what is as old as that."""

    hours: int


class Replay(NamedTuple):
    """An event was dated wrongly."""

    which: int
    hours: int


class Beside(NamedTuple):
    """Another process of the same configuration, and what it does before it ends."""

    does: list[Tell | Decide | Prune | Replay]
    ends: str


class Restart(NamedTuple):
    """An end, what happens meanwhile, and a start."""

    ends: str
    meanwhile: list[Tell | Wait | Decide | Replay | Beside]
    minutes: int
    """The clock may have been set back."""
    configured: Configured


tells = st.builds(Tell, times=st.sampled_from([1, 1, 1, 7]), each=told_events.told_events)
waits = st.builds(Wait, hours=st.integers(0, 30), outage=st.sampled_from([False, False, True]))
decides = st.builds(
    Decide, kind=st.sampled_from([MUTE, UNMUTE, RETIRE, UNRETIRE]), which=st.integers(0, 9), hours=st.integers(1, 30)
)
KILLED, KILLED_LATER, STOPPED = WAYS_TO_END = "killed", "killed after a checkpoint", "stopped"
prunes = st.builds(Prune, hours=st.integers(0, 12))
replays = st.builds(Replay, which=st.integers(0, 99), hours=st.integers(-6, 6))
besides = st.builds(
    Beside,
    does=st.lists(tells | decides | prunes | replays, max_size=3),
    ends=st.sampled_from(WAYS_TO_END),
)
restarts = st.builds(
    Restart,
    ends=st.sampled_from([*WAYS_TO_END, STOPPED, STOPPED, STOPPED]),
    meanwhile=st.lists(tells | waits | decides | replays | besides | besides, max_size=2),
    minutes=st.sampled_from([0, 0, 1, 90, 600, -90, -900]),
    configured=st.sampled_from([USUAL] * 3 * len(OTHERS) + list(OTHERS)),
)
steps = st.lists(
    tells | waits | decides | prunes | replays | besides | restarts | restarts | restarts, min_size=8, max_size=20
)

Step = Tell | Wait | Decide | Prune | Replay | Beside | Restart


BEFORE = [
    Tell(2, told_events.Tell(240, status, number, partner, frequency, "shop"))
    for number, (partner, frequency) in enumerate(
        (("GCS", "4h"), ("Amazon S3", "4h"), ("nightly", "24h"), ("GCS", "24h"))
    )
    for status in ("initiated", "completed")
]
"""So that from the start some exports are there, some of which are running."""


class World:
    """A ledger, a clock, and one process after another.

    Args:
        limit: how many exports of a source are shown; of nearly all processes.
    """

    def __init__(self, limit: int) -> None:
        self.ledger, self.now, self._limit = Replayed(), at("0:00"), limit
        self.process = Process(self.ledger, USUAL._replace(limit=limit), self.now)
        self._beats = 0
        for each in BEFORE:
            self._tell(each)

    def take(self, step: Step) -> None:
        match step:
            case Tell():
                self._tell(step)
            case Wait():
                self._wait(step)
            case Decide():
                self._decide(step)
            case Prune():
                self.process.renderer.update(self.now)
                pruner = Pruner(self.ledger, threading.Lock(), lambda: self.process.projector)
                assert sum(pruner.prune(self.now, step.hours * HOUR - RETENTION_MARGIN)) >= 0
            case Replay():
                self.ledger.amend(step.which, step.hours * HOUR)
            case Beside():
                running, self.process = self.process, Process(self.ledger, self.process.configured, self.now)
                self._check()
                self._take_all(step.does)
                self._end(step.ends)
                self.process = running
            case Restart():
                self._end(step.ends)
                self._take_all(step.meanwhile)
                self.now += step.minutes * MINUTE
                limit = min(self._limit, step.configured.limit)
                self.process = Process(self.ledger, step.configured._replace(limit=limit), self.now)

    def _take_all(self, steps: Iterable[Step]) -> None:
        for each in steps:
            self.take(each)

    def _wait(self, step: Wait) -> None:
        for hours in (0, step.hours) if step.outage else ():
            self._beats += 1
            self.ledger.record_heartbeat(f"watch {self._beats}", self.now + hours * HOUR)
        self.now += step.hours * HOUR

    def _decide(self, step: Decide) -> None:
        keys = sorted(self.process.projector.exports.all_keys())
        key = keys[step.which % len(keys)]
        self.ledger.append_decision(Decision(step.kind, key, self.now, self.now + step.hours * HOUR, "me", "because"))

    def _end(self, how: str) -> None:
        if how != KILLED:
            self.process.stop(self.now, leaving=how == STOPPED)

    def _tell(self, told: Tell) -> None:
        for _ in range(told.times):
            self.now += told.each.minutes * MINUTE
            self.ledger.append([accepted_event(told.each.event(self.now))])

    def check(self) -> None:
        """Look for a line that is not right."""
        self.process.renderer.update(self.now)
        self._check()

    def _check(self) -> None:
        shown = self.process.shown()
        assert shown == self.process.expected(self.now)
        assert self.process.renderer.series == sum(not line.startswith("#") for line in shown.splitlines())


@thorough
@given(steps=steps, limit=st.sampled_from([3, 9, 20, 20]))
def test_whatever_happens_before_after_and_meanwhile_every_line_is_what_the_library_writes_anew(
    steps: list[Step], limit: int
) -> None:
    world = World(limit)
    for step in steps:
        world.take(step)
        world.check()
