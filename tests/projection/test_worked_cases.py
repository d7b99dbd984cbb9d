"""The worked cases: one test for every promise about a history of deliveries and one instant.

An export every 4 hours: grace 48 minutes, max runtime 4 hours. Bodies go in by the webhook's own
way, and the state is what every page and metric shows.
"""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise, permutations
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, MINUTE, Webhook, at, body, instant
from exporter.domain.events import Outage
from exporter.domain.exports import Declaration, Selection, Source
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from exporter.domain.states import ExportState, SourceState

SAMPLE_TEXT = "25/07/2023 4:50:52 PM"


def source_state(webhook: Webhook) -> SourceState:
    history = SourceStats()
    for each in webhook.ledger.read(0):
        history.add(each)
    return history.state(webhook.source, webhook.ledger.delivery_counters())


def is_overdue(state: ExportState, now: float) -> bool:
    return 0 < state.deadline < now


def is_stuck(state: ExportState, now: float) -> bool:
    return 0 < state.run_deadline < now


def one_completed_run() -> Webhook:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("Completed", at("0:10"))
    return webhook


def test_a_completed_run_holds_until_an_interval_and_grace_after_its_completion() -> None:
    state = one_completed_run().only_state(at("4:57"))
    assert (state.interval, state.grace, state.max_runtime) == (4 * HOUR, 48 * MINUTE, 4 * HOUR)
    assert state.deadline == at("4:58")
    assert not is_overdue(state, at("4:57"))


def test_past_the_deadline_it_is_overdue_and_the_start_deadline_has_passed_as_well() -> None:
    state = one_completed_run().only_state(at("4:59"))
    assert is_overdue(state, at("4:59"))
    assert state.start_deadline == at("4:48") < at("4:59")
    assert state.condition(at("4:59")) == "overdue"


def test_a_completion_delivered_before_its_start_gives_the_same_state() -> None:
    webhook = Webhook()
    webhook.deliver("Completed", at("0:10"))
    webhook.only_state(at("0:10"))  # a projector has already folded the completion alone
    webhook.deliver("Initiated", at("0:00"), delay=11 * MINUTE)
    for now in (at("0:11"), at("4:57"), at("4:59"), at("9:00")):
        state = webhook.only_state(now)
        assert state.last_duration == 600
        assert state._replace(last_received=0) == one_completed_run().only_state(now)._replace(last_received=0)


def test_five_deliveries_of_one_start_are_one_run_and_four_duplicates() -> None:
    webhook = Webhook()
    receipts = [webhook.deliver("Initiated", at("0:00"), delay=2 + 5 * retry) for retry in range(5)]
    assert [receipt.accepted for receipt in receipts] == [1, 0, 0, 0, 0]
    assert webhook.only_state(at("0:01")).initiated == 1
    assert source_state(webhook).duplicates == 4


def test_a_run_that_never_completes_is_stuck_after_its_max_runtime() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    state = webhook.only_state(at("4:01"))
    assert state.run_deadline == at("4:00")
    assert is_stuck(state, at("4:01"))
    assert not is_stuck(state, at("4:00"))
    assert state.condition(at("4:01")) == "stuck"


def test_a_start_over_an_open_run_abandons_the_open_one() -> None:
    webhook = Webhook()
    webhook.deliver("Initiated", at("0:00"))
    webhook.deliver("Initiated", at("4:00"))
    webhook.deliver("Completed", at("4:10"))
    state = webhook.only_state(at("4:11"))
    assert (state.abandoned, state.completed, state.last_duration) == (1, 1, 600)
    assert state.in_progress == 0


def slots(state: ExportState) -> tuple[int, int, int, int]:
    """All slots, and the late, missed and unknown ones."""
    return state.slots, state.slots_late, state.slots_missed, state.slots_unknown


def test_two_slots_between_two_completions_are_missed() -> None:
    webhook = one_completed_run()
    webhook.deliver("Completed", at("12:10"))
    assert slots(webhook.only_state(at("12:15"))) == (4, 0, 2, 0)  # 4:10 and 8:10 were missed


def test_starts_without_a_completion_are_missed_slots() -> None:
    webhook = one_completed_run()
    for hour in range(4, 24, 4):
        webhook.deliver("Initiated", at(f"{hour}:00"))
    state = webhook.only_state(at("20:11"))
    assert slots(state) == (5, 0, 4, 0)
    assert state.deadline == at("4:58")
    assert slots(webhook.only_state(at("20:01"))) == (4, 0, 3, 0)


def test_a_slot_is_missed_while_nothing_completes_and_the_deadline_stays_where_it_was() -> None:
    webhook = one_completed_run()
    assert slots(webhook.only_state(at("8:09"))) == (1, 0, 0, 0)
    state = webhook.only_state(at("8:11"))
    assert slots(state) == (2, 0, 1, 0)
    assert state.deadline == at("4:58")


def test_a_completion_after_the_deadline_and_before_the_next_slot_is_late() -> None:
    webhook = one_completed_run()
    webhook.deliver("Completed", at("5:30"))
    assert slots(webhook.only_state(at("5:31"))) == (2, 1, 0, 0)


def test_an_outage_in_the_grace_period_moves_the_deadline_and_makes_the_slot_unknown() -> None:
    webhook = Webhook(outages=[Outage(at("4:30"), at("4:40"))])
    webhook.deliver("Completed", at("0:00"))
    assert webhook.only_state(at("7:59")).deadline == at("8:48")
    webhook.deliver("Completed", at("8:00"))
    assert slots(webhook.only_state(at("8:01"))) == (3, 0, 0, 1)


def test_twelve_daily_runs_that_start_and_never_complete_are_missed() -> None:
    webhook = Webhook()
    for day in range(12):
        webhook.deliver("Initiated", at("2:00", day), Frequency="Daily")
    state = webhook.only_state(at("2:01", day=12))
    assert state.deadline == at("2:00", day=1) + 0.2 * DAY
    assert slots(state) == (11, 0, 11, 0)  # the twelfth may still complete


def test_a_declared_export_that_never_ran_misses_its_slots() -> None:
    nightly = Declaration("nightly", Selection("shop", partner="Nobody"), interval=DAY)
    webhook = Webhook(declarations=[nightly], declared_at=at("2:00"))
    assert slots(webhook.only_state(at("2:00", day=1) + 0.2 * DAY)) == (0, 0, 0, 0)
    nine_days_overdue = webhook.only_state(at("2:00", day=10) + 0.2 * DAY)
    assert slots(nine_days_overdue) == (9, 0, 9, 0)
    assert nine_days_overdue.slots_over_objective_7d == 7


def test_a_start_does_not_move_the_first_expected_completion() -> None:
    nightly = Declaration("nightly", Selection("shop"), interval=DAY, first_expected=at("0:00"))
    webhook = Webhook(declarations=[nightly], declared_at=at("0:00", day=-3))
    assert webhook.only_state(at("0:00")).deadline == at("4:48")
    webhook.deliver("Initiated", at("0:00", day=2), Frequency="Daily")
    state = webhook.only_state(at("0:10", day=2))
    assert state.deadline == at("4:48")
    assert slots(state) == (2, 0, 2, 0)


def test_an_announced_interval_alone_makes_nothing_overdue() -> None:
    webhook = Webhook(declarations=[Declaration("everything", Selection("shop"))])
    webhook.deliver("Completed", at("0:10"), Frequency="Every 24 hours")
    webhook.deliver("Initiated", at("0:10", day=2), Frequency="Every 4 hours")
    state = webhook.only_state(at("0:11", day=2))
    assert state.deadline == at("4:58", day=2)
    assert slots(state) == (2, 0, 1, 0)  # it was overdue for 19 hours before


def test_an_id_that_recurs_is_told_apart_from_the_one_that_stays_away() -> None:
    webhook = Webhook()
    for request_id in (111, 222):
        webhook.deliver("Initiated", at("0:00"), request_id)
        webhook.deliver("Completed", at("0:10"), request_id)
    assert list(webhook.states(at("0:11"))) == ["any"]
    webhook.deliver("Initiated", at("4:00"), 111)
    webhook.deliver("Completed", at("4:10"), 111)
    now = at("5:05")
    found = webhook.states(now)
    assert found.keys() == {"111", "any"}
    assert found["111"].condition(now) == "fine"
    assert (found["111"].initiated, found["111"].completed) == (2, 2)
    assert found["any"].condition(now) == "overdue"
    assert (found["any"].initiated, found["any"].completed) == (1, 1)


@pytest.mark.parametrize("now", [at("16:11"), at("20:00"), at("20:47")])
def test_ids_made_anew_for_each_run_are_one_group_that_is_fine(now: float) -> None:
    webhook = Webhook()
    for run in range(5):
        webhook.deliver("Initiated", at("0:00") + run * 4 * HOUR, 1700000000 + run)
        webhook.deliver("Completed", at("0:10") + run * 4 * HOUR, 1700000000 + run)
    state = webhook.only_state(now)
    assert webhook.exports.detected_exports() == []
    assert state.export == "any"
    assert state.condition(now) == "fine"
    assert (state.slots, state.slots_missed, state.slots_late, state.completed) == (5, 0, 0, 5)


def test_the_arrival_tells_the_zone_of_the_documented_sample() -> None:
    webhook = Webhook(Source("shop"))
    webhook.intake.ingest(webhook.source, body("Completed", SAMPLE_TEXT), instant("2023-07-25T11:20:55"))
    (kept,) = webhook.ledger.read(0)
    assert kept.occurred_at == instant("2023-07-25T11:20:52")
    assert kept.utc_offset == 5.5 * HOUR
    assert not kept.skewed


def test_the_sample_read_as_utc_is_skewed_and_the_right_offset_is_suspected() -> None:
    webhook = Webhook(Source("shop", "UTC", UTC))
    webhook.intake.ingest(webhook.source, body("Completed", SAMPLE_TEXT), instant("2023-07-25T11:20:55"))
    (kept,) = webhook.ledger.read(0)
    assert kept.occurred_at == instant("2023-07-25T11:20:55")
    assert source_state(webhook).skewed == 1
    assert source_state(webhook).suspected_offset == 5.5 * HOUR


def test_a_daily_export_in_the_hour_that_the_march_change_skips_raises_no_false_alarm() -> None:
    webhook = Webhook(Source("shop", "America/New_York", ZoneInfo("America/New_York")))
    grace = round(DAY * 0.2)
    starts = [
        instant(text)
        for text in (
            "2026-03-07T02:30-05:00",
            "2026-03-08T03:30-04:00",
            "2026-03-09T02:30-04:00",
            "2026-03-10T02:30-04:00",
        )
    ]
    for start, following in pairwise(starts):
        webhook.deliver("Initiated", start, Frequency="Daily")
        webhook.deliver("Completed", start + 10 * MINUTE, Frequency="Daily")
        (state,) = webhook.states(following).values()
        assert state.condition(following) == "fine"
        assert state.start_deadline >= following + grace
    webhook.deliver("Initiated", starts[-1], Frequency="Daily")
    after_saturday = Webhook(webhook.source)
    after_saturday.deliver("Initiated", starts[0], Frequency="Daily")
    assert after_saturday.only_state(starts[0]).start_deadline == starts[1] + grace
    final = webhook.only_state(starts[-1] + HOUR)
    assert slots(final) == (3, 0, 0, 0)
    webhook.deliver("Completed", starts[-1] + 10 * MINUTE, Frequency="Daily")
    assert slots(webhook.only_state(starts[-1] + HOUR)) == (4, 0, 0, 0)


def test_every_order_of_delivery_of_a_worked_case_gives_the_same_state() -> None:
    deliveries = [("Initiated", at("0:00")), ("Initiated", at("4:00")), ("Completed", at("4:10"))]
    shown_states = set()
    for order in permutations(deliveries):
        webhook = Webhook()
        for status, occurred_at in order:
            webhook.deliver(status, occurred_at)
            webhook.states(at("4:11"))
        shown_states.add(webhook.only_state(at("4:11")))
    assert len(shown_states) == 1


def test_the_last_slots_are_on_time_late_missed_or_unknown() -> None:
    webhook = Webhook(outages=[Outage(at("23:00"), at("1:30", 1))])
    for completed in ("0:10", "4:10", "9:00", "12:50", "21:00"):
        webhook.deliver("Completed", at(completed))
    slots = webhook.only_state(at("13:30", 1)).recent_slots
    assert [(slot.outcome, slot.due_at, slot.completed_at) for slot in slots] == [
        ("on time", at("0:10"), at("0:10")),
        ("on time", at("4:10"), at("4:10")),
        ("late", at("8:10"), at("9:00")),
        ("on time", at("13:00"), at("12:50")),
        ("missed", at("16:50"), 0),
        ("on time", at("20:50"), at("21:00")),
        ("unknown", at("1:00", 1), 0),
        ("missed", at("5:00", 1), 0),
        ("missed", at("9:00", 1), 0),
    ]
