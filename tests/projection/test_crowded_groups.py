"""A group that several exports are at work in is found; one export with an id for each run never looks like one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builders import DAY, event
from exporter.projection.crowded_groups import crowding_ids

DELAYS = st.lists(st.floats(0, DAY - 1), min_size=1, max_size=30)


@given(DELAYS)
def test_ids_made_anew_for_each_run_are_one_export_whatever_the_delay_of_each_run(delays: list[float]) -> None:
    runs = [event("completed", (n + 10) * DAY + delay, request_id=f"{n}") for n, delay in enumerate(delays)]
    assert crowding_ids(reversed(runs), DAY) == []


def test_two_exports_with_ids_made_anew_are_too_many() -> None:
    runs = [event("completed", (n + 10) * DAY + at, request_id=f"{n} {at}") for n in range(9) for at in (0, 3600)]
    assert len(crowding_ids(reversed(runs), DAY)) == 10
    assert crowding_ids(reversed(runs[:6]), DAY) == []


def test_only_completions_with_an_id_count() -> None:
    runs = [event(status, 10 * DAY, request_id=f"{n}") for n in range(9) for status in ("initiated", "running")]
    nameless = [event("completed", 10 * DAY + n, request_id="") for n in range(9)]
    assert crowding_ids([*runs, *nameless], DAY) == []
    assert crowding_ids([], DAY) == []
