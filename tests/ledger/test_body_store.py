"""Refused bodies are kept in every ledger, the newest of each source; these and quarantined ones can be deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import every_ledger
from builders import at
from exporter.domain.events import QuarantinedBody, RefusedBody
from exporter.ledger.body_store import MAX_REFUSED, BodySelection, QuarantineGroup

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

ledger = every_ledger.ledger


def a_refused(second: int = 0, source: str = "shop") -> RefusedBody:
    return RefusedBody(source, at("0:00") + second + 0.5, 400, f"not JSON: {second} ü", 70_000 + second, b"\x00\xff{")


def sequences(found: list[RefusedBody] | list[QuarantinedBody]) -> list[int]:
    return [body.sequence for body in found]


def test_a_refused_body_is_read_back_as_it_was_added_the_newest_first(ledger: Ledger) -> None:
    assert ledger.bodies.refused() == []
    ledger.bodies.add_refused([a_refused(0), a_refused(1, "other")])
    ledger.bodies.add_refused([a_refused(2)])
    assert ledger.bodies.refused() == [
        replace(a_refused(2), sequence=3),
        replace(a_refused(1, "other"), sequence=2),
        replace(a_refused(0), sequence=1),
    ]
    assert sequences(ledger.bodies.refused(1)) == [3]
    assert sequences(ledger.bodies.refused(1, before=3)) == [2]
    assert sequences(ledger.bodies.refused(source="other")) == [2]


def test_only_the_newest_of_each_source_are_kept(ledger: Ledger) -> None:
    ledger.bodies.add_refused([a_refused(0, "other")])
    ledger.bodies.add_refused([a_refused(second) for second in range(MAX_REFUSED - 1)])
    ledger.bodies.add_refused([a_refused(second) for second in range(3)])
    kept = ledger.bodies.refused(1000, "shop")
    assert sequences(kept) == list(range(MAX_REFUSED + 3, 3, -1))
    assert sequences(ledger.bodies.refused(source="other")) == [1]


def test_refused_bodies_are_pruned_the_oldest_first(ledger: Ledger) -> None:
    ledger.bodies.add_refused([a_refused(second) for second in range(5)])
    assert ledger.bodies.prune_refused(at("0:00") + 3, 2) == 2
    assert ledger.bodies.prune_refused(at("0:00") + 3, 2) == 1
    assert ledger.bodies.prune_refused(at("0:00") + 3, 2) == 0
    assert sequences(ledger.bodies.refused()) == [5, 4]


def test_quarantined_bodies_are_grouped_and_listed_by_their_reason(ledger: Ledger) -> None:
    assert ledger.bodies.quarantine_groups() == []
    arrivals = [("a", "bad_date", 5.0), ("a", "wrong_type", 7.0), ("a", "bad_date", 6.5), ("b", "bad_date", 7.0)]
    ledger.append(
        [
            QuarantinedBody(source, at("0:00") + second, reason, "", b"{}", bytes([number]) * 16)
            for number, (source, reason, second) in enumerate(arrivals)
        ]
    )
    assert ledger.bodies.quarantine_groups() == [
        QuarantineGroup("a", "wrong_type", 1, at("0:00") + 7, at("0:00") + 7),
        QuarantineGroup("b", "bad_date", 1, at("0:00") + 7, at("0:00") + 7),
        QuarantineGroup("a", "bad_date", 2, at("0:00") + 5, at("0:00") + 6.5),
    ]
    assert sequences(ledger.quarantine(reason="bad_date")) == [4, 3, 1]
    assert sequences(ledger.quarantine(1, "a", before=4, reason="bad_date")) == [3]
    assert sequences(ledger.quarantine(source="a", after=1, reason="wrong_type")) == [2]


def test_bodies_are_counted_and_deleted_by_what_was_given(ledger: Ledger) -> None:
    quarantined = [("a", "bad_date"), ("a", "wrong_type"), ("b", "bad_date"), ("b", "bad_date"), ("b", "wrong_type")]
    ledger.append(
        [
            QuarantinedBody(source, 1.0, reason, "", b"{}", bytes([n]) * 16)
            for n, (source, reason) in enumerate(quarantined)
        ]
    )
    ledger.bodies.add_refused([a_refused(0, "a"), a_refused(1, "b"), a_refused(2, "b")])
    counters = ledger.delivery_counters()
    for selection, expected, left in (
        (BodySelection(sequences=(1, 77)), 1, [5, 4, 3, 2]),
        (BodySelection(source="b", reason="bad_date"), 2, [5, 2]),
        (BodySelection(reason="bad_date"), 0, [5, 2]),
        (BodySelection(source="a", sequences=(2, 5)), 1, [5]),
    ):
        assert ledger.bodies.count(selection) == expected
        assert ledger.bodies.delete(selection) == expected
        assert sequences(ledger.quarantine()) == left
    assert ledger.bodies.delete(BodySelection(refused=True, source="a")) == 1
    assert ledger.bodies.delete(BodySelection(refused=True, sequences=(2,))) == 1
    assert sequences(ledger.bodies.refused()) == [3]
    assert ledger.bodies.delete(BodySelection()) == 1
    assert ledger.bodies.count(BodySelection()) == 0
    assert ledger.bodies.delete(BodySelection(refused=True)) == 1
    assert ledger.delivery_counters() == counters
