"""The usual duration: the median of the runs of 14 days."""

from __future__ import annotations

import pytest

from builders import DAY, HOUR, MINUTE, at
from exporter.projection.fold.usual_duration import MAX_RUNS, usual_duration, with_duration


def usual(*runs: tuple[float, float]) -> float:
    packed = b""
    for completed_at, duration in runs:
        packed = with_duration(packed, completed_at, duration)
    return usual_duration(packed)


@pytest.mark.parametrize(
    ("durations", "median"),
    [([], 0), ([600], 600), ([600, 700], 650), ([1, 900, 600], 600), ([0.5, 0.25, 9e9], 0.5), ([60.125], 60.125)],
)
def test_it_is_the_median(durations: list[float], median: float) -> None:
    assert usual(*((at("0:00", day), duration) for day, duration in enumerate(durations))) == median


def test_runs_over_14_days_before_the_newest_do_not_count() -> None:
    newest = at("0:00", day=20)
    assert usual((newest - 14 * DAY - 1, 100), (newest, 300)) == 300
    assert usual((newest - 14 * DAY, 100), (newest, 300)) == 200


def test_of_many_runs_the_newest_hundred_count() -> None:
    old = [(at("0:00") + number * MINUTE, 100.0) for number in range(500)]
    new = [(at("0:00", day=1) + number * HOUR, 700.0) for number in range(MAX_RUNS // 2 + 1)]
    assert usual(*old, *new) == 700
    assert usual(*old, *new[1:]) == 400
