"""An event that is delivered several times is stored once, in every ledger."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import every_ledger
from builders import HOUR, accepted_event, at, event
from exporter.domain.events import DeliveryCounter
from exporter.ledger import contract as ledgers
from ledger_entries import FIRST, SECOND, a_quarantined, digests

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

ledger = every_ledger.ledger
"""Every implementation, one after the other."""


def test_the_same_event_is_stored_once_and_counted_as_a_duplicate(ledger: Ledger) -> None:
    assert ledger.append([accepted_event(FIRST)]) == [True]
    assert ledger.append([accepted_event(FIRST), accepted_event(SECOND)]) == [False, True]
    assert digests(ledger.read(0)) == [FIRST.digest, SECOND.digest]
    assert ledger.delivery_counters() == [DeliveryCounter("shop", "duplicate", "", 1, FIRST.arrived_at)]


def test_the_same_event_several_times_in_one_list_is_new_the_first_time(ledger: Ledger) -> None:
    assert ledger.append([accepted_event(each) for each in (FIRST, SECOND, FIRST, FIRST)]) == [True, True, False, False]
    assert digests(ledger.read(0)) == [FIRST.digest, SECOND.digest]
    assert ledger.delivery_counters()[0].count == 2


def test_each_event_of_short_lists_is_new_unless_stored_or_earlier_in_the_list(ledger: Ledger) -> None:
    some = [event("initiated", at("0:00") + minute * 60) for minute in range(12)]
    random = Random(5)
    seen: list[bytes] = []
    repeated = 0
    for _ in range(60):
        batch = random.choices(some, k=random.randint(1, 4))
        fresh = []
        for each in batch:
            fresh.append(each.digest not in seen)
            seen += [each.digest] if fresh[-1] else []
        repeated += fresh.count(False)
        assert ledger.append([accepted_event(each) for each in batch]) == fresh
    assert digests(ledger.read(0)) == seen
    assert ledger.delivery_counters()[0].count == repeated


def test_equal_events_of_two_sources_are_no_duplicates(ledger: Ledger) -> None:
    elsewhere = event("initiated", at("0:00"), source="other-shop")
    assert elsewhere.digest == FIRST.digest
    assert ledger.append([accepted_event(FIRST), accepted_event(elsewhere)]) == [True, True]
    assert [each.source for each in ledger.read(0)] == ["shop", "other-shop"]


def test_sequences_grow_also_beside_duplicates(ledger: Ledger) -> None:
    ledger.append([accepted_event(FIRST)])
    ledger.append([accepted_event(FIRST)])
    ledger.append([accepted_event(SECOND)])
    sequences = [each.sequence for each in ledger.read(0)]
    assert sequences == sorted(set(sequences))
    assert ledger.last_sequence() == sequences[-1]


def test_a_duplicate_does_not_replace_the_body(ledger: Ledger) -> None:
    ledger.append([ledgers.AcceptedEvent(FIRST, b"first")])
    ledger.append([ledgers.AcceptedEvent(FIRST, b"second")])
    assert ledger.body(1) == b"first"


def test_the_same_quarantined_body_is_stored_once_per_source(ledger: Ledger) -> None:
    again = [a_quarantined(), a_quarantined(), a_quarantined(source="other-shop")]
    assert ledger.append(again) == [True, False, True]
    assert len(ledger.quarantine()) == 2
    assert Counter((each.source, each.kind) for each in ledger.delivery_counters()) == {
        ("other-shop", "quarantined"): 1,
        ("shop", "duplicate"): 1,
        ("shop", "quarantined"): 1,
    }


def test_each_event_of_long_lists_is_new_unless_stored_or_earlier_in_the_list(ledger: Ledger) -> None:
    many = [accepted_event(event("initiated", at("0:00") + n * HOUR)) for n in range(1300)]
    assert ledger.append(many[::3]) == [True] * 434
    assert ledger.append([*many, *many[:5]]) == [bool(n % 3) for n in range(1300)] + [False] * 5
    assert len(ledger.read(0)) == 1300
    assert ledger.delivery_counters()[0].count == 434 + 5


def test_a_thousand_concurrent_deliveries_of_one_event_are_one_event(ledger: Ledger) -> None:
    answers: list[bool] = []
    start = threading.Barrier(50)

    def deliver() -> None:
        start.wait()
        for _ in range(20):
            answers.extend(ledger.append([accepted_event(FIRST)]))

    threads = [threading.Thread(target=deliver) for _ in range(50)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Counter(answers) == {True: 1, False: 999}
    assert len(ledger.read(0)) == 1
    assert ledger.delivery_counters() == [DeliveryCounter("shop", "duplicate", "", 999, FIRST.arrived_at)]
