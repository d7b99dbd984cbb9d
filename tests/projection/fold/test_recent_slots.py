"""The slots of the last day and week: counted from when each was missed, whenever the exporter learnt of it."""

from __future__ import annotations

import pytest

from builders import DAY, HOUR, at
from exporter.domain.slots import NOTHING_DUE, WEEK, Verdict
from exporter.projection.fold.recent_slots import Allowance, RecentSlots, recent_slots
from exporter.projection.fold.runs import Runs

EVERY_4H = Allowance(0.99, 4 * HOUR)
NOW = at("0:00", day=30)


def counted(
    runs: Runs, *, unmuted_at: float = 0, verdict: Verdict = NOTHING_DUE, allowed: Allowance = EVERY_4H
) -> RecentSlots:
    return recent_slots(runs, verdict, NOW, unmuted_at, allowed)


def test_without_a_late_missed_or_unknown_slot_nothing_changes_by_time() -> None:
    assert counted(Runs(slots=100)) == RecentSlots(0, 0, 0, float("inf"))


def test_a_slot_leaves_the_day_and_the_week_when_they_are_over() -> None:
    runs = Runs(slots=100, recent_missed_at=(NOW - DAY, NOW - DAY + 1, NOW), recent_unknown_at=(NOW - DAY, NOW - HOUR))
    assert counted(runs) == RecentSlots(2, 1, 3, NOW + 1)
    week = Runs(slots=100, recent_missed_at=(NOW - WEEK, NOW - WEEK + 1), recent_late_at=(NOW - WEEK + 2,))
    assert counted(week) == RecentSlots(0, 0, 2, NOW + 1)


def test_what_was_missed_since_the_last_event_counts_as_well() -> None:
    verdict = Verdict(missed=2, unknown=1, missed_at=(NOW - 5, NOW - 4), unknown_at=(NOW - 3,))
    assert counted(Runs(slots=5), verdict=verdict)[:3] == (2, 1, 2)


def test_slots_before_the_end_of_a_mute_are_left_out() -> None:
    runs = Runs(
        slots=100,
        recent_missed_at=(NOW - 9, NOW - 5, NOW - 3),
        recent_late_at=(NOW - 8,),
        recent_unknown_at=(NOW - 5,),
    )
    assert counted(runs, unmuted_at=NOW - 5)[:3] == (1, 0, 0)
    assert counted(runs, unmuted_at=NOW + DAY)[:3] == (0, 0, 0)  # it is muted still
    assert counted(runs, unmuted_at=NOW - 9)[:3] == (2, 1, 3)


@pytest.mark.parametrize(
    ("bad", "slots", "unknown", "objective", "over"),
    [
        (1, 40, 0, 0.99, 0),  # a single one is never too many
        (2, 40, 0, 0.99, 2),
        (2, 20, 0, 0.9, 0),
        (3, 20, 0, 0.9, 3),
        (3, 29, 0, 0.9, 3),
        (3, 30, 0, 0.9, 0),
        (3, 30, 1, 0.9, 3),  # an unknown slot allows nothing
        (4, 900, 0, 0.9, 0),  # a week has 42
        (5, 900, 0, 0.9, 5),
    ],
)
def test_more_slots_are_late_or_missed_than_the_objective_allows(
    bad: int, slots: int, unknown: int, objective: float, over: int
) -> None:
    runs = Runs(
        slots=slots,
        unknown_slots=unknown,
        recent_missed_at=tuple(NOW - number * HOUR for number in range(1, bad)),
        recent_late_at=(NOW - 1,),
        recent_unknown_at=(NOW - 2,) * unknown,
    )
    assert counted(runs, allowed=Allowance(objective, 4 * HOUR)).over_objective_7d == over
