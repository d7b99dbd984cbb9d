"""The deadlines that follow from the events of one export, and what its history does with events that come late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE, Webhook, at, event
from exporter.domain.deadlines import expectation_of
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, Selection
from exporter.projection.fold.history import CACHE_FROM, UNCOMPACTED_EVENTS, History
from exporter.projection.fold.rules import Rules
from folding import completed, declared_state, expectation, folded, started

if TYPE_CHECKING:
    from exporter.domain.events import Event


GRACE_OF_3H = Declaration("slow", Selection("shop"), grace=3 * HOUR)


# Deadlines


def test_before_the_first_completion_the_first_start_counts() -> None:
    webhook = Webhook()
    for start in ("0:00", "4:00"):
        webhook.deliver("Initiated", at(start))
    state = webhook.only_state(at("5:00"))
    assert (state.deadline, state.start_deadline) == (at("4:48"), at("8:48"))
    assert state.condition(at("5:00")) == "never completed"


def test_without_an_interval_there_is_no_deadline_but_one_for_the_run() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"), Frequency="One Time")
    state = webhook.only_state(at("1:00"))
    assert (state.interval, state.grace, state.start_deadline, state.deadline) == (0, 0, 0, 0)
    assert (state.run_deadline, state.recurring, state.changes_at) == (at("0:00", day=1), False, float("inf"))


def test_only_a_completion_gives_no_start_deadline() -> None:
    webhook = Webhook()
    webhook.deliver("Completed", at("0:10"))
    state = webhook.only_state(at("1:00"))
    assert (state.deadline, state.start_deadline, state.run_deadline) == (at("4:58"), 0, 0)


def test_only_a_failure_gives_no_deadline() -> None:
    webhook = Webhook()
    webhook.deliver("Failed", at("0:10"))
    assert webhook.only_state(at("1:00")).deadline == 0


def test_a_declared_export_that_never_ran_is_due_after_it_was_declared() -> None:
    silent = Declaration("silent", Selection("shop", request_id="none"), interval=4 * HOUR)
    state = declared_state(silent, [], at("5:00"), declared_at=at("0:00"))
    assert (state.deadline, state.start_deadline, state.slots) == (at("4:48"), 0, 0)
    assert state.condition(at("5:00")) == "never completed"
    expected = replace(silent, first_expected=at("2:00"))
    assert declared_state(expected, [], at("5:00"), declared_at=at("0:00")).deadline == at("2:48")
    assert declared_state(replace(silent, interval=None), [], at("5:00"), declared_at=at("0:00")).deadline == 0


def test_the_run_deadline_is_that_of_the_oldest_open_run() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:30"), "b")
    webhook.deliver("Initiated", at("0:00"), "a")
    state = webhook.only_state(at("1:00"))
    assert (state.in_progress, state.running_since, state.run_deadline) == (2, at("0:00"), at("4:00"))


def test_deadlines_pass_over_a_slot_that_an_outage_hides() -> None:
    webhook = Webhook(outages=[Outage(at("4:30"), at("5:30"))])
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("Completed", at("0:10"))
    state = webhook.only_state(at("5:45"))
    assert (state.start_deadline, state.deadline) == (at("8:48"), at("8:58"))
    later = webhook.only_state(at("8:10"))
    assert (later.slots_unknown, later.slots_missed) == (1, 0)


def test_a_muted_export_is_counted_until_the_time_is_over() -> None:
    muted = Declaration("muted", Selection("shop"), interval=4 * HOUR, muted_until=at("6:00"))
    events = [started("0:00"), completed("0:10")]
    before = declared_state(muted, events, at("5:59:59"))
    assert (before.muted, before.changes_at, before.condition(at("5:59:59"))) == (True, at("6:00"), "muted")
    after = declared_state(muted, events, at("6:00"))
    assert (after.muted, after.condition(at("6:00"))) == (False, "overdue")
    assert after.changes_at == at("8:10")


@pytest.mark.parametrize(
    ("now", "condition"),
    [("0:05", "running"), ("0:15", "fine"), ("4:48", "fine"), ("4:49", "not started"), ("5:00", "overdue")],
)
def test_the_condition_is_the_most_urgent_thing(now: str, condition: str) -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    if at(now) > at("0:10"):
        webhook.deliver("Completed", at("0:10"))
    assert webhook.only_state(at(now)).condition(at(now)) == condition


@pytest.mark.parametrize(
    ("frequency", "condition"),
    [("Every 4 hours", "fine"), ("One Time", "fine"), ("when it suits", "no schedule")],
)
def test_an_export_that_can_never_be_overdue_is_not_fine_unless_it_runs_once(frequency: str, condition: str) -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"), Frequency=frequency)
    webhook.deliver("Completed", at("0:10"), Frequency=frequency)
    assert webhook.only_state(at("0:15")).condition(at("0:15")) == condition


def test_a_declared_export_has_no_schedule_until_its_events_give_one() -> None:
    by_id = Declaration("by-id", Selection("shop", request_id="1700000001"))
    before = declared_state(by_id, [], at("0:00"), declared_at=at("0:00"))
    assert (before.condition(at("0:00")), before.deadline) == ("no schedule", 0)
    after = declared_state(by_id, [started("0:00"), completed("0:10")], at("0:15"), declared_at=at("0:00"))
    assert (after.condition(at("0:15")), after.deadline) == ("fine", at("4:58"))
    once = Declaration("once", Selection("shop", frequency="one-time"))
    assert declared_state(once, [], at("0:00"), declared_at=at("0:00")).condition(at("0:00")) == "fine"


def test_a_declared_export_has_the_labels_of_its_declaration() -> None:
    declaration = Declaration(
        "nightly",
        Selection("shop", partner="Amazon S3", data_type="events"),
        interval=DAY,
        owner="data",
        runbook_url="https://example.org/run",
    )
    state = declared_state(declaration, [started("0:00", partner="amazon s3")], at("1:00"))
    assert (state.export, state.partner, state.data_type, state.frequency) == ("nightly", "Amazon S3", "events", "24h")
    assert (state.declared, state.owner, state.runbook_url) == (True, "data", "https://example.org/run")
    bare = declared_state(Declaration("bare", Selection("shop", frequency="8h")), [], at("1:00"))
    assert (bare.partner, bare.data_type, bare.frequency) == ("", "", "8h")
    assert declared_state(Declaration("bare", Selection("shop")), [], at("1:00")).frequency == ""


def test_what_has_no_interval_does_not_come_back() -> None:
    once = [event("initiated", at("0:00", day), frequency="one-time") for day in (0, 9)]
    assert not folded(*once).has_recurred


# What is older than the loose events


def many(count: int, first: int = 0) -> list[Event]:
    return [event("initiated", at("0:00") + run * 4 * HOUR) for run in range(first, first + count)]


def test_an_event_a_little_late_is_put_in_its_place() -> None:
    events = many(UNCOMPACTED_EVENTS + 1)
    history = History(Rules(expectation))
    late = event("completed", at("0:00") + (UNCOMPACTED_EVENTS - 2) * 4 * HOUR + 600)
    assert all(history.add(each) for each in [*events, late])
    assert history.runs() == folded(*events, late)
    assert len(history) == UNCOMPACTED_EVENTS + 2


def test_an_event_older_than_the_loose_ones_is_refused_and_a_rebuild_has_it() -> None:
    events = many(UNCOMPACTED_EVENTS + 1)
    history = History(Rules(expectation))
    assert all(history.add(each) for each in events)
    before = history.runs().copy()
    late = event("completed", at("0:10"))
    assert history.add(late) is False
    assert (history.runs(), len(history)) == (before, UNCOMPACTED_EVENTS + 1)
    history.rebuild([late, *reversed(events)])
    assert history.runs() == folded(*events, late)
    assert history.runs().last_duration == 600
    assert len(history) == UNCOMPACTED_EVENTS + 2


@pytest.mark.parametrize("count", [1, UNCOMPACTED_EVENTS, UNCOMPACTED_EVENTS + 1, 3 * UNCOMPACTED_EVENTS])
def test_one_by_one_and_all_at_once_are_the_same(count: int) -> None:
    events = many(count)
    history = History(Rules(expectation))
    assert all(history.add(each) for each in events)
    assert history.runs() == folded(*events)


steps = st.lists(
    st.builds(
        event,
        st.sampled_from(["initiated", "initiated", "completed", "failed"]),
        st.integers(0, 60).map(lambda hours: at("0:00") + hours * HOUR),
        request_id=st.sampled_from(["1", "2"]),
    )
    | st.integers(0, 60),
    max_size=UNCOMPACTED_EVENTS,
)


@given(steps=steps)
def test_asked_after_every_event_and_every_gap_it_is_what_all_at_once_amount_to(steps: list[Event | int]) -> None:
    outages: list[Outage] = []
    history = History(Rules(expectation, outages))
    taken: list[Event] = []
    for step in steps:
        if isinstance(step, int):
            began = max((outage.ended_at for outage in outages), default=at("0:00"))
            outages.append(Outage(began + step * MINUTE, began + step * HOUR))
        else:
            taken.append(step._replace(sequence=len(taken) + 1))
            assert history.add(taken[-1])
        assert history.runs() == folded(*taken, outages=outages)


@pytest.mark.parametrize(("began", "missed", "unknown"), [("11:09", 1, 1), ("11:10", 2, 0)])
def test_an_outage_learned_of_later_meets_a_slot_whose_grace_is_longer_than_half_an_interval(
    began: str, missed: int, unknown: int
) -> None:
    outages: list[Outage] = []
    history = History(Rules(lambda interval: expectation_of(interval, UTC, GRACE_OF_3H), outages))
    events = [started("0:00"), completed("0:10"), completed("12:10"), started("12:15")]
    assert all(history.add(each._replace(sequence=nth)) for nth, each in enumerate(events, 1))
    assert len(events) == CACHE_FROM
    assert (history.runs().missed_slots, history.runs().unknown_slots) == (2, 0)
    outages.append(Outage(at(began), at("11:30")))
    assert (history.runs().missed_slots, history.runs().unknown_slots) == (missed, unknown)


def test_loose_events_of_an_id_are_taken_out_and_settled_ones_are_not() -> None:
    events = many(UNCOMPACTED_EVENTS)
    history = History(Rules(expectation))
    mine = started("0:01", request_id="mine")
    assert all(history.add(each) for each in [*events[:3], mine])
    assert history.remove("mine", 1)
    assert history.runs() == folded(*events[:3])
    assert all(history.add(each) for each in [mine, *events[3:], *many(4, UNCOMPACTED_EVENTS)])
    assert not history.remove("mine", 1)


def test_an_event_right_after_the_compacted_ones_needs_no_rebuild() -> None:
    history = History(Rules(expectation))
    for number in range(UNCOMPACTED_EVENTS + 1):
        history.add(event("completed", at("0:00") + number * HOUR))
    last_compacted = at("0:00") + (UNCOMPACTED_EVENTS // 2 - 1) * HOUR
    assert not history.add(event("completed", last_compacted - 1))
    assert history.add(event("completed", last_compacted + 1))
