"""Spans of time in the words that people use."""

from __future__ import annotations

import pytest

from builders import at
from exporter.domain.humanize import (
    format_age,
    format_count,
    format_distance,
    format_duration,
    format_exact,
    format_instant,
    format_iso,
    format_rounded,
    format_time_left,
)


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "event", "0 events"),
        (1, "event", "1 event"),
        (2, "declared export", "2 declared exports"),
        (2, "body", "2 bodies"),
    ],
)
def test_a_count_names_one_or_several(number: int, noun: str, text: str) -> None:
    assert format_count(number, noun) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3601, "1 h 1 s"),
        (3 * 3600 + 12 * 60 + 5, "3 h 12 min"),
        (86400, "1 d"),
        (400 * 86400 + 3600 + 60, "400 d 1 h"),
        (-90, "1 min 30 s"),
    ],
)
def test_the_two_largest_units_are_spoken(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_an_instant_in_the_past_is_so_long_ago_and_0_is_never() -> None:
    assert format_age(1000, 1090) == "1 min 30 s ago"
    assert format_age(0, 1090) == "never"


def test_an_instant_to_come_is_due_or_overdue_and_0_is_none() -> None:
    assert format_time_left(1090, 1000) == "in 1 min 30 s"
    assert format_time_left(1000, 1000) == "in 0 s"
    assert format_time_left(1000, 1090) == "1 min 30 s overdue"
    assert format_time_left(0, 1090) == ""


def test_a_moment_is_told_in_utc() -> None:
    assert format_instant(at("16:50")) == "2026-06-01 16:50 UTC"


def test_an_exact_instant_is_in_utc_and_in_the_zone_of_the_source() -> None:
    afternoon = at("16:50:07")
    assert format_iso(afternoon) == "2026-06-01T16:50:07Z"
    assert format_exact(afternoon, "auto") == format_exact(afternoon, "UTC") == "2026-06-01 16:50:07 UTC"
    assert format_exact(afternoon, "Asia/Kolkata").splitlines()[1] == "2026-06-01 22:20:07 Asia/Kolkata"


def test_a_distance_is_in_the_past_or_in_the_future() -> None:
    assert format_distance(1000, 1090) == "1 min 30 s ago"
    assert format_distance(1090, 1000) == "in 1 min 30 s"


def test_a_rounded_duration_has_no_seconds_from_ten_minutes_on() -> None:
    assert format_rounded(599) == "9 min 59 s"
    assert format_rounded(659) == "11 min"
