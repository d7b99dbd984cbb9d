"""The checks in the background: the four cases of a run, restarts, replicas, bounds, and what is published."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucket_server import bucket_server
from builders import HOUR, MINUTE, at, event
from clocks import FakeMachine
from exporter.domain.epochs import GIVEN, Epoch
from exporter.domain.errors import StoreError
from exporter.domain.exports import Declaration, Selection
from exporter.domain.landing import ERROR, LANDED, NOTHING, Found, Landing, Landings, RunKey
from exporter.server.landing import checker
from exporter.server.landing.checker import LandingChecker
from exporter.server.read_model import ProjectionConfig, ReadModel
from landing_replica import LANDING, SOURCES, Instance, add, landing_in, nightly, running
from memory_ledger import MemoryLedger
from object_stores import SCHEMES
from running import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from exporter.domain.exports import ExportKey
    from exporter.domain.landing import RunTimes


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "TICK_SECONDS", 0.01)


@pytest.fixture
def ledger() -> MemoryLedger:
    """A ledger with a run of the declared export from 0:00 to 0:10; the deadline is 4:58."""
    ledger = MemoryLedger()
    ledger.record_declarations([("shop", "nightly")], at("0:00") - HOUR)
    add(ledger, event("initiated", at("0:00")), event("completed", at("0:10")))
    return ledger


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("is_announced", "has_landed", "expected"),
    [
        (True, True, set()),
        (True, False, {"ExportNothingLanded"}),
        (False, True, {"ExportLandedUnannounced"}),
        (False, False, {"ExportOverdue"}),
    ],
)
def test_the_four_cases(
    ledger: MemoryLedger,
    scheme: str,
    *,
    is_announced: bool,
    has_landed: bool,
    expected: set[str],
) -> None:
    if is_announced:
        add(ledger, event("initiated", at("4:00")), event("completed", at("4:10")))
    with bucket_server() as server:
        server.put("2026-06-01/of the run before", 1, at("0:09"))
        if has_landed:
            server.put("2026-06-01/file", 7, at("4:09"))
        machine = FakeMachine(at("5:00"))
        with running(Instance(ledger, machine, nightly(landing_in(server, scheme)))) as instance:
            wait_until(lambda: instance.landing().result != "", "the first check")
            assert instance.alerts() - {"ExportNotStarted"} == expected
            assert instance.landing().objects == has_landed
            assert instance.landing().detail == f"{scheme}://exports/2026-06-01/"


def test_late_files_end_the_alert(ledger: MemoryLedger) -> None:
    with bucket_server() as server:
        machine = FakeMachine(at("0:40"))
        with running(Instance(ledger, machine, nightly(landing_in(server, "s3")))) as instance:
            wait_until(lambda: instance.landing().result == NOTHING, "the first check")
            machine.pass_time(1)
            wait_until(lambda: "ExportNothingLanded" in instance.alerts(), "the alert")
            server.put("2026-06-01/file", 7, at("0:41"))
            machine.pass_time(MINUTE)
            wait_until(lambda: instance.landing().result == LANDED, "the next check")
            assert instance.alerts() == set()
            assert instance.landing().landed_at == at("0:41")


def test_a_lost_webhook_is_known_before_the_deadline(ledger: MemoryLedger) -> None:
    with bucket_server() as server:
        server.put("2026-06-01/file", 7, at("4:09"))
        machine = FakeMachine(at("4:34"))
        with running(Instance(ledger, machine, nightly(landing_in(server, "s3")))) as instance:
            wait_until(lambda: instance.landing().unannounced_at > 0, "the check before the deadline")
            machine.pass_time(19 * MINUTE + 1)
            wait_until(lambda: instance.alerts() == {"ExportLandedUnannounced", "ExportNotStarted"}, "the ticket")
            machine.pass_time(6 * MINUTE)
            wait_until(lambda: instance.alerts() == {"ExportLandedUnannounced"}, "the deadline to pass")


def test_a_restart_shows_the_same_without_another_check(ledger: MemoryLedger) -> None:
    machine = FakeMachine(at("1:00"))
    with running(Instance(ledger, machine, nightly(), lambda *_: Found(3, 300, at("0:09")))) as first:
        wait_until(lambda: first.landing().result != "", "the check")
        text = first.text(openmetrics=True)

    def fail(*_: object) -> Found:
        raise AssertionError

    again = Instance(ledger, machine, nightly(), fail)
    with running(again):
        assert again.text(openmetrics=True) == text
        assert len(ledger.landings.read(0)) == 1


def test_one_of_two_replicas_checks_and_both_know(ledger: MemoryLedger) -> None:
    machine = FakeMachine(at("1:00"))
    looks: list[str] = []

    def find(_: Landing, url: str, __: float) -> Found:
        looks.append(url)
        return Found(3, 300, at("0:09"))

    with (
        running(Instance(ledger, machine, nightly(), find)) as first,
        running(Instance(ledger, machine, nightly(), find)) as second,
    ):
        wait_until(lambda: first.landing().result == second.landing().result == LANDED, "both to know")
        assert looks == ["s3://exports/2026-06-01/"]
        assert first.text(openmetrics=False) == second.text(openmetrics=False)


def test_a_replica_looks_for_nothing_while_another_has_the_lease(
    ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = FakeMachine(at("1:00"))
    lease, answers = ledger.landings.lease, []
    assert lease("another replica", at("1:00"), GIVEN)

    def recorded(instance_id: str, now: float, epoch: Epoch) -> bool:
        answers.append(lease(instance_id, now, epoch))
        return answers[-1]

    monkeypatch.setattr(ledger.landings, "lease", recorded)
    looks: list[str] = []

    def find(_: Landing, url: str, __: float) -> Found:
        looks.append(url)
        return Found(3, 300, at("0:09"))

    with running(Instance(ledger, machine, nightly(), find)):
        wait_until(lambda: len(answers) > 1, "two attempts to get the lease")
    assert (set(answers), looks) == ({False}, [])


def test_a_reload_looks_at_once_for_what_was_not_there(ledger: MemoryLedger) -> None:
    with bucket_server() as server:
        machine = FakeMachine(at("1:00"))
        elsewhere = landing_in(server, "s3")
        with running(Instance(ledger, machine, nightly(elsewhere))) as instance:
            wait_until(lambda: instance.landing().result == NOTHING, "the first check")
            server.put("here/file", 7, at("0:09"))
            machine.pass_time(1)
            instance.checker.reconfigure(nightly(replace(elsewhere, url="s3://exports/here/")))
            wait_until(lambda: instance.landing().result == LANDED, "the check of the corrected place")


def test_older_runs_that_a_replay_adds_are_not_looked_for(ledger: MemoryLedger) -> None:
    looks: list[str] = []

    def find(_: Landing, url: str, __: float) -> Found:
        looks.append(url)
        return Found(3, 300, at("0:09"))

    machine = FakeMachine(at("1:00"))
    with running(Instance(ledger, machine, nightly(), find)) as instance:
        wait_until(lambda: instance.landing().result == LANDED, "the check of the newest run")
        before = instance.landing()
        add(ledger, event("initiated", at("0:00", -3)), event("completed", at("0:10", -3)))
        instance.checker.refresh()
        assert instance.export().completed == 2
        # A check wakes the thread, so what the replay makes due is looked for before this one.
        add(ledger, event("completed", at("0:50")))
        wait_until(lambda: len(looks) == 2, "the check of the next run")
        assert looks == ["s3://exports/2026-06-01/"] * 2
        assert instance.landing().landed_at == before.landed_at


def test_a_run_that_is_dated_again_is_looked_for_again(ledger: MemoryLedger) -> None:
    machine = FakeMachine(at("2:00"))
    with running(Instance(ledger, machine, nightly(), lambda *_: Found(1, 1, at("0:09")))) as instance:
        wait_until(lambda: instance.landing().result == LANDED, "the check")
        [started, completed] = [stored.event for stored in ledger.stored]
        later = [each._replace(occurred_at=each.occurred_at + HOUR) for each in (started, completed)]
        ledger.replay_store.amend(later, last=True)
        wait_until(lambda: len(ledger.landings.read(0)) == 2, "the check of the run as dated now")
        assert ledger.landings.read(1)[0].run == RunKey(at("1:10"), at("1:00"))


class CountingModel(ReadModel):
    """Counts how often the runs of an export are read."""

    reads = 0

    def newest_runs(self, key: ExportKey, now: float) -> list[RunTimes]:
        self.reads += 1
        return super().newest_runs(key, now)


def test_no_events_are_read_for_checks_that_cannot_be_made_yet() -> None:
    ledger = MemoryLedger()
    declared = tuple(Declaration(f"e{number}", Selection("shop", request_id=f"{number}")) for number in range(10))
    for number in range(10):
        add(ledger, event("completed", at("0:10"), request_id=str(number), frequency="one-time"))
    release, started = threading.Event(), []

    def hang(_: Landing, url: str, __: float) -> Found:
        started.append(url)
        release.wait(PATIENCE_SECONDS)
        return Found(1, 1, at("0:10"))

    landings = Landings({("shop", f"e{number}"): Landing("s3://bucket/") for number in range(10)})
    instance = Instance(ledger, FakeMachine(at("1:00")), landings, hang, declared)
    model = CountingModel(ledger, ProjectionConfig(SOURCES, declared, 10, 400 * 24 * HOUR, HOUR))
    instance.checker = LandingChecker(ledger, model, instance.clock, landings, hang)
    with running(instance):
        wait_until(lambda: len(started) == checker.MAX_CHECKS_PER_BUCKET, "as many checks as may run")
        for _ in range(3):
            instance.checker.refresh()
        assert model.reads == checker.MAX_CHECKS_PER_BUCKET
        release.set()
        wait_until(lambda: len(ledger.landings.read(0)) == 10, "all of them")


def test_an_error_is_stored_with_its_sentence(ledger: MemoryLedger) -> None:
    landing = Landing("s3://exports/{request_id}/")
    add(ledger, event("completed", at("0:30"), request_id="a b"))
    with running(Instance(ledger, FakeMachine(at("1:00")), nightly(landing))) as instance:
        wait_until(lambda: instance.landing().result == ERROR, "the check")
        assert instance.landing().detail == "the request id 'a b' does not fit into landing.url"
        assert instance.landing().failing_since == at("1:00")


def test_at_most_a_few_checks_run_at_a_time_and_a_bucket_that_hangs_leaves_some_to_others() -> None:
    ledger = MemoryLedger()
    declared = tuple(Declaration(f"e{number}", Selection("shop", request_id=f"{number}")) for number in range(10))
    for number in range(10):
        add(ledger, event("completed", at("0:10"), request_id=str(number), frequency="one-time"))
    landings = Landings({("shop", f"e{number}"): Landing(f"s3://bucket{number // 6}/") for number in range(10)})
    release, started = threading.Event(), []

    def hang(_: Landing, url: str, __: float) -> Found:
        started.append(url)
        release.wait(PATIENCE_SECONDS)
        return Found(1, 1, at("0:10"))

    with running(Instance(ledger, FakeMachine(at("1:00")), landings, hang, declared)) as instance:
        wait_until(lambda: len(started) == checker.MAX_CHECKS, "as many checks as may run")
        assert started.count("s3://bucket0/") == checker.MAX_CHECKS_PER_BUCKET
        release.set()
        wait_until(lambda: len(ledger.landings.read(0)) == 10, "all of them")
        wait_until(lambda: len(instance.checker.states) == 10, "all to be known")


def test_the_default_of_a_source_is_for_as_many_exports_as_have_series() -> None:
    ledger = MemoryLedger()
    for number in range(12):
        add(ledger, event("completed", at("0:10"), partner=f"P{number}"))
    landings = Landings({}, {"shop": Landing("s3://exports/")})
    instance = Instance(ledger, FakeMachine(at("1:00")), landings, lambda *_: Found(1, 1, at("0:10")), ())
    with running(instance):
        assert len(instance.checker.states) == 10


def test_without_a_landing_nothing_is_started_or_published(ledger: MemoryLedger) -> None:
    instance = Instance(ledger, FakeMachine(at("1:00")), Landings())
    threads = threading.active_count()
    with running(instance):
        assert threading.active_count() == threads
        assert instance.checker.is_ready
        assert instance.checker.part(openmetrics=True) is None
        assert instance.export().landing is None


def test_a_reload_adds_and_removes_landings(ledger: MemoryLedger) -> None:
    find = lambda *_: Found(1, 1, at("0:09"))  # noqa: E731 - a bucket with a file
    with running(Instance(ledger, FakeMachine(at("1:00")), Landings(), find)) as instance:
        instance.checker.reconfigure(nightly())
        wait_until(lambda: instance.landing().result == LANDED, "the first check")
        instance.checker.reconfigure(Landings())
        instance.checker.refresh()
        assert instance.checker.part(openmetrics=False) is None
        assert instance.export().landing is None
        for _ in range(2):
            instance.checker.reconfigure(nightly())
            assert instance.landing().result == LANDED


def test_the_default_of_a_source_without_exports_has_no_series() -> None:
    landings = Landings({}, {"shop": LANDING})
    with running(Instance(MemoryLedger(), FakeMachine(at("1:00")), landings, declarations=())) as instance:
        assert instance.checker.is_ready
        assert instance.checker.part(openmetrics=False) is None


def test_an_export_without_a_run_has_its_series_from_the_start() -> None:
    ledger = MemoryLedger()
    declared = Declaration("nightly", Selection("shop", request_id="1"))
    with running(Instance(ledger, FakeMachine(at("1:00")), nightly(), declarations=(declared,))) as instance:
        text = instance.text(openmetrics=False)
    labels = 'data_type="",export="nightly",frequency="",partner=""'
    assert f'dataexport_landed_timestamp_seconds{{{labels},source="shop"}} 0.0\n' in text
    assert f'dataexport_landing_checks_total{{{labels},result="landed",source="shop"}} 0.0\n' in text


class FailingStore:
    """Makes the store of checks fail while ``failing`` has its operation."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._store = ledger.landings
        self.failing: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name in self.failing:
            message = "the disk is on fire"
            raise StoreError(message)
        return getattr(self._store, name)


def test_events_that_cannot_be_read_are_read_again(ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def fail(*_: object) -> list[RunTimes]:
        failed.set()
        message = "the disk is on fire"
        raise StoreError(message)

    with monkeypatch.context() as broken:
        broken.setattr(ReadModel, "newest_runs", fail)
        instance = Instance(ledger, FakeMachine(at("1:00")), nightly(), lambda *_: Found(1, 1, at("0:09")))
        instance.checker.start()
        assert failed.wait(PATIENCE_SECONDS)
    try:
        wait_until(lambda: instance.landing().result == LANDED, "the check")
    finally:
        instance.checker.stop()


@pytest.mark.parametrize("operation", ["append", "lease", "read_newest"])
def test_a_store_that_fails_is_tried_again(ledger: MemoryLedger, operation: str) -> None:
    failing = FailingStore(ledger)
    failing.failing = {operation}
    ledger.landings = failing  # type: ignore[assignment] # it forwards everything else
    tried = threading.Event()

    def find(*_: object) -> Found:
        tried.set()
        return Found(1, 1, at("0:09"))

    with running(Instance(ledger, FakeMachine(at("1:00")), nightly(), find)) as instance:
        if operation == "append":
            assert tried.wait(PATIENCE_SECONDS)
        assert instance.checker.is_ready == (operation != "read_newest")
        failing.failing = set()
        wait_until(lambda: instance.checker.is_ready and instance.landing().result == LANDED, "the check to be stored")


def test_another_ledger_has_its_own_checks(ledger: MemoryLedger) -> None:
    with running(Instance(ledger, FakeMachine(at("1:00")), nightly(), lambda *_: Found(1, 1, at("0:09")))) as instance:
        wait_until(lambda: instance.landing().result == LANDED, "the check")
        ledger._ledger_id = "another"  # noqa: SLF001 - as after a restore
        instance.checker.refresh()
        assert instance.landing().result == LANDED
