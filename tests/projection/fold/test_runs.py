"""How the events of one export become runs and slots."""

from __future__ import annotations

import pytest

from builders import DAY, HOUR, MINUTE, Webhook, at, event
from exporter.domain.events import Event, Outage
from exporter.domain.exports import Declaration, Selection
from folding import completed, declared_state, folded, started

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
    assert found.last_duration == (at("3:00") - at("0:00") if runs == 1 else 0)


def test_while_two_runs_of_an_id_may_be_open_completions_are_counted_and_have_no_duration() -> None:
    both = folded(started("0:00"), started("3:30"), completed("4:30"), completed("8:00"))
    assert (both.initiated, both.completed, both.superseded, both.open_runs) == (2, 2, 1, {})
    assert (both.last_duration, both.duration_sum, sum(both.duration_buckets)) == (0, 0, 0)


def test_after_a_run_that_never_completed_only_the_next_one_has_no_duration() -> None:
    found = folded(started("0:00"), started("3:59"), completed("4:30"), started("7:59"), completed("8:19"))
    assert (found.superseded, found.completed, found.last_duration) == (1, 2, 1200)
    assert sum(found.duration_buckets) == 1


def test_a_run_that_was_stuck_is_abandoned_once_and_leaves_the_next_one_its_duration() -> None:
    found = folded(started("0:00"), started("8:00:01"), completed("8:20:01"))
    assert (found.superseded, found.last_duration) == (1, 1200)


def test_a_run_whose_id_never_comes_back_is_abandoned_once_by_a_much_later_start() -> None:
    first, later = (event("initiated", at("0:00") + seconds, request_id=f"id {seconds}") for seconds in (0, 8 * HOUR))
    assert folded(first, later).superseded == 0
    found = folded(first, later, event("initiated", at("8:00:01"), request_id="another id"))
    assert (found.initiated, found.superseded, len(found.open_runs)) == (3, 1, 2)


def test_runs_that_may_take_longer_than_their_interval_have_no_duration_while_they_overlap() -> None:
    declaration = Declaration("nightly", Selection("shop", partner="Amazon S3"), max_runtime=6 * HOUR)
    times = [started("0:00"), started("4:00"), completed("5:00"), started("8:00"), completed("9:00")]
    assert declared_state(declaration, times, at("9:00")).last_duration == 0
    later = [started("20:00"), completed("21:00")]
    assert declared_state(declaration, [*times, *later], at("21:00")).last_duration == HOUR


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
    ("completion", "slots", "missed", "late"),
    [
        ("1:59:59", 1, 0, 0),
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
def test_a_completion_is_extra_on_time_late_or_after_missed_slots(
    completion: str, slots: int, missed: int, late: int
) -> None:
    found = folded(completed("0:00"), completed(completion))
    assert (found.slots, found.missed_slots, found.late_slots, found.unknown_slots) == (slots, missed, late, 0)


def test_starts_alone_fill_no_slot() -> None:
    found = folded(completed("0:10"), *(started(f"{hour}:00") for hour in range(4, 24, 4)))
    assert (found.slots, found.missed_slots, found.late_slots) == (1, 0, 0)  # they are missed as time passes


def test_a_completion_soon_after_the_one_that_filled_a_slot_is_an_extra_run_however_many_follow() -> None:
    found = folded(*(completed(f"{hour}:00") for hour in range(5)))
    assert (found.slots, found.late_slots, found.missed_slots) == (3, 0, 0)  # at 0:00, 2:00 and 4:00


@pytest.mark.parametrize(
    ("began", "ended", "unknown", "missed"),
    [
        ("3:00", "3:59:59", 0, 2),
        ("3:00", "4:00", 1, 1),  # there again just as the slot was due
        ("4:10", "4:11", 1, 1),
        ("4:47:59", "5:30", 1, 1),
        ("4:48", "5:30", 0, 2),  # the grace period was over
        ("8:10", "8:11", 1, 1),  # it hides the second slot only
        ("4:00", "8:00", 2, 0),
        ("0:30", "23:00", 2, 0),
    ],
)
def test_a_slot_whose_completion_an_outage_may_hide_is_unknown(
    began: str, ended: str, unknown: int, missed: int
) -> None:
    found = folded(completed("0:00"), completed("12:00"), outages=[Outage(at(began), at(ended))])
    assert (found.slots, found.unknown_slots, found.missed_slots, found.late_slots) == (4, unknown, missed, 0)


def test_a_slot_that_meets_two_outages_is_unknown_once() -> None:
    outages = [Outage(at("3:50"), at("4:05")), Outage(at("4:10"), at("4:20")), Outage(at("8:10"), at("8:20"))]
    found = folded(completed("0:00"), completed("12:00"), outages=outages)
    assert (found.slots, found.unknown_slots, found.missed_slots) == (4, 2, 0)


def test_a_run_may_be_shorter_than_the_last_one_so_an_outage_that_ends_before_the_slot_may_hide_it() -> None:
    outages = [Outage(at("3:00"), at("3:30"))]
    after_a_long_run = folded(started("0:00"), completed("0:40"), completed("8:00"), outages=outages)
    assert (after_a_long_run.unknown_slots, after_a_long_run.missed_slots) == (0, 1)
    after_a_longer_run = folded(
        started("0:00"), completed("1:30"), completed("9:00"), outages=[Outage(at("3:00"), at("4:10"))]
    )
    assert (after_a_longer_run.unknown_slots, after_a_longer_run.missed_slots) == (1, 0)


def test_an_announced_interval_never_makes_an_export_overdue_but_leaves_what_was_missed() -> None:
    change = started("12:00", frequency="24h")
    found = folded(started("0:00"), completed("0:10"), change)
    assert (found.slots, found.missed_slots, found.late_slots) == (2, 1, 0)
    following = event("completed", at("12:30", day=1), frequency="24h")
    assert (
        folded(
            started("0:00"), completed("0:10"), change, event("completed", at("12:10"), frequency="24h"), following
        ).slots
        == 4
    )


@pytest.mark.parametrize(
    ("before", "after", "deadline"),
    [
        ("4h", "24h", at("1:00", day=1) + 4.8 * HOUR),  # an interval and the grace period after the change
        ("24h", "4h", at("0:10", day=1) + 4.8 * HOUR),  # the old deadline is later
    ],
)
def test_after_a_change_of_the_interval_the_later_deadline_is_in_effect(
    before: str, after: str, deadline: float
) -> None:
    everything = Declaration("everything", Selection("shop"))
    last = event("completed", at("0:10"), frequency=before)
    state = declared_state(everything, [last, started("1:00", frequency=after)], at("1:01"))
    assert state.deadline == deadline


def test_a_completion_that_announces_another_interval_is_judged_by_the_old_one() -> None:
    found = folded(completed("0:10"), event("completed", at("5:30"), frequency="24h"))
    assert (found.slots, found.late_slots) == (2, 1)


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
