"""The page about sizing counts the series of an export as the code does."""

from __future__ import annotations

import re

from exporter.metrics.families import DURATION_SERIES, EXPORT_COLUMNS
from monitoring import ROOT


def test_the_series_of_an_export_are_counted() -> None:
    page = (ROOT / "docs" / "explanation" / "sizing.md").read_text("utf-8")
    match = re.search(r"up to (\d+) per export \| ([\d,]+) \| ([\d,]+) \|", page)
    assert match is not None
    per_export = len(EXPORT_COLUMNS) + DURATION_SERIES
    assert [int(figure.replace(",", "")) for figure in match.groups()] == [
        per_export,
        500 * per_export,
        10000 * per_export,
    ]
