"""The usual ends of a mute, and local times that people type."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, instant
from exporter.domain.mute_choices import DAYS, format_local_time, morning_of, mute_choices, parse_local_time

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "monday"),
    [
        ("2026-06-05T22:30+02:00", "2026-06-08T08:00+02:00"),  # Friday
        ("2026-06-08T03:00+02:00", "2026-06-15T08:00+02:00"),  # Monday: the next one
        ("2026-03-27T12:00+01:00", "2026-03-30T08:00+02:00"),  # clocks change in between
    ],
)
def test_choices_are_whole_minutes_from_now_and_the_next_mornings_of_the_zone(now: str, monday: str) -> None:
    at = instant(now)
    choices = {choice.label: choice.until for choice in mute_choices(at + 20, BERLIN)}
    assert choices["until Monday 08:00"] == instant(monday)
    assert choices["8 h"] == at + 8 * HOUR
    assert choices["7 d"] == at + 7 * DAY
    assert at < choices["until tomorrow 08:00"] <= at + DAY + 8 * HOUR


def test_the_morning_of_a_day_is_that_of_its_next_occurrence() -> None:
    friday = instant("2026-06-05T22:30+02:00")
    dates = {
        day: datetime.fromtimestamp(morning_of(day, friday, BERLIN), BERLIN).isoformat(timespec="minutes")
        for day in DAYS
    }
    assert dates == {
        "tomorrow": "2026-06-06T08:00+02:00",
        "saturday": "2026-06-06T08:00+02:00",
        "sunday": "2026-06-07T08:00+02:00",
        "monday": "2026-06-08T08:00+02:00",
        "tuesday": "2026-06-09T08:00+02:00",
        "wednesday": "2026-06-10T08:00+02:00",
        "thursday": "2026-06-11T08:00+02:00",
        "friday": "2026-06-12T08:00+02:00",
    }


def test_a_local_time_is_in_its_zone() -> None:
    assert parse_local_time("2026-06-05T22:30", BERLIN) == instant("2026-06-05T22:30+02:00")
    assert parse_local_time("2026-06-05 22:30:10", UTC) == instant("2026-06-05T22:30:10+00:00")
    assert format_local_time(instant("2026-06-05T22:30+02:00"), BERLIN) == "2026-06-05T22:30"


@pytest.mark.parametrize("text", ["", "soon", "2026-06-05T22:30Z", "2026-06-05T22:30+02:00"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date and time; give one such as 2026-12-31T16:50"):
        parse_local_time(text, UTC)
