"""Which exports a link to the status page shows, in which order, and the links between them."""

from __future__ import annotations

import pytest

from exporter.domain.states import ExportState
from exporter.server.admin.pages.export_filter import SORT_ORDERS, URGENCY, ExportFilter, count_conditions

NOW = 1_000_000.0


def state(name: str, **changes: object) -> ExportState:
    fields = {"source": "shop", "partner": "Amazon S3", "data_type": "events", "frequency": "4h", "timezone": "UTC"}
    values = {"interval": 14400.0, "deadline": NOW + 60, "last_completed": NOW - 60, **fields, **changes}
    return ExportState(export=name, declared=False, **values)  # type: ignore[arg-type]


STATES = [
    state("Zebra", deadline=NOW - 60, owner="Data <team>", last_duration=5),
    state("alpha", source="other", partner="Azure", owner="ops", interval=60, frequency="1m", last_initiated=3),
    state("beta", muted=True, data_type="profiles", deadline=0, last_duration=9, last_completed=NOW),
]


def names(**parameters: str) -> list[str]:
    return [each.export for each in ExportFilter.of(parameters).select(STATES, NOW)]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["Zebra", "alpha", "beta"]),
        ({"search": "S3 EVENTS"}, ["Zebra"]),
        ({"search": "<team>"}, ["Zebra"]),
        ({"search": "nothing like it"}, []),
        ({"search": "  "}, ["Zebra", "alpha", "beta"]),
        ({"state": "overdue"}, ["Zebra"]),
        ({"state": "muted"}, ["beta"]),
        ({"state": "no such state"}, []),
        ({"source": "other"}, ["alpha"]),
        ({"owner": "ops"}, ["alpha"]),
        ({"owner": "ops", "state": "muted"}, []),
    ],
)
def test_every_parameter_leaves_out_what_does_not_match(parameters: dict[str, str], expected: list[str]) -> None:
    assert names(**parameters) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("urgency", ["Zebra", "alpha", "beta"]),
        ("export", ["alpha", "beta", "Zebra"]),
        ("source", ["alpha", "Zebra", "beta"]),
        ("partner", ["Zebra", "beta", "alpha"]),
        ("type", ["Zebra", "alpha", "beta"]),
        ("frequency", ["alpha", "Zebra", "beta"]),
        ("started", ["Zebra", "beta", "alpha"]),
        ("completed", ["Zebra", "alpha", "beta"]),
        ("deadline", ["Zebra", "alpha", "beta"]),
        ("duration", ["alpha", "Zebra", "beta"]),
        ("owner", ["Zebra", "alpha", "beta"]),
    ],
)
def test_every_column_sorts_both_ways(sort: str, expected: list[str]) -> None:
    assert names(sort=sort) == expected
    descending = names(sort=sort, order="descending")
    assert descending != expected
    assert sorted(descending) == sorted(expected)


def test_the_columns_are_those_that_are_tested() -> None:
    assert len(SORT_ORDERS) == 11


def test_what_a_link_has_that_is_not_known_is_left_out() -> None:
    for page in ("x", "-1", "²", "", "99999999999999"):
        assert ExportFilter.of({"page": page, "sort": "colour", "other": "1"}).sort == URGENCY
    assert ExportFilter.of({"page": "7"}).page == 7
    assert ExportFilter.of({"page": "x"}).page == 1


def test_a_link_keeps_the_other_parameters_and_goes_back_to_the_first_page() -> None:
    selected = ExportFilter.of({"search": "a&b <c>", "state": "not started", "page": "3"})
    assert selected.link(sort="owner") == "?search=a%26b+%3Cc%3E&state=not+started&sort=owner"
    assert selected.link(page=4) == "?search=a%26b+%3Cc%3E&state=not+started&page=4"
    assert selected.link(search="", state="") == "./"
    assert ExportFilter().is_filtering is False
    assert selected.is_filtering


def test_the_heading_of_the_sorted_column_sorts_the_other_way_round() -> None:
    assert ExportFilter().sort_link("owner") == "?sort=owner"
    assert ExportFilter(sort="owner").sort_link("owner") == "?sort=owner&order=descending"
    assert ExportFilter(sort="owner", order="descending").sort_link("owner") == "?sort=owner"
    assert ExportFilter().sort_link(URGENCY) == "?order=descending"


def test_conditions_are_counted_fine_first_and_muted_last() -> None:
    assert list(count_conditions(STATES, NOW).items()) == [("fine", 1), ("overdue", 1), ("muted", 1)]


def test_a_condition_applies_since_an_instant() -> None:
    since = {
        "overdue": {"deadline": NOW - 5},
        "never completed": {"deadline": NOW - 5, "last_completed": 0},
        "stuck": {"run_deadline": NOW - 5},
        "failed": {"last_failed": NOW - 5},
        "not started": {"start_deadline": NOW - 5},
        "running": {"in_progress": 1, "running_since": NOW - 5},
    }
    for word, changes in since.items():
        found = state("one", **changes)
        assert (found.condition(NOW), found.condition_since(NOW)) == (word, NOW - 5)
    assert state("one").condition_since(NOW) == 0
