"""Once the clock is right, nothing shows that it was ever wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, MINUTE, body, vendor_clock
from clocks import FakeMachine
from exporter.ledger.sql import ledger as sql_ledger
from exporter.server import background
from restarts import from_the_ledger
from running import Exporter, assert_within, wait_until
from wrong_clocks import BEGINS, ENDS, HEARTBEAT, ZONE, Replica, deliveries, live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Incidents = dict[float, Callable[[], object]]

OTHER_STEPS = (-400 * DAY, -2 * HOUR, -10, 8, 5 * HOUR + 30 * MINUTE)
STEPS = (400 * DAY, *(pytest.param(step, marks=pytest.mark.proof) for step in OTHER_STEPS))


@pytest.fixture(autouse=True, scope="module")
def few_heartbeats() -> Iterator[None]:
    """Let a day take few heartbeats, which the test sends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_ledger, "HEARTBEAT_TIMEOUT", 2 * HEARTBEAT)
        patch.setattr(background, "HEARTBEAT_SECONDS", 3600)
        patch.setattr(background, "MAINTENANCE_SECONDS", 3600)
        yield


def lived(folder: Path, incidents: Callable[[Replica], Incidents] = lambda _: {}) -> str:
    """Return the series of an exporter on SQLite after a day with incidents; a restart must not change them."""
    replica = Replica(folder, f"sqlite:///{folder}/ledger.db", FakeMachine(BEGINS))
    live([replica], incidents(replica))
    shown = replica.series(ENDS)
    replica.restart()
    replica.heartbeat()
    assert replica.series(ENDS) == shown
    replica.stop()
    return shown


@pytest.fixture(scope="module")
def right(few_heartbeats: None, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: ARG001 - for its patches
    """Return the series of an exporter whose clock was never wrong."""
    return lived(tmp_path_factory.mktemp("right"))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_operation_and_back_changes_nothing(right: str, tmp_path: Path, step: float) -> None:
    def incidents(replica: Replica) -> Incidents:
        return {10.1: lambda: replica.machine.step(step), 20.1: lambda: replica.machine.step(-step)}

    assert lived(tmp_path, incidents) == right


@pytest.mark.parametrize("step", STEPS)
def test_a_start_with_a_wrong_clock_changes_nothing_once_it_is_right(right: str, tmp_path: Path, step: float) -> None:
    def incidents(replica: Replica) -> Incidents:
        def restart_after(seconds: float) -> None:
            replica.stop()
            replica.machine.step(seconds)
            replica.start()

        return {10.1: lambda: restart_after(step), 20.1: lambda: restart_after(-step)}

    assert lived(tmp_path, incidents) == right


@pytest.mark.proof
@pytest.mark.parametrize("step", STEPS)
def test_two_replicas_whose_clocks_disagree_show_what_one_with_a_right_clock_does(
    right: str, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """The time of the server counts; it is set as well, for a while."""
    server = FakeMachine(BEGINS)
    monkeypatch.setattr(sql_ledger, "reference_time", lambda _: server.wall())
    machines = [FakeMachine(BEGINS + step, "one"), FakeMachine(BEGINS - step / 2, "other", 77)]
    replicas = [Replica(tmp_path, postgres_url, machine) for machine in machines]
    live(
        replicas,
        {
            6.1: lambda: machines[0].step(-2 * step),
            10.1: lambda: server.step(step),
            15.1: replicas[0].restart,
            20.1: lambda: server.step(-step),
        },
        clocks=[server],
    )
    assert [replica.series(ENDS) for replica in replicas] == [right, right]
    for replica in replicas:
        replica.stop()


def test_a_paused_machine_was_away_and_its_clock_is_right_before_and_after(tmp_path: Path) -> None:
    """The texts of the source with a time zone tell a pause from a clock that was behind."""
    replica = Replica(tmp_path, f"sqlite:///{tmp_path}/ledger.db", FakeMachine(BEGINS))
    happenings = [happening for happening in deliveries() if happening[0] < BEGINS + 6 * HOUR]
    for number in range(24):
        for arrival, source, sent in happenings:
            if number * HEARTBEAT <= arrival - BEGINS < (number + 1) * HEARTBEAT:
                replica.receive(source, sent)
        replica.machine.pass_time(HEARTBEAT)
        replica.heartbeat()
    before = replica.ledger.read(0)
    replica.machine.pause(3 * HOUR)
    replica.machine.pass_time(10)
    replica.heartbeat()
    assert replica.ledger.read(0) == before
    assert [outage.ended_at - outage.began_at for outage in replica.ledger.outages()] == [3 * HOUR + 10]
    replica.stop()


def booted(replica: Replica, boot_id: str, step: float, seconds: float = 60) -> None:
    """Start the machine again after some seconds, with its clock set by a step."""
    replica.stop()
    replica.machine.boot(boot_id, seconds)
    replica.machine.step(step)
    replica.start()
    replica.heartbeat()


@pytest.mark.parametrize("step", [5.5 * HOUR, 400 * DAY])
def test_a_boot_with_a_clock_ahead_is_moved_to_where_it_can_have_been(tmp_path: Path, step: float) -> None:
    replica = Replica(tmp_path, f"sqlite:///{tmp_path}/ledger.db", FakeMachine(BEGINS))
    booted(replica, "ahead", step)
    replica.machine.pass_time(HEARTBEAT)
    replica.receive("found-out", body("Completed", vendor_clock(BEGINS + 60 + HEARTBEAT, ZONE)))
    replica.heartbeat()
    booted(replica, "right", -step)
    assert replica.machine.wall() == BEGINS + 120 + HEARTBEAT
    [event] = replica.ledger.read(0)
    assert BEGINS + HEARTBEAT <= event.arrived_at <= BEGINS + 120 + HEARTBEAT
    assert event.occurred_at == BEGINS + 60 + HEARTBEAT
    assert replica.ledger.outages() == []
    replica.stop()


def test_a_boot_two_weeks_behind_is_moved_and_what_was_quarantined_for_its_date_is_parsed(tmp_path: Path) -> None:
    machine = FakeMachine(BEGINS - 14 * DAY)
    replica = Replica(tmp_path, f"sqlite:///{tmp_path}/ledger.db", machine)
    replica.receive("shop", body("Completed", vendor_clock(BEGINS, ZONE)))
    assert [kept.reason for kept in replica.ledger.quarantine()] == ["date_out_of_range"]
    replica.heartbeat()
    booted(replica, "right", 14 * DAY)
    assert replica.ledger.quarantine() == []
    [event] = replica.ledger.read(0)
    assert event.occurred_at == BEGINS
    assert 'dataexport_webhook_quarantined_total{reason="date_out_of_range",source="shop"} 0.0' in replica.series(ENDS)
    replica.stop()


def test_a_boot_that_began_before_the_one_before_it_ended_is_moved(tmp_path: Path) -> None:
    replica = Replica(tmp_path, f"sqlite:///{tmp_path}/ledger.db", FakeMachine(BEGINS))
    for _ in range(16):
        replica.machine.pass_time(HEARTBEAT)
        replica.heartbeat()
    booted(replica, "behind", -2 * HOUR)
    replica.machine.pass_time(60)
    replica.heartbeat()
    booted(replica, "right", 2 * HOUR)
    assert replica.ledger.outages() == []
    [_, behind, _] = replica.ledger.epochs()
    assert BEGINS + 4 * HOUR < (behind.first_us + behind.offset_us) / 1e6 < BEGINS + 4 * HOUR + 200
    replica.stop()


def test_a_clock_that_drifts_takes_no_step(tmp_path: Path) -> None:
    replica = Replica(tmp_path, f"sqlite:///{tmp_path}/ledger.db", FakeMachine(BEGINS))
    for _ in range(4):
        replica.machine.pass_time(HEARTBEAT)
        replica.machine.step(0.4)
        replica.heartbeat()
    assert len(replica.ledger.epochs()) == 2
    assert abs(replica.service.now() - replica.machine.wall()) < 1
    assert replica.ledger.replay_generation() == 0
    assert replica.service.clock.steady_seconds() == 4 * HEARTBEAT
    replica.stop()


def test_nothing_is_pruned_until_the_clock_was_steady_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One start at +400 d would prune nearly everything at once."""
    replica = Replica(tmp_path, f"sqlite:///{tmp_path}/ledger.db", FakeMachine(BEGINS))
    pruned: list[float] = []

    def prune(now: float) -> int:
        pruned.append(now)
        return 0

    monkeypatch.setattr(replica.service._model, "prune", prune)  # noqa: SLF001 - to see the time
    work = replica.service._background  # noqa: SLF001 - does what its thread would
    for step, passes in ((400 * DAY, DAY - 1), (-400 * DAY, DAY - 1)):
        replica.machine.step(step)
        replica.heartbeat()
        replica.machine.pass_time(passes)
        work._prune()  # noqa: SLF001 - as above
    assert pruned == []
    replica.machine.pass_time(1)
    replica.machine.step(-30)  # not noticed yet: the earlier of the two clocks counts
    work._prune()  # noqa: SLF001 - as above
    assert pruned == [replica.machine.wall()]
    replica.stop()


CLOCK = """
import os, time
shift, real = os.environ["TEST_CLOCK"], time.time
time.time = lambda: real() + float(open(shift).read())
"""


@pytest.mark.proof
def test_the_installed_exporter_heals_within_a_minute_without_a_restart(tmp_path: Path) -> None:
    """The wall clock of the process is faked, and the one that cannot be set is not."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "sitecustomize.py").write_text(CLOCK, "utf-8")
    shift = tmp_path / "shift"
    shift.write_text("0", "utf-8")
    environment = {"PYTHONPATH": str(tmp_path / "fake"), "TEST_CLOCK": str(shift)}
    with Exporter(tmp_path, '[[sources]]\nslug = "shop"\ntimezone = "UTC"\n', environment=environment) as exporter:
        completed = time.time() - HOUR
        exporter.post(body("Completed", vendor_clock(completed)), "shop")
        right = from_the_ledger(exporter)
        series = {each for each in right.splitlines() if "deadline" in each or "completed" in each}

        def last_accepted() -> float:
            return exporter.value("dataexport_webhook_last_accepted_timestamp_seconds", source="shop") or 0.0

        def healed() -> float:
            steps = exporter.log().count("clock_changed")
            shift.write_text(str(400 * DAY), "utf-8")
            wait_until(lambda: exporter.log().count("clock_changed") > steps, "the step to be noticed")
            exporter.post(body("Completed", vendor_clock(completed)), "shop")
            assert last_accepted() > time.time() + DAY
            shift.write_text("0", "utf-8")
            changed = time.monotonic()
            wait_until(lambda: last_accepted() < time.time() + 1, "the clock to be right again")
            wait_until(lambda: series <= set(from_the_ledger(exporter).splitlines()), "every deadline to be right")
            return time.monotonic() - changed

        assert_within(MINUTE, healed, "the deadlines to be right")
