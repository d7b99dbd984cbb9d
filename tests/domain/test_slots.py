"""Verdicts on slots at the edges: a grace longer than the interval, and a week with a day of 23 hours."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR
from exporter.domain.exports import Expectation
from exporter.domain.slots import Schedule

SCHEDULE = Schedule(0.0, Expectation(int(4 * HOUR), int(10 * HOUR), 60, None), 0.0, ())
"""Slots are due at 4, 8, 12 and 16 hours; the deadline of the first one is at 14."""


@pytest.mark.parametrize(
    ("hours", "missed", "changes_at"),
    [(3, 0, 8), (9, 0, 12), (13, 0, 14), (13.9, 0, 14), (14, 2, 16), (15.9, 2, 16), (16, 3, 20)],
)
def test_no_slot_is_missed_before_the_deadline(hours: float, missed: int, changes_at: float) -> None:
    standing = SCHEDULE.at(hours * HOUR)
    assert (standing.deadline, standing.changes_at) == (14 * HOUR, changes_at * HOUR)
    assert standing.verdict.missed == len(standing.verdict.missed_at) == len(standing.verdict.last_slots) == missed


@pytest.mark.parametrize(("hours", "missed"), [(13, 0), (14, 0), (14.1, 2), (17, 3)])
def test_a_schedule_that_ends_at_its_deadline_misses_nothing(hours: float, missed: int) -> None:
    verdict = SCHEDULE.ended(hours * HOUR)
    assert verdict.missed == len(verdict.missed_at) == len(verdict.last_slots) == missed


def test_a_week_with_a_day_of_23_hours_has_a_slot_more() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    completed_at = datetime(2026, 3, 21, 4, tzinfo=berlin).timestamp()
    now = datetime(2026, 3, 31, 4, tzinfo=berlin).timestamp()
    verdict = Schedule(completed_at, Expectation(int(DAY), int(HOUR), 60, berlin), 0.0, ()).at(now).verdict
    missed_at = [instant for instant in verdict.missed_at if instant > now - 7 * DAY]
    assert missed_at == [datetime(2026, 3, day, 4, tzinfo=berlin).timestamp() for day in range(24, 32)]
