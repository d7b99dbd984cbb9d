"""Measures the file system of a SQLite store at each scrape."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric


class StoreVolume(Collector):
    """The metrics of the file system that a SQLite store is on.

    There is no series for PostgreSQL, nor while the folder cannot be looked at: a zero would mean a full volume.

    Args:
        registry: gets the metrics.

    Attributes:
        folder: the folder of the store; None for PostgreSQL.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.folder: Path | None = None
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield both metrics."""
        free = GaugeMetricFamily("dataexport_store_free_bytes", "Free bytes of the file system of a SQLite store.")
        size = GaugeMetricFamily("dataexport_store_size_bytes", "Size in bytes of the file system of a SQLite store.")
        if self.folder is not None:
            try:
                volume = shutil.disk_usage(self.folder)
            except OSError:
                pass
            else:
                free.add_metric([], volume.free)
                size.add_metric([], volume.total)
        yield free
        yield size
