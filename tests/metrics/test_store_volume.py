"""The file system of a SQLite store is measured at each scrape; that of another store is not known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from exporter.metrics.store_volume import StoreVolume

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("dataexport_store_free_bytes", "dataexport_store_size_bytes")


def values(registry: CollectorRegistry) -> list[float | None]:
    return [registry.get_sample_value(name) for name in NAMES]


def test_a_scrape_shows_what_may_still_be_written_and_the_size(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    StoreVolume(registry).folder = tmp_path
    free, size = values(registry)
    volume = os.statvfs(tmp_path)
    assert size == volume.f_blocks * volume.f_frsize
    assert free
    assert abs(free - volume.f_bavail * volume.f_frsize) < 1 << 30  # others write to it meanwhile


def test_there_is_no_series_where_nothing_can_be_measured(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    volume = StoreVolume(registry)
    assert values(registry) == [None, None]
    volume.folder = tmp_path / "gone"
    assert values(registry) == [None, None]
