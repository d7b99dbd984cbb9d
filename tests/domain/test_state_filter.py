"""Exports are found by state, source, owner and words of their labels."""

from __future__ import annotations

import pytest

from exporter.domain.state_filter import StateFilter
from exporter.domain.states import ExportState

EXPORT = ExportState(
    "shop", "nightly-s3", "Amazon S3", "events", "24h", "UTC", declared=True, owner="Data Platform", interval=86400
)


@pytest.mark.parametrize(
    ("chosen", "matches"),
    [
        (StateFilter(), True),
        (StateFilter(state="fine"), True),
        (StateFilter(state="muted"), False),
        (StateFilter(source="shop"), True),
        (StateFilter(source="sho"), False),
        (StateFilter(owner="data platform"), True),
        (StateFilter(owner="data"), False),
        (StateFilter(owner=""), False),
        (StateFilter(search=""), True),
        (StateFilter(search="S3 platform"), True),
        (StateFilter(search="shop 24h EVENTS"), True),
        (StateFilter(search="shop azure"), False),
        (StateFilter(search="s3events"), False),
        (StateFilter("fine", "shop", "DATA PLATFORM", "nightly"), True),
        (StateFilter("fine", "shop", "DATA PLATFORM", "hourly"), False),
    ],
)
def test_an_export_matches_everything_that_is_asked_for(chosen: StateFilter, *, matches: bool) -> None:
    assert chosen.matches(EXPORT, 1_800_000_000) == matches


def test_an_export_without_an_owner_is_found_by_an_empty_one() -> None:
    nobody = ExportState("shop", "any", "Azure", "events", "24h", "UTC", declared=False)
    assert StateFilter(owner="").matches(nobody, 0)
