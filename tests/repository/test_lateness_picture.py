"""The picture of lateness is what its script draws, and the page beside it gives no other times."""

from __future__ import annotations

import re

from lateness_picture import PICTURE, Story, draw, format_time
from monitoring import ROOT

PAGE = (ROOT / "docs" / "explanation" / "how-lateness-works.md").read_text("utf-8")


def test_the_picture_is_the_one_that_its_script_draws() -> None:
    assert PICTURE.read_text("utf-8") == draw(), "run scripts/lateness_picture.py"


def test_the_page_lists_the_slots_of_the_picture() -> None:
    rows = re.findall(r"^\| (\d\d:\d\d) \| .+ \| ([a-z ]+)(?: at [^|]+)? \|$", PAGE, re.MULTILINE)
    words = [(when, verdict.removesuffix(" ").strip()) for when, verdict in rows]
    assert words == [(format_time(slot.due_at), slot.verdict) for slot in Story().slots()]


def test_every_time_in_the_page_is_in_the_picture() -> None:
    assert set(re.findall(r"\b\d\d:\d\d\b", PAGE)) <= set(re.findall(r"\b\d\d:\d\d\b", draw()))
