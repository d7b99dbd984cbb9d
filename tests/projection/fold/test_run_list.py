"""The runs of an export are listed as the fold pairs its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import MINUTE, at, event
from exporter.projection.fold.rules import Rules
from exporter.projection.fold.run_list import Run, list_runs
from folding import completed, expectation, folded, started

if TYPE_CHECKING:
    from exporter.domain.events import Event


def listed(*events: Event, now: float = at("10:00"), retired: tuple[float, ...] = ()) -> list[Run]:
    return list_runs(events, Rules(expectation, (), retired), now)


def test_a_start_and_a_completion_are_one_run_whatever_order_they_are_given_in() -> None:
    expected = [Run("1", "completed", at("5:00"), at("5:40"), 2), Run("1", "completed", at("1:00"), at("1:30"), 2)]
    events = started("1:00", "1"), completed("1:30", "1"), started("5:00", "1"), completed("5:40", "1")
    assert listed(*events) == listed(*reversed(events)) == expected
    assert [run.duration for run in expected] == [40 * MINUTE, 30 * MINUTE]


def test_a_repeated_start_is_no_further_run_and_has_the_delay_of_the_last_event() -> None:
    again = event("initiated", at("1:05"), request_id="1", delay=90)
    assert listed(started("1:00", "1"), again, now=at("2:00")) == [
        Run("1", "in progress", at("1:00"), 0, 90, at("5:00"))
    ]


def test_a_run_in_progress_is_stuck_after_its_deadline() -> None:
    [run] = listed(started("1:00"), now=at("5:01"))
    assert (run.outcome, run.must_end_by, run.duration) == ("stuck", at("5:00"), 0)


def test_a_completion_without_a_start_has_no_duration() -> None:
    [run] = listed(completed("1:30", "1"))
    assert run == Run("1", "completed", 0, at("1:30"), 2)
    assert run.duration == 0


def test_a_failed_run_is_one_that_ended() -> None:
    [run] = listed(started("1:00", "1"), event("failed", at("1:20"), request_id="1"))
    assert (run.outcome, run.duration) == ("failed", 20 * MINUTE)


def test_an_open_run_is_superseded_by_the_next_one_of_its_id() -> None:
    runs = listed(started("1:00", "1"), started("5:00", "1"), now=at("6:00"))
    assert [(run.outcome, run.started_at) for run in runs] == [
        ("in progress", at("5:00")),
        ("superseded", at("1:00")),
    ]


def test_an_open_run_of_an_id_that_never_comes_back_is_superseded_by_a_much_later_run() -> None:
    runs = listed(started("1:00", "1"), started("9:30", "2"))
    assert [(run.request_id, run.outcome) for run in runs] == [("2", "in progress"), ("1", "superseded")]


def test_a_completion_of_one_of_two_runs_that_may_be_open_has_no_known_start() -> None:
    newest, older = listed(started("1:00", "1"), started("4:00", "1"), completed("4:30", "1"))
    assert (newest.outcome, newest.started_at, newest.ended_at) == ("completed", 0, at("4:30"))
    assert older.outcome == "superseded"


def test_a_run_that_was_open_when_its_export_was_retired_is_superseded() -> None:
    [run] = listed(started("1:00"), retired=(at("2:00"),))
    assert run.outcome == "superseded"


def test_the_list_agrees_with_the_counts_of_the_fold() -> None:
    events = [
        completed("0:10", "0"),
        started("1:00", "1"),
        completed("1:30", "1"),
        started("5:00", "1"),
        started("9:00", "1"),
        event("failed", at("9:10"), request_id="1"),
        started("13:00", "2"),
        event("running", at("13:30"), request_id="3"),
    ]
    fold, runs = folded(*events), listed(*events, now=at("13:40"))
    counts = {outcome: sum(run.outcome == outcome for run in runs) for outcome in ("completed", "failed", "superseded")}
    assert counts == {"completed": fold.completed, "failed": fold.failed, "superseded": fold.superseded}
    assert sum(run.outcome == "in progress" for run in runs) == len(fold.open_runs)
    assert fold.last_duration in {run.duration for run in runs}
