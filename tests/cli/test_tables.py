"""Tables for people: as wide as what is in them, and safe for the terminal that shows them."""

from __future__ import annotations

import json

from exporter.cli import tables
from exporter.domain.events import QuarantinedBody

HOSTILE = QuarantinedBody("shop", 0.0, "bad_date", "\x1b[2J\nforged line", b"\xff\x1b", b"", 7)


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() -> None:
    shown = tables.format_table(("A", "LONG HEAD"), [("wide cell", "x"), ("", "")])
    assert shown == "A          LONG HEAD\nwide cell  x\n"


def test_no_rows_are_said_in_words() -> None:
    assert tables.format_table(("A",), [], "no rows") == "no rows"


def test_what_was_not_understood_cannot_move_the_cursor_or_begin_a_line() -> None:
    shown = tables.quarantine_table([HOSTILE], as_json=False)
    assert len(shown.splitlines()) == 2
    assert r"\x1b[2J\nforged line" in shown
    (row,) = json.loads(tables.quarantine_table([HOSTILE], as_json=True))
    assert row == {
        "sequence": 7,
        "arrived_at": "1970-01-01T00:00:00Z",
        "source": "shop",
        "reason": "bad_date",
        "detail": "\x1b[2J\nforged line",
        "body": "\ufffd\x1b",
    }
