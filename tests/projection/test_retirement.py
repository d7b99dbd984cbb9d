"""A retired export owes nothing: no slot is missed in retirement, and whatever brings it back begins anew."""

from __future__ import annotations

import threading
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, MINUTE, SHOP, accepted_event, at, event
from exporter.domain.decisions import RETIRE, UNRETIRE, Decision
from exporter.domain.exports import ExportKey
from exporter.projection.checkpoint_writer import CheckpointWriter
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from exporter.domain.events import Event
    from exporter.domain.states import ExportState

KEY = ExportKey("shop", "group", "any", "amazon s3", "events", "4h")
GRACE = 48 * MINUTE


def run_of(hour: int, number: int) -> list[Event]:
    began = at("0:00") + hour * HOUR
    return [
        event("initiated", began, request_id=f"id {number}"),
        event("completed", began + 600, request_id=f"id {number}"),
    ]


class Shop:
    """A ledger with its projector."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.projector = Projector(self.ledger, {"shop": SHOP})

    def take(self, *events: Event) -> None:
        self.ledger.append([accepted_event(each) for each in events])
        self.projector.catch_up()

    def retire(self, hour: float) -> None:
        self.ledger.append_decision(Decision(RETIRE, KEY, at("0:00") + hour * HOUR, 0, "me", "because"))
        self.projector.catch_up()

    def state(self, hour: float) -> ExportState | None:
        self.projector.catch_up()
        states = self.projector.list_states(at("0:00") + hour * HOUR)
        assert len(states) < 2
        return states[0] if states else None


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    made.take(*run_of(0, 1), *run_of(4, 2))
    return made


def missed(state: ExportState | None) -> tuple[int, int, int]:
    assert state is not None
    return state.slots, state.slots_missed, state.slots_late


def test_the_time_in_retirement_counts_no_missed_slots(shop: Shop) -> None:
    shop.retire(8.5)
    assert shop.state(50) is None
    shop.take(*run_of(41, 3))
    assert missed(shop.state(42)) == (3, 0, 0)
    shop.take(*run_of(45, 4))
    assert missed(shop.state(46)) == (4, 0, 0)
    shop.take(*run_of(53, 5))
    assert missed(shop.state(54)) == (6, 1, 0)


def test_what_was_missed_before_stays_counted(shop: Shop) -> None:
    assert missed(shop.state(17)) == (4, 2, 0)
    shop.retire(17)
    shop.take(*run_of(41, 3))
    assert missed(shop.state(42)) == (5, 2, 0)


def test_without_a_retirement_the_same_slots_are_missed(shop: Shop) -> None:
    shop.take(*run_of(41, 3))
    assert missed(shop.state(42)) == (11, 8, 1)


def test_a_start_that_brings_it_back_has_an_interval_to_complete(shop: Shop) -> None:
    shop.retire(8.5)
    shop.take(run_of(41, 3)[0])
    state = shop.state(42)
    assert state is not None
    assert state.deadline == state.start_deadline == at("0:00") + 45 * HOUR + GRACE
    assert state.condition(at("0:00") + 42 * HOUR) == "running"
    shop.take(run_of(45, 4)[0])
    state = shop.state(46)
    assert state is not None
    assert state.deadline == at("0:00") + 45 * HOUR + GRACE  # another start alone does not move it


def test_a_completion_alone_brings_it_back_with_a_deadline_and_nothing_missed(shop: Shop) -> None:
    shop.retire(8.5)
    shop.take(run_of(41, 3)[1])
    state = shop.state(44)
    assert missed(state) == (3, 0, 0)
    assert state is not None
    assert (state.start_deadline, state.deadline) == (0, at("0:10") + 45 * HOUR + GRACE)
    assert state.condition(at("0:00") + 44 * HOUR) == "fine"


def test_a_retirement_by_a_clock_that_is_ahead_begins_when_it_is_time(shop: Shop) -> None:
    shop.take(event("failed", at("4:20"), request_id="by that clock as well", delay=26 * HOUR))
    shop.retire(22)
    state = shop.state(9)
    assert state is not None
    assert (state.slots_missed, state.changes_at, state.deadline) == (0, at("12:10"), at("8:58"))
    state = shop.state(21)
    assert state is not None
    assert (state.slots_missed, state.changes_at) == (3, at("22:00"))
    retired = shop.state(22)
    assert retired is not None
    assert missed(retired) == missed(shop.state(44)) == missed(state)
    assert (retired.deadline, retired.changes_at) == (0, at("12:10", day=1))  # when the first miss is a day old


def test_a_run_that_was_left_open_is_not_stuck_when_it_comes_back(shop: Shop) -> None:
    shop.take(run_of(8, 3)[0])
    shop.retire(8.5)
    shop.take(run_of(41, 4)[1])
    state = shop.state(42)
    assert state is not None
    assert (state.in_progress, state.running_since, state.run_deadline) == (0, 0, 0)


def test_what_arrived_before_a_retirement_does_not_bring_it_back_however_late_it_is_replayed(shop: Shop) -> None:
    shop.retire(8.5)
    shop.take(*run_of(8, 3))
    assert shop.state(10) is None
    shop.take(event("completed", at("0:00") + 8 * HOUR, request_id="late", delay=2 * HOUR))
    assert shop.state(11) is not None


def test_what_arrives_at_the_instant_of_a_retirement_does_not_bring_it_back(shop: Shop) -> None:
    arrival = event("initiated", at("8:00"), request_id="id 3").arrived_at
    shop.ledger.append_decision(Decision(RETIRE, KEY, arrival, 0, "me", "because"))
    shop.take(event("initiated", at("8:00"), request_id="id 3"))
    assert shop.state(10) is None
    shop.take(event("completed", at("8:00"), request_id="id 3", delay=2.000001))
    assert shop.state(10) is not None


def test_a_run_that_begins_at_the_instant_of_a_retirement_was_before_it(shop: Shop) -> None:
    shop.take(run_of(8, 3)[0])
    shop.retire(8)
    state = shop.state(10)  # its announcement arrived later
    assert state is not None
    assert (state.in_progress, state.start_deadline) == (0, 0)
    shop.take(event("initiated", at("8:00") + 3 * HOUR, request_id="id 4"))
    state = shop.state(12)
    assert state is not None
    assert (state.in_progress, state.running_since) == (1, at("11:00"))


def test_a_start_at_the_instant_of_a_retirement_begins_anew(shop: Shop) -> None:
    shop.retire(41)
    shop.take(run_of(41, 3)[0])
    state = shop.state(42)
    assert state is not None
    assert missed(state) == (10, 8, 0)
    assert state.deadline == at("0:00") + 45 * HOUR + GRACE


def test_a_start_after_one_at_the_instant_of_a_retirement_does_not_begin_anew_again(shop: Shop) -> None:
    shop.retire(4)
    shop.take(run_of(8, 3)[0])
    state = shop.state(9)
    assert state is not None
    assert state.deadline == at("8:10") + GRACE


def test_a_slot_that_is_missed_at_the_instant_of_a_retirement_is_counted(shop: Shop) -> None:
    shop.take(event("failed", at("4:20"), request_id="by a clock that is ahead", delay=26 * HOUR))
    shop.retire(16 + 1 / 6)
    state = shop.state(16)
    assert state is not None
    assert (state.slots_missed, state.changes_at) == (1, at("16:10"))
    assert missed(shop.state(16 + 1 / 6)) == missed(shop.state(20)) == (4, 2, 0)


def test_a_retirement_while_overdue_leaves_at_least_one_missed(shop: Shop) -> None:
    shop.retire(9)  # two minutes after the deadline, and before the next slot
    shop.take(*run_of(41, 3))
    assert missed(shop.state(42)) == (4, 1, 0)


def test_it_may_be_retired_again(shop: Shop) -> None:
    shop.retire(8.5)
    shop.take(*run_of(41, 3))
    shop.retire(42)
    assert shop.state(43) is None
    shop.take(*run_of(81, 4))
    assert missed(shop.state(82)) == (4, 0, 0)


def test_the_state_depends_on_neither_the_order_of_events_nor_on_when_a_decision_is_known() -> None:
    # The last start before the retirement is dated after it, by a clock that is ahead.
    early = event("initiated", at("9:00") + 60, request_id="id 8", delay=-90)
    events = [*run_of(0, 1), early, *run_of(41, 3), run_of(49, 4)[0]]
    wanted = None
    for number, order in enumerate(permutations(events, len(events))):
        if number % 37:
            continue
        shop = Shop()
        retired_after = number % (len(events) + 1)
        for place, each in enumerate(order):
            if place == retired_after:
                shop.retire(8.5)
            shop.take(each)
        if retired_after == len(events):
            shop.retire(8.5)
        found = shop.state(50)
        wanted = wanted or found
        assert found == wanted
    assert wanted is not None


def test_a_new_reader_knows_the_same(shop: Shop) -> None:
    shop.retire(8.5)
    shop.take(*run_of(41, 3))
    shop.retire(42)
    shop.take(*run_of(81, 4))
    other = Projector(shop.ledger, {"shop": SHOP})
    other.catch_up()
    now = at("0:00") + 82 * HOUR
    assert other.list_states(now) == shop.projector.list_states(now)


def test_a_retirement_that_is_taken_back_while_nobody_reads_leaves_nothing_behind_in_a_checkpoint(shop: Shop) -> None:
    untouched = Shop()
    untouched.take(*run_of(0, 1), *run_of(4, 2), *run_of(41, 3))
    shop.retire(8.5)
    shop.take(*run_of(41, 3))
    assert missed(shop.state(42)) != missed(untouched.state(42))
    assert CheckpointWriter(shop.ledger, "me", threading.Lock(), lambda: shop.projector).write(at("0:00") + 42 * HOUR)
    shop.ledger.append_decision(Decision(UNRETIRE, KEY, at("0:00") + 42 * HOUR, 0, "me", "because"))
    shop.projector = Projector(shop.ledger, {"shop": SHOP})
    assert missed(shop.state(42)) == missed(untouched.state(42))
    assert shop.projector.checkpoint_revision is not None
