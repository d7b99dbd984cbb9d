"""What every ledger guarantees to its readers: selections, pages and the newest events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import every_ledger
from builders import DAY, accepted_event, at, event
from exporter.domain.exports import Selection
from exporter.ledger.sql import postgres_lookup, sqlite_lookup
from ledger_entries import FIRST, SECOND, THIRD, a_quarantined, digests

if TYPE_CHECKING:
    import pytest

    from exporter.ledger.contract import Ledger


ledger = every_ledger.ledger
"""Every implementation, one after the other."""


def test_reading_goes_page_by_page_and_the_last_page_is_short(ledger: Ledger) -> None:
    ledger.append([accepted_event(event("initiated", at("0:00") + n)) for n in range(5)])
    pages = [ledger.read(0, 2), ledger.read(2, 2), ledger.read(4, 2), ledger.read(5, 2)]
    assert [[each.sequence for each in page] for page in pages] == [[1, 2], [3, 4], [5], []]


def test_a_selection_by_request_id_ends_where_it_was_told_to(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in (FIRST, THIRD, SECOND, event("initiated", at("8:00")))])
    chosen = Selection("shop", request_id=FIRST.request_id)
    assert [each.sequence for each in ledger.select(chosen, 3)] == [1, 3]
    assert [each.sequence for each in ledger.select(chosen, 4)] == [1, 3, 4]
    assert list(ledger.select(Selection("elsewhere", request_id=FIRST.request_id), 4)) == []


def test_a_selection_by_group_takes_texts_in_any_case(ledger: Ledger) -> None:
    shouted = event("initiated", at("8:00"), partner="AMAZON S3")
    ledger.append([accepted_event(each) for each in (FIRST, THIRD, shouted)])
    group = Selection("shop", partner="amazon s3", data_type="EVENTS", frequency="4h")
    assert [each.sequence for each in ledger.select(group, 99)] == [1, 3]


def test_a_selection_by_some_fields_fits_all_of_them(ledger: Ledger) -> None:
    ledger.append([accepted_event(each) for each in (FIRST, SECOND, THIRD)])
    assert [each.sequence for each in ledger.select(Selection("shop"), 99)] == [1, 2, 3]
    assert [each.sequence for each in ledger.select(Selection("shop", partner="azure"), 99)] == [3]
    assert [each.sequence for each in ledger.select(Selection("shop", partner="azure", frequency="4h"), 99)] == []


def test_events_of_many_request_ids_are_found_at_once(ledger: Ledger) -> None:
    told = [event("initiated", at("0:00"), request_id=str(number)) for number in range(1200)]
    ledger.append([accepted_event(each) for each in [*told, event("initiated", at("0:00"), source="elsewhere")]])
    wanted = [each.request_id for each in told[1:]]
    found = ledger.read_ids("shop", [*wanted, "nobody"], upto=1199)
    assert sorted(each.sequence for each in found) == [*range(2, 1200)]
    assert ledger.read_ids("shop", [], upto=1199) == []


def test_a_selection_may_be_longer_than_a_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for lookup in (sqlite_lookup, postgres_lookup):
        monkeypatch.setattr(lookup, "PAGE_SIZE", 20)
    ledger.append([accepted_event(event("initiated", at("0:00") + second)) for second in range(41)])
    assert [each.sequence for each in ledger.select(Selection("shop", frequency="4h"), 41)] == [*range(1, 42)]


def test_the_newest_are_those_that_arrived_last(ledger: Ledger) -> None:
    late = event("completed", at("3:00"), delay=DAY)
    elsewhere = event("initiated", at("5:00"), source="other-shop")
    ledger.append([accepted_event(each) for each in (late, FIRST, elsewhere, THIRD)])
    assert [each.sequence for each in ledger.newest()] == [1, 3, 4, 2]
    assert [each.sequence for each in ledger.newest("shop", 2)] == [1, 4]
    assert ledger.newest("nowhere") == []


def test_of_two_that_arrived_at_once_the_later_appended_is_newer(ledger: Ledger) -> None:
    ledger.append([accepted_event(FIRST), accepted_event(event("completed", FIRST.occurred_at))])
    assert [each.sequence for each in ledger.newest()] == [2, 1]


def test_the_sources_that_have_events_are_listed(ledger: Ledger) -> None:
    assert ledger.event_sources() == []
    ledger.append([accepted_event(event("initiated", at("0:00"), source=slug)) for slug in ("shop", "app", "shop")])
    assert ledger.event_sources() == ["app", "shop"]


def test_events_are_followed_from_a_sequence_also_of_one_source(ledger: Ledger) -> None:
    elsewhere = event("initiated", at("0:00"), source="other-shop")
    ledger.append([accepted_event(each) for each in (THIRD, elsewhere, FIRST, SECOND)])
    assert digests(ledger.newest(None, 2, 0)) == digests([THIRD, elsewhere])
    assert digests(ledger.newest("shop", 100, 1)) == digests([FIRST, SECOND])
    assert ledger.newest("shop", 100, 4) == []


def test_events_are_listed_back_from_one_of_them_in_the_order_of_arrival(ledger: Ledger) -> None:
    elsewhere = event("initiated", at("0:00"), source="other-shop")
    twin = event("completed", FIRST.occurred_at)
    ledger.append([accepted_event(each) for each in (THIRD, elsewhere, FIRST, SECOND, twin)])
    in_order = ledger.newest()
    for number, last in enumerate(in_order, 1):
        assert ledger.newest(None, 2, before=last.sequence) == in_order[number : number + 2]
    of_shop = [each for each in in_order if each.source == "shop"]
    assert ledger.newest("shop", 100, before=of_shop[0].sequence) == of_shop[1:]
    assert ledger.newest("shop", 100, before=99) == []


def test_a_selection_is_read_backwards_as_far_as_it_is_asked_for(ledger: Ledger) -> None:
    many = [event("initiated", at("0:00") + minute * 60) for minute in range(450)]
    ledger.append([accepted_event(each) for each in (THIRD, *many)])
    whole = Selection("shop", partner="amazon s3", data_type="EVENTS", frequency="4h")
    assert digests(list(ledger.select_newest_first(whole, 451))) == digests(many[::-1])
    assert digests(list(ledger.select_newest_first(whole, 10))) == digests(many[8::-1])
    assert next(ledger.select_newest_first(Selection("shop", request_id=THIRD.request_id), 451)).digest == THIRD.digest
    assert list(ledger.select_newest_first(Selection("nowhere"), 451)) == []


def test_the_quarantine_is_followed_from_a_sequence_also_of_one_source(ledger: Ledger) -> None:
    ledger.append([a_quarantined(digest=bytes([number]) * 16) for number in range(3)])
    ledger.append([a_quarantined(digest=b"x" * 16, source="other-shop")])
    assert [each.sequence for each in ledger.quarantine(2, after=1)] == [2, 3]
    assert [each.sequence for each in ledger.quarantine(10, "other-shop")] == [4]
    assert [each.sequence for each in ledger.quarantine(10, "shop", 2)] == [3]
