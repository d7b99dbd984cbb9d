"""The fold of one export: how events become runs, slots and deadlines, and what is stale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE, SHOP, Webhook, at, event
from exporter.domain.deadlines import expectation_of
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, ExportKey, Selection
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.history import CACHE_FROM, UNCOMPACTED_EVENTS, History

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import Event
    from exporter.domain.exports import Expectation
    from exporter.domain.states import ExportState
    from exporter.projection.fold.runs import Runs


def expectation(interval: int) -> Expectation:
    return expectation_of(interval, UTC)


def folded(*events: Event, outages: Sequence[Outage] = ()) -> Runs:
    history = History(expectation, outages)
    history.rebuild(events)
    return history.runs()


def started(clock: str, request_id: str = "1700000001", partner: str = "Amazon S3", frequency: str = "4h") -> Event:
    return event("initiated", at(clock), request_id=request_id, partner=partner, frequency=frequency)


def completed(clock: str, request_id: str = "1700000001") -> Event:
    return event("completed", at(clock), request_id=request_id)


def declared_state(
    declaration: Declaration, events: Iterable[Event], now: float, declared_at: float = 0
) -> ExportState:
    exports = ExportProjection({"shop": SHOP}, [declaration])
    exports.apply(events)
    return exports.state(ExportKey("shop", "declared", declaration.name), now, declared_at)


GRACE_OF_3H = Declaration("slow", Selection("shop"), grace=3 * HOUR)


# Runs


def test_a_start_opens_a_run_and_a_completion_closes_it() -> None:
    running = folded(started("0:00"))
    assert (running.initiated, running.open_runs) == (1, {"1700000001": at("0:00")})
    done = folded(started("0:00"), completed("0:10"))
    assert (done.initiated, done.completed, done.open_runs, done.last_duration) == (1, 1, {}, 600)


@pytest.mark.parametrize(("second", "runs", "abandoned"), [("1:59:59", 1, 0), ("2:00", 2, 1), ("2:00:01", 2, 1)])
def test_a_second_start_is_another_run_from_half_an_interval_on(second: str, runs: int, abandoned: int) -> None:
    found = folded(started("0:00"), started(second), completed("3:00"))
    assert (found.initiated, found.superseded, found.completed, found.open_runs) == (runs, abandoned, 1, {})
    assert found.last_duration == at("3:00") - at("0:00" if runs == 1 else second)


def test_without_an_interval_the_longest_run_tells_two_starts_apart() -> None:
    first = event("initiated", at("0:00"), frequency="one-time")
    assert folded(first, event("initiated", at("0:00") + DAY - 1, frequency="one-time")).superseded == 0
    assert folded(first, event("initiated", at("0:00") + DAY, frequency="one-time")).superseded == 1


def test_a_start_soon_after_a_completed_run_is_another_run() -> None:
    found = folded(started("0:00"), completed("0:10"), started("0:20"))
    assert (found.initiated, found.superseded) == (2, 0)
    assert found.open_runs == {"1700000001": at("0:20")}


def test_a_completion_without_a_start_is_a_run_of_unknown_duration() -> None:
    found = folded(completed("0:10"))
    assert (found.initiated, found.completed, found.last_duration, sum(found.duration_buckets)) == (0, 1, 0, 0)


def test_a_start_and_a_completion_at_the_same_second_are_one_run() -> None:
    found = folded(completed("0:00"), started("0:00"))
    assert (found.completed, found.open_runs, sum(found.duration_buckets), found.last_duration) == (1, {}, 1, 0)


def test_a_completion_of_the_same_second_that_arrives_first_still_closes_the_run() -> None:
    found = folded(event("completed", at("0:00"), delay=1), event("initiated", at("0:00"), delay=9))
    assert (found.completed, found.open_runs, sum(found.duration_buckets)) == (1, {}, 1)


def test_of_two_events_at_the_same_second_the_earlier_arrival_is_first() -> None:
    early = event("initiated", at("0:00"), delay=1, partner="Early")
    late = event("initiated", at("0:00"), delay=2, partner="Late")
    assert folded(late, early).partner == "Late"


def test_a_completion_before_any_start_does_not_close_a_later_run() -> None:
    found = folded(completed("0:10"), started("0:11"))
    assert (found.completed, len(found.open_runs)) == (1, 1)


def test_runs_of_two_ids_do_not_close_each_other() -> None:
    found = folded(started("0:00", request_id="a"), started("0:01", request_id="b"), completed("0:05", request_id="a"))
    assert found.open_runs == {"b": at("0:01")}
    assert (found.last_duration, found.superseded) == (300, 0)


def test_a_failure_closes_the_run_as_failed() -> None:
    found = folded(started("0:00"), event("failed", at("0:05")), completed("0:10"))
    assert (found.failed, found.last_failed, found.open_runs) == (1, at("0:05"), {})
    assert (found.completed, sum(found.duration_buckets)) == (1, 0)


def test_a_failure_is_read_in_any_case() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("FAILED", at("0:05"))
    state = webhook.only_state(at("0:06"))
    assert (state.failed, state.in_progress, state.condition(at("0:06"))) == (1, 0, "failed")


def test_a_failure_without_a_run_is_counted() -> None:
    assert folded(event("failed", at("0:05"))).failed == 1


def running(clock: str, request_id: str = "1700000001") -> Event:
    return event("running", at(clock), request_id=request_id)


def test_a_run_in_progress_opens_a_run_if_its_id_has_none_open() -> None:
    found = folded(running("0:05"), completed("0:10"))
    assert (found.initiated, found.completed, found.last_duration, found.open_runs) == (1, 1, 300, {})
    other_id = folded(started("0:00", request_id="a"), running("0:05", request_id="b"))
    assert other_id.open_runs == {"a": at("0:00"), "b": at("0:05")}


def test_a_run_in_progress_is_no_second_start_however_long_the_run_takes() -> None:
    found = folded(started("0:00"), running("0:05"), running("3:30"), completed("3:40"))
    assert (found.initiated, found.superseded, found.last_duration) == (1, 0, 3 * HOUR + 40 * MINUTE)


def test_a_run_in_progress_of_the_same_second_comes_between_start_and_completion() -> None:
    found = folded(completed("0:00"), running("0:00"), started("0:00"))
    assert (found.initiated, found.completed, found.open_runs) == (1, 1, {})


def test_runs_in_progress_are_no_evidence_that_an_id_recurs() -> None:
    assert not folded(started("0:00"), running("3:00"), running("9:00")).has_recurred
    assert not folded(running("0:00"), running("9:00")).has_recurred
    assert folded(running("0:00"), started("4:00")).has_recurred


def test_another_status_changes_no_run_but_was_received() -> None:
    found = folded(started("0:00"), event("paused", at("0:05"), delay=MINUTE))
    assert (found.initiated, found.completed, found.failed, len(found.open_runs)) == (1, 0, 0, 1)
    assert found.last_received == at("0:06")


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0, 0), (60, 0), (61, 1), (600, 3), (601, 4), (43_200, 10), (43_201, 11)]
)
def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass(seconds: int, bucket: int) -> None:
    found = folded(started("0:00"), event("completed", at("0:00") + seconds))
    assert found.duration_buckets.index(1) == bucket
    assert (found.duration_sum, sum(found.duration_buckets)) == (seconds, 1)


def test_spellings_that_differ_in_case_only_do_not_change_the_labels() -> None:
    found = folded(started("0:00", partner="Azure"), started("4:00", partner="AZURE"))
    assert found.partner == "Azure"
    assert folded(started("0:00", partner="Azure"), started("4:00", partner="Amazon S3")).partner == "Amazon S3"


# Slots


@pytest.mark.parametrize(
    ("start", "slots", "missed", "late"),
    [
        ("2:00", 2, 0, 0),
        ("4:48", 2, 0, 0),
        ("4:48:01", 2, 0, 1),
        ("5:59:59", 2, 0, 1),
        ("6:00", 3, 1, 0),
        ("8:48", 3, 1, 0),
        ("8:48:01", 3, 1, 1),
        ("12:00", 4, 2, 0),
    ],
)
def test_a_start_is_on_time_late_or_after_missed_slots(start: str, slots: int, missed: int, late: int) -> None:
    found = folded(started("0:00"), completed("0:10"), started(start))
    assert (found.slots, found.missed_slots, found.late_slots, found.unknown_slots) == (slots, missed, late, 0)


def test_another_start_in_the_same_slot_is_not_another_slot() -> None:
    found = folded(started("0:00", request_id="a"), started("0:30", request_id="b"), started("4:00", request_id="a"))
    assert (found.slots, found.late_slots, found.missed_slots) == (2, 0, 0)


def test_a_slot_in_blind_time_is_unknown() -> None:
    found = folded(started("0:00"), completed("0:10"), started("12:00"), outages=[Outage(at("3:00"), at("5:00"))])
    assert (found.slots, found.unknown_slots, found.missed_slots) == (4, 1, 1)


def test_a_new_schedule_begins_anew_and_keeps_what_was_missed_before() -> None:
    change = started("12:00", frequency="24h")
    found = folded(started("0:00"), completed("0:10"), change)
    assert (found.slots, found.missed_slots, found.late_slots) == (4, 2, 0)
    following = event("initiated", at("12:30", day=1), frequency="24h")
    assert folded(started("0:00"), completed("0:10"), change, completed("12:10"), following).slots == 5


def test_a_new_schedule_that_begins_in_the_same_slot_is_a_slot_of_its_own() -> None:
    found = folded(started("0:00"), completed("0:10"), started("1:00", frequency="24h"))
    assert (found.slots, found.missed_slots, found.last_slot_start) == (2, 0, at("1:00"))


def test_missed_slots_stay_missed_when_an_event_of_another_frequency_comes() -> None:
    nightly = Declaration("nightly", Selection("shop"))
    events = [started("0:00"), event("completed", at("9:00"), frequency="8h")]
    assert declared_state(nightly, events[:1], at("9:00")).slots_missed == 1
    assert declared_state(nightly, events, at("9:00")).slots_missed == 1


def test_a_one_time_run_of_a_declared_export_does_not_take_its_deadline_away() -> None:
    everything = Declaration("everything", Selection("shop"))
    once = event("initiated", at("1:00"), frequency="one-time", request_id="once")
    state = declared_state(everything, [started("0:00"), completed("0:10"), once], at("1:00"))
    assert (state.interval, state.deadline, state.recurring) == (4 * HOUR, at("4:58"), True)


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
    assert declared_state(expected, [], at("5:00"), declared_at=at("0:00")).deadline == at("6:48")
    assert declared_state(replace(silent, interval=None), [], at("5:00"), declared_at=at("0:00")).deadline == 0


def test_the_run_deadline_is_that_of_the_oldest_open_run() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:30"), "b")
    webhook.deliver("Initiated", at("0:00"), "a")
    state = webhook.only_state(at("1:00"))
    assert (state.in_progress, state.running_since, state.run_deadline) == (2, at("0:00"), at("4:00"))


def test_deadlines_that_passed_in_blind_time_wait_one_grace_more() -> None:
    webhook = Webhook(outages=[Outage(at("4:30"), at("5:30"))])
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("Completed", at("0:10"))
    state = webhook.only_state(at("5:45"))
    assert (state.start_deadline, state.deadline) == (at("6:18"), at("6:18"))
    later = webhook.only_state(at("8:01"))
    assert (later.slots_unknown, later.slots_missed) == (1, 0)


def test_a_muted_export_is_counted_until_the_time_is_over() -> None:
    muted = Declaration("muted", Selection("shop"), interval=4 * HOUR, muted_until=at("6:00"))
    events = [started("0:00"), completed("0:10")]
    before = declared_state(muted, events, at("5:59:59"))
    assert (before.muted, before.changes_at, before.condition(at("5:59:59"))) == (True, at("6:00"), "muted")
    after = declared_state(muted, events, at("6:00"))
    assert (after.muted, after.condition(at("6:00"))) == (False, "late")
    assert after.changes_at == at("8:00")


@pytest.mark.parametrize(
    ("now", "condition"),
    [("0:05", "running"), ("0:15", "fine"), ("4:48", "fine"), ("4:49", "not started"), ("5:00", "late")],
)
def test_the_condition_is_the_most_urgent_thing(now: str, condition: str) -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    if at(now) > at("0:10"):
        webhook.deliver("Completed", at("0:10"))
    assert webhook.only_state(at(now)).condition(at(now)) == condition


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
    history = History(expectation)
    late = event("completed", at("0:00") + (UNCOMPACTED_EVENTS - 2) * 4 * HOUR + 600)
    assert all(history.add(each) for each in [*events, late])
    assert history.runs() == folded(*events, late)
    assert len(history) == UNCOMPACTED_EVENTS + 2


def test_an_event_older_than_the_loose_ones_is_refused_and_a_rebuild_has_it() -> None:
    events = many(UNCOMPACTED_EVENTS + 1)
    history = History(expectation)
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
    history = History(expectation)
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
    history = History(expectation, outages)
    taken: list[Event] = []
    for step in steps:
        if isinstance(step, int):
            began = max((outage.ended_at for outage in outages), default=at("0:00"))
            outages.append(Outage(began + step * MINUTE, began + step * HOUR))
        else:
            taken.append(replace(step, sequence=len(taken) + 1))
            assert history.add(taken[-1])
        assert history.runs() == folded(*taken, outages=outages)


@pytest.mark.parametrize(("began", "missed", "unknown"), [("10:00", 1, 1), ("11:00", 2, 0)])
def test_an_outage_learned_of_later_meets_a_slot_whose_grace_is_longer_than_half_an_interval(
    began: str, missed: int, unknown: int
) -> None:
    outages: list[Outage] = []
    history = History(lambda interval: expectation_of(interval, UTC, GRACE_OF_3H), outages)
    events = [started("0:00"), completed("0:10"), started("12:00"), started("12:05")]
    assert all(history.add(replace(each, sequence=nth)) for nth, each in enumerate(events, 1))
    assert len(events) == CACHE_FROM
    assert (history.runs().missed_slots, history.runs().unknown_slots) == (2, 0)
    outages.append(Outage(at(began), at("11:30")))
    assert (history.runs().missed_slots, history.runs().unknown_slots) == (missed, unknown)


def test_loose_events_of_an_id_are_taken_out_and_settled_ones_are_not() -> None:
    events = many(UNCOMPACTED_EVENTS)
    history = History(expectation)
    mine = started("0:01", request_id="mine")
    assert all(history.add(each) for each in [*events[:3], mine])
    assert history.remove("mine", 1)
    assert history.runs() == folded(*events[:3])
    assert all(history.add(each) for each in [mine, *events[3:], *many(4, UNCOMPACTED_EVENTS)])
    assert not history.remove("mine", 1)
