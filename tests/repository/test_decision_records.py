"""Every decision record has its parts, is in the list, and says by which one it was superseded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from monitoring import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
LIST = (ROOT / "docs" / "adr" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_its_parts_and_is_in_the_list(record: Path) -> None:
    text = record.read_text("utf-8")
    match = re.match(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: (\d{4}-\d\d-\d\d)", text)
    assert match is not None
    number, title, status, date = match.groups()
    assert record.name.startswith(f"{int(number):04}-")
    assert re.findall(r"^## (.+)", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert re.match(r"(accepted|superseded)\b", status)
    assert f"| {number} | [{title}]({record.name}) | {'superseded' if status[0] == 's' else 'accepted'}" in LIST
    assert LIST.count(record.name) >= 1
    assert date in LIST
    if "superseded" in status:
        assert re.search(r"superseded[^[]*by \[\d+\]\(\d{4}-", status)
