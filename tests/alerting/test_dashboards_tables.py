"""How wide the columns of the dashboards' tables are, as Grafana divides the width of a panel."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest

from dataexport_dashboards import ask

TABLES = {panel["title"]: panel for board in ask.boards() for panel in ask.panels(board) if panel["type"] == "table"}
DESKTOP, TELEPHONE = 1500, 400
AROUND_THE_PANELS, GRID_COLUMNS = 16, 24
AROUND_A_TABLE = 26
"""Pixels between two panels, and of a panel's border and padding."""
PIXELS_PER_CHARACTER, AROUND_A_CELL = 7.5, 12
LONGEST_PARTNER = "Google Cloud Storage"

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


def room(table: dict[str, Any], window: int) -> float:
    """Pixels for the columns of a table."""
    share = table["gridPos"]["w"] / GRID_COLUMNS if window == DESKTOP else 1
    return (window - AROUND_THE_PANELS) * share - AROUND_A_TABLE


def settings(table: dict[str, Any], heading: str) -> dict[str, Any]:
    """Everything that is set for a column."""
    made: dict[str, Any] = {
        f"custom.{name}": value for name, value in table["fieldConfig"]["defaults"]["custom"].items()
    }
    for override in table["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == heading:
            made |= {each["id"]: each["value"] for each in override["properties"]}
    return made


def headings(table: dict[str, Any]) -> list[str]:
    """Of its columns, in their order, with those that not every export fills."""
    [organize] = [each["options"] for each in table["transformations"] if each["id"] == "organize"]
    names = sorted(organize["indexByName"], key=organize["indexByName"].get)
    return [organize["renameByName"][name] for name in names]


def widths(table: dict[str, Any], window: int) -> dict[str, float]:
    """The pixels of each column: those without a width share what is left, and get their least width at least."""
    columns = {heading: settings(table, heading) for heading in headings(table)}
    fixed = [each["custom.width"] for each in columns.values() if "custom.width" in each]
    share = (room(table, window) - sum(fixed)) / (len(columns) - len(fixed))
    return {
        heading: each.get("custom.width") or max(share, each["custom.minWidth"]) for heading, each in columns.items()
    }


@each_table
def test_no_column_of_a_table_is_pushed_out_and_none_leaves_a_blank_strip(table: dict[str, Any]) -> None:
    assert sum(widths(table, DESKTOP).values()) == pytest.approx(room(table, DESKTOP))


@each_table
def test_the_heading_of_a_column_fits(table: dict[str, Any]) -> None:
    for heading, pixels in widths(table, DESKTOP).items():
        assert len(heading) * PIXELS_PER_CHARACTER + AROUND_A_CELL <= pixels, heading


@each_table
def test_the_names_of_partners_fit_their_column(table: dict[str, Any]) -> None:
    if "Partner" in headings(table):
        assert widths(table, DESKTOP)["Partner"] >= len(LONGEST_PARTNER) * PIXELS_PER_CHARACTER


@pytest.mark.parametrize(
    ("title", "first"),
    [
        ("What to do", ["State", "Export", "Runbook", "Owner"]),
        ("Exports, the most urgent first", ["State", "Export", "Due in"]),
        ("Owner and runbooks", ["Owner", "Runbook", "Own runbook", "Status page"]),
        ("Schedule", ["State", "Interval", "Grace period"]),
    ],
)
def test_a_telephone_shows_what_matters_first(title: str, first: list[str]) -> None:
    table = TABLES[title]
    columns = widths(table, TELEPHONE)
    shown = [
        heading
        for heading, end in zip(columns, accumulate(columns.values()), strict=True)
        if end <= room(table, TELEPHONE)
    ]
    assert shown[: len(first)] == first


def test_a_state_in_a_sentence_wraps_in_grafana_11_and_12() -> None:
    state = settings(TABLES["What to do"], "State")
    assert state["custom.wrapText"] is True
    assert state["custom.cellOptions"]["wrapText"] is True


def test_a_state_in_a_sentence_is_a_text_since_grafana_gives_a_number_one_line() -> None:
    [organize] = [each["options"] for each in TABLES["What to do"]["transformations"] if each["id"] == "organize"]
    assert organize["renameByName"]["sentence"] == "State"
