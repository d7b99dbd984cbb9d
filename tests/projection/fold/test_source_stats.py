"""What the events of a source say about it: counts, delays, and whether its clock is set right."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE, SHOP, at, event
from exporter.domain.events import DeliveryCounter, Event
from exporter.domain.exports import Source
from exporter.domain.states import SourceState
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from collections.abc import Iterable

KOLKATA = Source("shop", "Asia/Kolkata", ZoneInfo("Asia/Kolkata"))


def state(events: Iterable[Event], source: Source = SHOP, tallies: Iterable[DeliveryCounter] = ()) -> SourceState:
    history = SourceStats()
    for each in events:
        history.add(each)
    return history.state(source, tallies)


@given(
    told=st.sets(
        st.tuples(
            st.sampled_from(["initiated", "completed", "failed", "other", *(f"word-{number}" for number in range(12))]),
            st.integers(0, 30),
            st.sampled_from(["4h", "one-time", "full moon", ""]),
            st.booleans(),
        ),
        max_size=40,
    ).flatmap(lambda found: st.permutations(sorted(found))),
    cut=st.integers(0, 40),
)
def test_many_events_at_once_are_the_same_as_one_after_the_other(
    told: list[tuple[str, int, str, bool]], cut: int
) -> None:
    events = [
        event(status, at("0:00") + hour * HOUR, request_id=str(number), frequency=frequency, skewed=skewed)
        for number, (status, hour, frequency, skewed) in enumerate(told)
    ]
    one_by_one, at_once = SourceStats(), SourceStats()
    for each in events:
        one_by_one.add(each)
    at_once.add_all(events[:cut])
    at_once.add_all(events[cut:])
    assert at_once.to_document() == one_by_one.to_document()
    assert at_once.statuses == one_by_one.statuses


def said_at(offset: float, run: int = 0, late: float = 2) -> Event:
    """An event whose text is on a clock ``offset`` hours ahead of UTC."""
    return event("initiated", at("0:00") + run * HOUR, utc_offset=round(offset * HOUR), delay=late)


def test_a_source_without_events_has_its_two_words_at_zero() -> None:
    assert state([]) == SourceState("shop", "UTC", events={"initiated": 0, "completed": 0})


def test_events_are_counted_by_their_status() -> None:
    statuses = ["initiated", "completed", "initiated", "paused"]
    found = state(event(status, at("0:00") + n) for n, status in enumerate(statuses))
    assert found.events == {"initiated": 2, "completed": 1, "paused": 1}


def test_past_ten_words_a_status_is_other() -> None:
    words = [f"word-{n}" for n in range(10)]
    found = state(event(word, at("0:00")) for word in [*words, "word-0", "initiated"])
    assert found.events == {"initiated": 1, "completed": 0, "word-0": 2} | dict.fromkeys(words[1:8], 1) | {"other": 2}


def test_what_the_ledger_counts_is_shown_for_its_own_source_only() -> None:
    tallies = [
        DeliveryCounter("shop", "duplicate", "", 4, at("1:00")),
        DeliveryCounter("shop", "test_call", "", 2, at("3:00")),
        DeliveryCounter("shop", "quarantined", "bad_date", 3, at("2:00")),
        DeliveryCounter("shop", "quarantined", "wrong_type", 1, at("0:00")),
        DeliveryCounter("elsewhere", "duplicate", "", 99, at("9:00")),
    ]
    found = state([event("initiated", at("0:00"))], tallies=tallies)
    assert (found.duplicates, found.test_calls) == (4, 2)
    assert found.quarantined == {"bad_date": 3, "wrong_type": 1}
    assert found.last_accepted == at("2:00")  # not the test call: it proves no event


def test_whole_numbers_of_a_dump_are_restored_as_instants() -> None:
    newest = [5, "00" * 16, "2026-06-01T00:00:00", 3, False]
    document = {
        "events_by_status": {"initiated": 1},
        "dated_in_future": 0,
        "unknown_frequencies": 0,
        "newest_arrivals": [newest],
        "unknown_status_arrivals": {"paused": [4, 5]},
    }
    found = SourceStats.from_document(document).state(SHOP, [])
    assert repr((found.last_accepted, found.delay, found.unknown_statuses)) == "(5.0, 2.0, {'paused': 4.0})"


def test_a_word_that_is_no_known_status_is_shown_with_the_arrival_of_its_second_newest_event() -> None:
    hours = {"running": [0, 1], "paused": [3, 9, 0, 6], "odd": [2]}
    found = state(
        event(status, at("0:00") + hour * HOUR, request_id=str(hour), delay=0)
        for status, all_hours in hours.items()
        for hour in all_hours
    )
    assert found.unknown_statuses == {"paused": at("6:00"), "odd": 0}


def test_a_source_shows_since_when_it_is_configured() -> None:
    assert SourceStats().state(SHOP, [], configured_at=at("1:00")).configured_at == at("1:00")


def test_an_event_is_accepted_too() -> None:
    tallies = [DeliveryCounter("shop", "duplicate", "", 1, at("0:30"))]
    assert state([event("initiated", at("1:00"), delay=3)], tallies=tallies).last_accepted == at("1:00") + 3


def test_skewed_events_and_unknown_frequencies_are_counted() -> None:
    frequencies = ["4h", "one-time", "full moon", "full moon"]
    found = state(
        event("initiated", at("0:00") + n, frequency=frequency, skewed=n == 0)
        for n, frequency in enumerate(frequencies)
    )
    assert (found.unknown_frequencies, found.skewed) == (2, 1)


@pytest.mark.parametrize("delays", list(permutations([2.0, -90.0, 3 * HOUR])))
def test_the_delay_is_that_of_the_event_that_arrived_last(delays: tuple[float, ...]) -> None:
    assert state(event("initiated", at("0:00"), delay=delay) for delay in delays).delay == 3 * HOUR


def test_a_delay_may_be_negative_where_the_clocks_disagree() -> None:
    assert state([event("initiated", at("0:00"), delay=-90)]).delay == -90


def test_the_suspected_offset_follows_the_five_newest_arrivals() -> None:
    old = [said_at(-5, run) for run in range(5)]
    new = [said_at(5.5, 10 + run) for run in range(3)]
    assert state(old).suspected_offset == -5 * HOUR
    assert state([*old, *new]).suspected_offset == 5.5 * HOUR
    assert state([*new, *old]).suspected_offset == 5.5 * HOUR


def test_a_text_with_an_offset_is_no_evidence_of_the_zone() -> None:
    dated = [event("completed", at("0:00") + run, offset_in_text=True) for run in range(5)]
    assert (state(dated, KOLKATA).suspected_offset, state(dated, KOLKATA).suspect) == (None, False)


def test_no_offset_is_suspected_where_no_arrival_is_evidence() -> None:
    found = state([said_at(0, run, late=20 * HOUR) for run in range(5)], KOLKATA)
    assert (found.suspected_offset, found.suspect) == (None, False)


@pytest.mark.parametrize(("agreeing", "suspect"), [(0, False), (1, False), (2, False), (3, True), (5, True)])
def test_a_zone_is_suspect_after_three_arrivals_that_agree_on_another(agreeing: int, suspect: bool) -> None:  # noqa: FBT001
    assert state([said_at(5.5, run) for run in range(agreeing)], SHOP).suspect is suspect
    assert not state([said_at(5.5, run) for run in range(agreeing)], KOLKATA).suspect


def test_a_zone_is_not_suspect_while_the_arrivals_disagree() -> None:
    events = [said_at(5.5, 0), said_at(5.5, 1), said_at(5.5, 2, late=20 * MINUTE)]
    assert not state(events).suspect


def test_old_deliveries_among_them_are_no_evidence_for_or_against() -> None:
    events = [said_at(5.5, 0), said_at(5.5, 1), said_at(5.5, 2), said_at(5.5, 3, late=2 * DAY)]
    assert state(events).suspect


def test_no_zone_is_suspect_where_none_was_set() -> None:
    assert not state([said_at(5.5, run) for run in range(5)], Source("shop")).suspect


def test_a_summer_time_change_makes_a_right_zone_not_suspect() -> None:
    york = Source("shop", "America/New_York", ZoneInfo("America/New_York"))
    change = at("6:00", day=153)  # 2026-11-01T06:00Z
    events = [
        event("initiated", change + hours * HOUR, utc_offset=(-4 if hours < 0 else -5) * HOUR)
        for hours in (-2, -1, 1, 2, 3)
    ]
    assert not state(events, york).suspect
