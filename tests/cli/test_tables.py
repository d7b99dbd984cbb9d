"""Tables for people: they fit the terminal, and are safe for the terminal that shows them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from exporter.cli import tables

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = {
    "sequence": 7,
    "arrived_at": "1970-01-01T00:00:00Z",
    "source": "shop",
    "reason": "bad_date",
    "detail": "\x1b[2J\nforged line\u202e",
    "body": "\ufffd\x1b",
}
EXPORT: dict[str, Any] = {
    "state": "overdue",
    "source": "shop-in1",
    "export": "nightly-to-the-data-lake",
    "partner": "Google Cloud Storage",
    "data_type": "events",
    "frequency": "24h",
    "last_initiated_seconds": None,
    "last_completed_seconds": None,
    "usual_duration_seconds": 600,
    "deadline_seconds": 1000,
    "owner": None,
    "severity": "critical",
    "landing": None,
}
LANDED: dict[str, Any] = {
    "summary": "landed",
    "result": "landed",
    "objects": 3,
    "size": 1500,
    "detail": "s3://bucket/",
    "checked_at_seconds": 1940,
}
ALL = ["STATE", "SOURCE", "EXPORT", "PARTNER", "TYPE", "FREQUENCY", "LAST STARTED", "LAST COMPLETED", "USUAL RUN"]
ALL += ["DEADLINE", "OWNER", "SEVERITY"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes standard output a terminal of a width."""

    def make(width: int) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.delenv("NO_COLOR", raising=False)

    return make


def plain(text: str) -> str:
    return re.sub(r"\x1b\[\d*m", "", text)


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() -> None:
    shown = tables.format_table(("A", "LONG HEAD"), [("wide cell", "x"), ("", "")])
    assert shown == "A          LONG HEAD\nwide cell  x\n"


def test_no_rows_are_said_in_words() -> None:
    assert tables.format_table(("A",), [], "no rows") == "no rows"


def test_what_was_not_understood_cannot_move_the_cursor_or_begin_a_line() -> None:
    shown = tables.quarantine_table([HOSTILE])
    assert len(shown.splitlines()) == 2
    assert r"\x1b[2J\nforged line\u202e" in shown
    assert "\\x1b" in tables.exports_table([EXPORT | {"partner": "\x1b[2J"}], 0)


def test_wide_and_combining_characters_keep_the_columns_straight() -> None:
    assert tables.display_width("表e\u0301🚚") == 5
    shown = tables.format_table(("A", "B"), [("表", "x"), ("abc", "y")])
    assert shown.splitlines() == ["A    B", "表   x", "abc  y"]


@pytest.mark.parametrize("width", [200, 160, 120, 100, 80, 60])
def test_a_table_fits_the_terminal_and_keeps_what_matters_most(terminal: Callable[[int], None], width: int) -> None:
    terminal(width)
    lines = plain(tables.exports_table([EXPORT, EXPORT | {"partner": "表" * 15}], 2000.0)).splitlines()
    assert max(map(tables.display_width, lines)) <= width
    shown = [heading.rstrip("…") for heading in re.split(" {2,}", lines[0])]
    headings = [heading for heading in ALL if any(heading.startswith(start) for start in shown)]
    assert len(headings) == len(shown)
    assert {"STATE", "SOURCE", "EXPORT", "PARTNER", "LAST COMPLETED", "DEADLINE"} <= set(headings)
    assert (headings == ALL) == (width == 200)
    assert ("…" in lines[1] + lines[2]) == (width <= 100)


def test_files_have_a_column_if_those_of_an_export_are_looked_for() -> None:
    assert "FILES" not in tables.exports_table([EXPORT], 2000.0)
    heading, landed, other = tables.exports_table([EXPORT | {"landing": LANDED}, EXPORT], 2000.0).splitlines()
    place = heading.index("FILES")
    assert re.split(" {2,}", heading)[8] == "FILES"
    assert [line[place:].split("  ")[0] for line in (landed, other)] == ["landed", ""]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "landed: 3 files with 1,500 bytes at s3://bucket/; last looked 1 min ago"),
        ({"objects": 1}, "landed: 1 file with 1,500 bytes at s3://bucket/; last looked 1 min ago"),
        (
            {"summary": "could not be looked for", "result": "error", "detail": "s3://bucket is not there"},
            "could not be looked for: s3://bucket is not there; last looked 1 min ago",
        ),
        ({"summary": "not looked for yet", "result": None}, "not looked for yet"),
    ],
)
def test_an_explanation_has_what_is_known_about_files(changes: dict[str, Any], expected: str) -> None:
    assert tables.landing_text(LANDED | changes, 2000.0) == expected


def test_a_terminal_too_narrow_for_every_column_gets_cut_cells(terminal: Callable[[int], None]) -> None:
    terminal(20)
    _, row = plain(tables.exports_table([EXPORT], 2000.0)).splitlines()
    assert re.split(" {2,}", row) == ["overdue", "shop-in1", "nightly…", "Google …", "never", "16 min …"]


def test_a_table_without_a_terminal_is_as_wide_as_it_has_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert tables.exports_table([EXPORT], 0).splitlines()[0].split("  ")[0] == "STATE"
    assert tables.terminal_width() is None


def test_states_are_colored_on_a_terminal_only(
    terminal: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = [EXPORT, EXPORT | {"state": "fine"}, EXPORT | {"state": "muted"}]
    assert "\x1b" not in tables.exports_table(exports, 0)
    terminal(200)
    _, overdue, fine, muted = tables.exports_table(exports, 0).splitlines()
    assert overdue.startswith("\x1b[31moverdue\x1b[0m")
    assert fine.startswith("\x1b[32mfine   \x1b[0m")
    assert not muted.startswith("\x1b[3")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in tables.exports_table(exports, 0)
    assert os.environ["NO_COLOR"]


def test_the_width_of_each_cell_of_a_long_table_is_measured_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    width = tables.display_width

    def count(text: str) -> int:
        measured.append(text)
        return width(text)

    monkeypatch.setattr(tables, "display_width", count)
    rows = [[f"row {number}", "x" * (number % 9)] for number in range(500)]
    assert len(tables.format_table(["NAME", "VALUE"], rows).splitlines()) == 501
    assert len(measured) <= 3 * 2 * 501
