"""What people may type as a duration or a point in time."""

from __future__ import annotations

import pytest

from exporter.domain.durations import parse_duration, parse_instant


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("1h30m", 5400), (" 2  Hours ", 7200), ("1w 1d", 691200), (60, 60), ("0s", 0)]
)
def test_a_duration_has_numbers_and_units(text: object, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "90", "-1h", "1.5h", "\u0661h", True, 1.5, None, "1234567890s"])
def test_what_is_no_duration_is_refused_with_examples(text: object) -> None:
    with pytest.raises(ValueError, match=r'^give a duration such as "90m", "1h30m", "24h" or "7d"'):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["2999-01-01", "2999-01-01T00:00Z", " 2999-01-01T01:00:00+01:00 ", "2998-12-31T19:00-05:00"]
)
def test_a_point_in_time_is_in_utc_unless_it_has_an_offset(text: str) -> None:
    assert parse_instant(text) == 32472144000


@pytest.mark.parametrize("text", ["", "soon", "2999-13-01", "x" * 1000])
def test_what_is_no_point_in_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        ValueError, match=f"^'{text[:64]}' is not a date and time; give one such as 2026-12-31T16:50:52Z"
    ):
        parse_instant(text)
