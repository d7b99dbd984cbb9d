"""The series of landed files in the scrape."""

from __future__ import annotations

from exporter.domain.landing_history import LandingState
from exporter.domain.states import ExportState
from exporter.metrics.landing_families import LandingRenderer

STATE = ExportState("shop", "any", "Amazon S3", "events", "4h", "UTC", declared=False)


def test_without_the_last_landing_nothing_is_left() -> None:
    renderer = LandingRenderer()
    assert renderer.update([(STATE, LandingState(objects=3))]) is not None
    assert renderer.update([]) is None
