"""The chart of durations shows the newest runs, the usual duration and which runs were slow."""

from __future__ import annotations

from exporter.projection.fold.run_list import Run
from exporter.server.admin.pages.duration_chart import HEIGHT, MAX_BARS, WIDTH, duration_chart
from exporter.server.admin.pages.shown_body import MAX_BYTES, shown_body


def run(number: int, duration: float) -> Run:
    return Run(str(number), "completed", 1000.0 * number, 1000.0 * number + duration)


def test_without_a_run_of_known_duration_there_is_no_chart() -> None:
    assert duration_chart([Run("1", "completed", 0, 5), Run("2", started_at=7)], 60) is None


def test_the_newest_runs_are_shown_from_left_to_right_within_the_picture() -> None:
    chart = duration_chart([run(number, 10 * number) for number in range(40, 0, -1)], 100)
    assert chart is not None
    assert [bar.run.request_id for bar in chart.bars] == [str(number) for number in range(11, 41)]
    assert len(chart.bars) == MAX_BARS
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and 0 <= bar.y <= HEIGHT for bar in chart.bars)
    assert [bar.is_slow for bar in chart.bars] == [number > 20 for number in range(11, 41)]
    assert (chart.shortest, chart.longest) == (110, 400)
    assert chart.usual_y is not None
    assert chart.slow_y is not None
    assert HEIGHT > chart.usual_y > chart.slow_y > 0


def test_without_a_usual_duration_no_run_is_slow() -> None:
    chart = duration_chart([run(1, 500)], 0)
    assert chart is not None
    assert (chart.usual_y, chart.slow_y, chart.bars[0].is_slow) == (None, None, False)


def test_a_body_is_shown_whatever_its_bytes_are() -> None:
    assert shown_body(b'{"a": 1}\n').text == '{"a": 1}\n'
    assert shown_body("שלום \u202e\x1b😀".encode() + b"\xff").text == "שלום \\u202e\\x1b😀\ufffd"
    whole, cut = shown_body(b"x" * MAX_BYTES), shown_body(b"x" * (MAX_BYTES + 1))
    assert (whole.is_cut, cut.is_cut, len(cut.text), cut.size) == (False, True, MAX_BYTES, MAX_BYTES + 1)
    assert shown_body(b"x", 99999).is_cut
    assert not shown_body(b"x", 1).is_cut
