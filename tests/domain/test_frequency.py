"""Every usual spelling of a frequency has its interval; every other text passes as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, HOUR, MINUTE
from exporter.domain.frequency import MAX_INTERVAL, ONE_TIME, Frequency, frequency_of_interval, parse


@pytest.mark.parametrize(
    "text",
    ["One Time", "One-time", "one time", "ONETIME", "one_time", "1 time", "one-off", "One Shot", "once", "single"],
)
def test_every_spelling_of_one_time_is_the_same(text: str) -> None:
    assert parse(text) == Frequency(ONE_TIME, 0)
    assert parse(text).is_known


@pytest.mark.parametrize(
    ("text", "label", "interval"),
    [
        ("Every 4 hours", "4h", 4 * HOUR),
        ("every  8   Hours", "8h", 8 * HOUR),
        ("12 hours", "12h", 12 * HOUR),
        ("4h", "4h", 4 * HOUR),
        ("4 hrs", "4h", 4 * HOUR),
        ("4-hourly", "4h", 4 * HOUR),
        ("24", "24h", DAY),
        ("8", "8h", 8 * HOUR),
        ("Hourly", "1h", HOUR),
        ("every hour", "1h", HOUR),
        ("once an hour", "1h", HOUR),
        ("Daily", "24h", DAY),
        ("nightly", "24h", DAY),
        ("once a day", "24h", DAY),
        ("every day", "24h", DAY),
        ("2 days", "48h", 2 * DAY),
        ("twice daily", "12h", 12 * HOUR),
        ("Twice a Day", "12h", 12 * HOUR),
        ("Weekly", "168h", 7 * DAY),
        ("per week", "168h", 7 * DAY),
        ("fortnightly", "336h", 14 * DAY),
        ("every 15 minutes", "15m", 15 * MINUTE),
        ("90 min", "90m", 90 * MINUTE),
    ],
)
def test_a_recurring_frequency_has_its_interval_and_one_label(text: str, label: str, interval: int) -> None:
    assert parse(text) == Frequency(label, interval)
    assert parse(text).is_known


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Recurring (every 4 hours)", "4h"),
        ("Recurring - Every 8 hours", "8h"),
        ("Recurring: daily", "24h"),
        ("Scheduled export, runs every 12 hours", "12h"),
        ("Repeats every 15 minutes", "15m"),
        ("Every day at 02:00", "24h"),
        ("Daily at 2:30 a.m. (UTC)", "24h"),
        ("every day at 2 AM IST", "24h"),
        ("Every 24 hours starting at midnight", "24h"),
        ("Daily (every 24 hours)", "24h"),
        ("once per 12 hrs", "12h"),
        ("every four hours", "4h"),
        ("Every other day", "48h"),
        ("Every 2nd day", "48h"),
        ("Weekly on Monday", "168h"),
        ("every Monday at 09:00", "168h"),
        ("Runs twice a day", "12h"),
        ("Every 4 hours.", "4h"),
        ("Runs once daily at 02:00", "24h"),
        ("One Time export", "one-time"),
        ("One time (only once)", "one-time"),
        ("Export runs once, at 02:00", "one-time"),
    ],
)
def test_a_phrase_with_exactly_one_reading_is_that_frequency(text: str, label: str) -> None:
    assert parse(text).label == label
    assert parse(text) == parse(label)


@pytest.mark.parametrize(
    "text",
    [
        "every 4 or 8 hours",
        "every 4 to 6 hours",
        "every 4-6 hours",
        "4 times a day",
        "every day except Sunday",
        "every weekday",
        "every day at 02:00 and 14:00",
        "every day at 02:00, 14:00",
        "Daily, weekly",
        "every 1.5 hours",
        "every -4 hours",
        "every 4 hours 30 minutes",
        "half an hour",
        "every hour and a half",
        "Recurring one time",
        "one time every day",
        "once or twice a day",
        "weekly on Monday and Thursday",
        "weekly on Monday, Thursday",
        "daily on Monday",
        "not every 4 hours",
        "every 4 hours until 18:00",
        "first day",
        "Recurring",
        "Recurring (4)",
        "every 0 hours at 02:00",
        "monthly at 02:00",
        "at 02:00",
        "0.5 daily",
    ],
)
def test_an_ambiguous_phrase_passes_as_text(text: str) -> None:
    assert parse(text) == Frequency(text, 0)


@pytest.mark.parametrize(
    "text", ["whenever", "every", "hours", "h", "0 hours", "0", "-4", "4.5 hours", "99999 days", "99999999", "monthly"]
)
def test_what_is_not_understood_passes_as_text_without_an_interval(text: str) -> None:
    assert parse(text) == Frequency(text, 0)
    assert not parse(text).is_known


def test_the_text_that_passes_has_single_spaces_and_keeps_its_case() -> None:
    assert parse("  Every\tfull  Moon ").label == "Every full Moon"


def test_the_text_that_passes_is_in_normal_form_c() -> None:
    assert parse("ta\u0308glich um acht").label == "t\u00e4glich um acht"


def test_an_interval_may_be_as_long_as_a_leap_year() -> None:
    assert parse("366 days").interval == MAX_INTERVAL
    assert parse("367 days").interval == 0


def test_an_interval_of_seconds_has_a_label_too() -> None:
    assert frequency_of_interval(90) == Frequency("90s", 90)


@given(st.text(max_size=40))
def test_reading_never_fails_and_never_gives_an_absurd_interval(text: str) -> None:
    assert 0 <= parse(text).interval <= MAX_INTERVAL


@given(st.integers(1, MAX_INTERVAL // MINUTE))
def test_a_label_means_what_it_was_made_from(minutes: int) -> None:
    made = frequency_of_interval(minutes * MINUTE)
    if made.interval // MINUTE < 100_000 or made.label.endswith("h"):
        assert parse(made.label) == made
