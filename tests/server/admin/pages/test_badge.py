"""Badges and the strip of slots as SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from builders import HOUR
from exporter.domain.slot_outcomes import LATE, MISSED, ON_TIME, UNKNOWN, SlotOutcome
from exporter.domain.states import CONDITIONS
from exporter.server.admin.pages import badge
from exporter.server.admin.pages.slot_strip import HEIGHT, WIDTH, strip


def label(svg: str) -> str:
    return ET.fromstring(svg).attrib["aria-label"]  # noqa: S314 - our own text


def test_the_badge_of_all_exports_counts_what_is_wrong() -> None:
    assert label(badge.of_all({"fine": 38, "running": 1, "muted": 1})) == "exports: 40 fine"
    assert label(badge.of_all({"fine": 38, "overdue": 2, "no schedule": 1})) == "exports: 2 overdue, 1 no schedule"
    assert label(badge.of_all({})) == "exports: none"
    assert badge.BAD_COLOUR in badge.of_all({"no schedule": 1, "overdue": 2})


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_badge_of_an_export_has_its_state(condition: str) -> None:
    assert label(badge.of_one("nightly", condition)) == f"nightly: {condition}"


def test_a_hostile_name_does_no_harm_to_a_badge() -> None:
    assert label(badge.of_one("<script>\"&'", "fine")) == "<script>\"&': fine"
    assert label(badge.of_one("a\x00b\u202ec\nd", "fine")) == "abc d: fine"
    assert label(badge.of_one("😀" * 200, "fine")) == f"{'😀' * 39}…: fine"
    assert 'width="0"' not in badge.of_one("", "fine")


def test_a_strip_has_the_newest_slot_at_the_right() -> None:
    outcomes = (ON_TIME, ON_TIME, LATE, MISSED, UNKNOWN)
    drawn = strip([SlotOutcome(outcome, number * HOUR) for number, outcome in enumerate(outcomes)])
    assert drawn.label == "Last 5 slots: 2 on time, 1 late, 1 missed, 1 unknown"
    assert [name for name, _ in drawn.paths] == ["on-time", "late", "missed", "unknown"]
    assert drawn.paths[-1][1].startswith(f"M{WIDTH - 6} 13")
    assert HEIGHT == 16
