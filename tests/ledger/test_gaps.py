"""When nobody was there to listen, as every ledger tells it from the heartbeats that it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import every_ledger
from builders import at
from exporter.domain.events import Outage

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

ledger = every_ledger.ledger
"""Every implementation, one after the other."""


def beats(ledger: Ledger, watch: str, *times: float) -> None:
    for now in times:
        ledger.record_heartbeat(watch, now)


def test_nobody_ever_there_is_no_gap(ledger: Ledger) -> None:
    assert ledger.outages() == []
    ledger.record_heartbeat("a", at("0:00"))
    assert ledger.outages() == []


def test_a_gap_is_a_time_of_over_thirty_seconds_between_two_heartbeats(ledger: Ledger) -> None:
    beats(ledger, "a", at("0:00"), at("0:00:30"), at("0:01:00"))
    assert ledger.outages() == []
    beats(ledger, "b", at("0:01:30"), at("0:01:40"))
    assert ledger.outages() == []
    beats(ledger, "c", at("0:02:11"))
    assert ledger.outages() == [Outage(at("0:01:40"), at("0:02:11"))]


def test_a_watch_that_hung_was_not_there(ledger: Ledger) -> None:
    beats(ledger, "a", at("0:00"), at("0:00:10"), at("0:10"), at("0:10:10"))
    assert ledger.outages() == [Outage(at("0:00:10"), at("0:10"))]


def test_while_one_of_several_is_there_nothing_is_blind(ledger: Ledger) -> None:
    steady = [at("0:00") + 20 * step for step in range(91)]
    beats(ledger, "steady", *steady)
    beats(ledger, "short", at("0:05"), at("0:05:10"))
    beats(ledger, "hung", at("0:02"), at("0:20"))
    assert ledger.outages() == []
    beats(ledger, "after", at("0:31"), at("0:31:10"))
    assert ledger.outages() == [Outage(at("0:30"), at("0:31"))]


def test_gaps_come_in_order(ledger: Ledger) -> None:
    beats(ledger, "c", at("2:00"))
    beats(ledger, "a", at("0:00"))
    beats(ledger, "b", at("1:00"))
    assert ledger.outages() == [Outage(at("0:00"), at("1:00")), Outage(at("1:00"), at("2:00"))]
