"""Lays out a chart of the durations of runs, as numbers for an SVG. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.export_alerts import SLOW_FACTOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.projection.fold.run_list import Run

WIDTH = 600.0
HEIGHT = 120.0
MAX_BARS = 30
_GAP = 0.25
"""The part of a bar's place that stays empty."""


class Bar(NamedTuple):
    """The bar of a run: its rectangle, and whether the run took longer than usual."""

    run: Run
    x: float
    y: float
    width: float
    height: float
    is_slow: bool


class DurationChart(NamedTuple):
    """A chart, from the oldest run to the newest; lengths in the units of its view box, `WIDTH` by `HEIGHT`.

    Attributes:
        bars: of the runs whose duration is known.
        usual_y: where the usual duration is; None without one.
        slow_y: where twice the usual duration is; None if no run comes near it.
        shortest, longest: in seconds.
    """

    bars: list[Bar]
    usual_y: float | None
    slow_y: float | None
    shortest: float
    longest: float


def duration_chart(runs: Sequence[Run], usual: float) -> DurationChart | None:
    """Return the chart of the newest runs with a known duration; None without any.

    Args:
        runs: the newest first.
        usual: the usual duration in seconds; 0 if it is unknown.
    """
    known = [run for run in runs if run.duration > 0][:MAX_BARS][::-1]
    if not known:
        return None
    durations = [run.duration for run in known]
    top = max(*durations, usual, 1)
    slow = SLOW_FACTOR * usual
    place = WIDTH / max(len(known), MAX_BARS // 3)

    def y(seconds: float) -> float:
        return round(HEIGHT * (1 - seconds / (top * 1.05)), 1)

    bars = [
        Bar(
            run,
            round(number * place + place * _GAP / 2, 1),
            y(run.duration),
            round(place * (1 - _GAP), 1),
            round(HEIGHT - y(run.duration), 1),
            0 < slow < run.duration,
        )
        for number, run in enumerate(known)
    ]
    return DurationChart(
        bars,
        y(usual) if usual else None,
        y(slow) if 0 < slow <= top else None,
        min(durations),
        max(durations),
    )
