"""The clock of a process, and the epochs that every ledger dates its stamps by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import every_ledger
from builders import DAY, HOUR, at
from clocks import FakeMachine
from exporter.domain.decisions import MUTE, Decision
from exporter.domain.epochs import StoredEpoch, bracketed_offsets, offsets_not_ahead
from exporter.domain.events import QuarantinedBody
from exporter.domain.exports import DECLARED, ExportKey
from exporter.domain.terms import Terms, TermsChange
from exporter.ledger import contract
from exporter.ledger.clock import SLOWEST_MEASUREMENT_US, Clock, ThisMachine
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.ledger.contract import Ledger

ledger = every_ledger.ledger
NIGHTLY = ExportKey("shop", DECLARED, "nightly")


def test_everything_stamped_in_an_epoch_is_dated_by_the_offset_it_has_now(ledger: Ledger) -> None:
    epoch = ledger.begin_epoch("boot", 1_000_000, round((at("12:00") - 1) * 1e6))
    assert ledger.begin_epoch("boot", 2_000_000, 5) == epoch
    now = at("12:00")
    ledger.record_heartbeat("one", now, epoch)
    ledger.record_heartbeat("one", now + HOUR, epoch)
    ledger.record_declarations([("shop", "nightly")], now, epoch)
    ledger.record_terms({("shop", "nightly"): Terms(HOUR)}, now, epoch)
    ledger.append_decision(Decision(MUTE, NIGHTLY, now, now + HOUR, "me", "", lasts=HOUR), epoch)
    ledger.append_decision(Decision(MUTE, NIGHTLY, now, now + HOUR, "me", ""), epoch)
    ledger.append([QuarantinedBody("shop", now, "bad_date", "", b"?", b"?" * 16, epoch=epoch)])
    ledger.append([contract.TestCallReceived("shop", now, epoch), contract.TestCallReceived("shop", at("11:00"))])
    generation = ledger.replay_generation()
    ledger.correct_epochs({epoch.id: epoch.offset_us - round(DAY * 1e6)})
    assert ledger.replay_generation() == generation + 1
    now -= DAY
    [outage] = ledger.outages()
    assert (outage.began_at, outage.ended_at) == (now, now + HOUR)
    assert ledger.declaration_times() == {("shop", "nightly"): now}
    assert ledger.declared_terms() == {("shop", "nightly"): (TermsChange(now, Terms(HOUR)),)}
    assert [(each.decided_at, each.until) for each in ledger.decisions()] == [
        (now, now + HOUR),
        (now, now + DAY + HOUR),
    ]
    assert [each.arrived_at for each in ledger.quarantine()] == [now]
    assert {each.kind: (each.count, each.last_arrived_at) for each in ledger.delivery_counters()} == {
        "quarantined": (1, now),
        "test_call": (2, at("11:00")),
    }
    [stored] = ledger.epochs()
    assert (stored.offset_us, stored.measured_us) == (epoch.offset_us - round(DAY * 1e6), epoch.offset_us)
    assert stored.dated_us == epoch.offset_us
    renewed = ledger.begin_epoch("boot", 9, 7, renew=True)
    assert (renewed.id, renewed.offset_us) == (epoch.id + 1, 7)


def test_a_machine_without_a_boot_id_has_one_for_each_process(tmp_path: Path) -> None:
    here, other = ThisMachine(tmp_path / "none"), ThisMachine(tmp_path / "none")
    assert here.boot_id != other.boot_id
    assert ThisMachine().boot_id == ThisMachine().boot_id
    assert abs(here.wall() - time.time()) < HOUR
    assert 0 < here.boottime_us() <= other.boottime_us()


class ServerOf(MemoryLedger):
    """A ledger on a server that takes its time to answer."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__()
        self.machine = machine
        self.seconds = 0.0
        self.ahead = 0.0

    def reference_time(self) -> float:
        self.machine.pass_time(self.seconds)
        return self.machine.wall() + self.ahead


def test_a_server_that_answers_late_does_not_set_the_clock() -> None:
    machine = FakeMachine(at("12:00"))
    server = ServerOf(machine)
    clock = Clock(server, machine)
    clock.start()
    server.ahead, server.seconds = 100, (SLOWEST_MEASUREMENT_US + 1) / 1e6
    assert clock.check() is None
    server.seconds = 0
    step = clock.check()
    assert step is not None
    assert step.seconds == 100
    clock.correct(step.offset_us)
    assert clock.now() == machine.wall() + 100
    assert clock.earliest_now() == machine.wall()


@pytest.mark.parametrize(("seconds", "begun"), [(1.0, 0), (-1.0, 0), (1.000001, 1), (-1.000001, 1)])
def test_a_clock_that_drifts_by_more_than_a_second_begins_an_epoch(seconds: float, begun: int) -> None:
    machine = FakeMachine(at("12:00"))
    clock = Clock(MemoryLedger(), machine)
    clock.start()
    first = clock.epoch.id
    for part in (0.6 * seconds, 0.4 * seconds):  # more at once would be a step
        machine.step(part)
        assert clock.check() is None
    assert clock.epoch.id == first + begun


def epoch(number: int, first: float, last: float, offset: float, measured: float | None = None) -> StoredEpoch:
    """Make an epoch from seconds."""
    measured = offset if measured is None else measured
    first_us, last_us, offset_us, measured_us = (round(each * 1e6) for each in (first, last, offset, measured))
    return StoredEpoch(number, f"boot {number}", measured_us, offset_us, 0, first_us, last_us)


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ((100, 200, 300), (100, 200)),  # all right
        ((100, 900, 300), (100, 290)),  # the second was ahead
        ((100, 20, 300), (100, 290)),  # the second began before the first had ended
        ((900, 200, 300), (190, 200)),  # the first was ahead
        ((-900, 200, 300), (-900, 200)),  # nobody knows
    ],
)
def test_an_epoch_lies_between_those_before_and_after_it(
    offsets: tuple[int, int, int], expected: tuple[int, int]
) -> None:
    epochs = [epoch(number, 0, 10, offset) for number, offset in enumerate(offsets, 1)]
    found = bracketed_offsets(epochs, 3)
    assert tuple(found[number] / 1e6 for number in (1, 2)) == expected


def test_an_epoch_known_to_be_behind_ends_as_the_next_one_begins() -> None:
    assert bracketed_offsets([epoch(1, 0, 10, 100), epoch(2, 0, 10, 300)], 2, {1}) == {1: 290_000_000}


@pytest.mark.parametrize(
    ("offset", "measured", "expected"),
    [
        (100, 100, 100),
        (5000, 5000, 990),
        (100, 5000, 100),
        (100, 200, 200),
        (5000, 200, 200),
        (1050, 1050, 1050),  # its last heartbeat was a minute ahead
        (1051, 1051, 990),
    ],
)
def test_no_heartbeat_of_another_replica_lies_in_the_future(offset: float, measured: float, expected: float) -> None:
    epochs = [epoch(1, 0, 10, offset, measured), epoch(2, 0, 10, 990)]
    assert offsets_not_ahead(epochs, 2, 1_000_000_000) == {1: expected * 1e6}
