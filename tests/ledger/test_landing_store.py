"""Checks of landings are facts that every ledger keeps, and one replica at a time has the lease to make them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import every_ledger
from builders import at
from exporter.domain.epochs import GIVEN
from exporter.domain.landing import LANDED, NOTHING, LandingCheck, RunKey
from exporter.ledger.landing_store import LEASE_SECONDS

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

ledger = every_ledger.ledger


def a_check(minute: int, result: str = NOTHING, export_id: str = "a") -> LandingCheck:
    run = RunKey(at("0:10") + 0.5, at("0:00"))
    return LandingCheck("shop", export_id, run, at("0:40"), at("0:00") + minute * 60.0, result, 3, 2**40, 1.5, "s3://ü")


def append(ledger: Ledger, *checks: LandingCheck) -> None:
    for check in checks:
        ledger.landings.append(check, GIVEN)


def test_checks_are_read_back_in_order_with_a_total_per_export_and_result(ledger: Ledger) -> None:
    assert ledger.landings.read(0) == []
    append(ledger, a_check(1), a_check(2), a_check(3, LANDED), a_check(4, export_id="b"))
    expected = [
        replace(a_check(1), sequence=1, total=1),
        replace(a_check(2), sequence=2, total=2),
        replace(a_check(3, LANDED), sequence=3, total=1),
        replace(a_check(4, export_id="b"), sequence=4, total=1),
    ]
    assert ledger.landings.read(0) == expected
    assert ledger.landings.read(3) == expected[3:]
    assert ledger.landings.read_newest(2) == expected[1:]
    append(ledger, a_check(5), a_check(6))
    assert [check.sequence for check in ledger.landings.read_newest(2)] == [3, 4, 5, 6]
    assert [check.sequence for check in ledger.landings.read_newest(100)] == [1, 2, 3, 4, 5, 6]


def test_pruning_leaves_the_newest_of_each_result_so_that_totals_go_on(ledger: Ledger) -> None:
    append(ledger, *(a_check(minute) for minute in range(5)), a_check(5, LANDED))
    assert ledger.landings.prune(at("0:10"), 2) == 2
    assert ledger.landings.prune(at("0:10"), 100) == 2
    assert ledger.landings.prune(at("0:10"), 100) == 0
    assert [check.sequence for check in ledger.landings.read(0)] == [5, 6]
    append(ledger, a_check(6))
    assert ledger.landings.read(6)[0].total == 6


def test_one_instance_has_the_lease_until_it_stops_renewing_it(ledger: Ledger) -> None:
    now = at("0:00")
    store = ledger.landings
    assert store.lease("one", now, GIVEN)
    assert not store.lease("two", now + 1, GIVEN)
    assert store.lease("one", now + LEASE_SECONDS - 1, GIVEN)
    assert not store.lease("two", now + LEASE_SECONDS + 1, GIVEN)
    assert store.lease("two", now + 2 * LEASE_SECONDS, GIVEN)
    assert not store.lease("one", now + 2 * LEASE_SECONDS + 1, GIVEN)


def test_a_lease_from_a_clock_that_was_ahead_is_taken_over(ledger: Ledger) -> None:
    assert ledger.landings.lease("one", at("9:00"), GIVEN)
    assert ledger.landings.lease("two", at("0:00"), GIVEN)
