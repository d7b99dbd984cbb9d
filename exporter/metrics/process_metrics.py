"""Defines the metrics of the exporter process itself, with the Prometheus client library.

The metrics that are computed from stored events are in `exporter.metrics.families`.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.gc_collector import GCCollector

from exporter import __version__
from exporter.domain.exports import UNKNOWN_SOURCE
from exporter.metrics.store_volume import StoreVolume

if TYPE_CHECKING:
    from collections.abc import Iterable

OPERATIONS = ("append", "read", "declare", "heartbeat", "epoch", "checkpoint", "prune", "bodies")
STATUS_CODES = ("200", "400", "401", "413", "415", "429", "503")

# CleverTap waits 3 s for an answer (another page of its documentation says 5 s); a commit should take milliseconds.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5)
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class ProcessMetrics:
    """The metrics of one process, in their own registry.

    Args:
        revision: the revision of the source code; empty if the build does not set it.
    """

    def __init__(self, revision: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._failing = {"read": False, "write": False}
        self.requests = Counter(
            "dataexport_webhook_requests",
            "Webhook responses by HTTP status code.",
            ["source", "code"],
            registry=registry,
        )
        self.request_duration = Histogram(
            "dataexport_webhook_request_duration_seconds",
            "Webhook response time in seconds; the vendor times out at 3 s.",
            ["source"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.auth_failures = Counter(
            "dataexport_webhook_auth_failures",
            "Webhook requests without a valid credential.",
            ["source"],
            registry=registry,
        )
        self._response_series: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.store_up = Gauge(
            "dataexport_store_up",
            "1 if the last read and the last write of the store succeeded, else 0.",
            registry=registry,
        )
        self.store_errors = Counter(
            "dataexport_store_errors", "Failed operations of the store.", ["operation"], registry=registry
        )
        self.commit_duration = Histogram(
            "dataexport_store_commit_duration_seconds",
            "Time in seconds to commit events; several requests may share a commit.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self.reload_successful = Gauge(
            "dataexport_config_last_reload_successful",
            "1 if the last reload applied the configuration, 0 if it was rejected.",
            registry=registry,
        )
        self.reload_time = Gauge(
            "dataexport_config_last_reload_success_timestamp_seconds",
            "Unix time when a configuration was last applied.",
            registry=registry,
        )
        self.clock_time = Gauge(
            "dataexport_clock_timestamp_seconds",
            "Unix time of the clock of this machine.",
            registry=registry,
        )
        self.series = Gauge("dataexport_series", "Series of exports and sources in the last scrape.", registry=registry)
        self.series_dropped = Counter(
            "dataexport_series_dropped",
            "Series not exposed because their source has too many exports.",
            registry=registry,
        )
        self.exports_per_source_limit = Gauge(
            "dataexport_exports_per_source_limit",
            "How many exports of a source may have series of their own.",
            registry=registry,
        )
        self.certificate_end = Gauge(
            "dataexport_tls_certificate_not_after_timestamp_seconds",
            "Unix time when the certificate of the webhook, or one of its chain, expires; 0 without TLS.",
            registry=registry,
        )
        self.checkpoint_time = Gauge(
            "dataexport_checkpoint_last_success_timestamp_seconds",
            "Unix time of this process's last checkpoint; 0 if never.",
            registry=registry,
        )
        self.backup_time = Gauge(
            "dataexport_backup_last_success_timestamp_seconds",
            "Unix time of the newest recorded backup of the store; 0 if none.",
            registry=registry,
        )
        self.backup_max_age = Gauge(
            "dataexport_backup_max_age_seconds",
            "How old the newest backup may become, in seconds (store.backup_max_age); 0 if not set.",
            registry=registry,
        )
        self.store_volume = StoreVolume(registry)
        self.pruned = Counter(
            "dataexport_store_pruned",
            "Events, quarantined and refused bodies that this process removed after their retention.",
            registry=registry,
        )
        build = Gauge(
            "dataexport_build_info",
            "Always 1; the running version as labels.",
            ["version", "revision", "python_version"],
            registry=registry,
        )
        build.labels(__version__, revision, platform.python_version()).set(1)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        for operation in OPERATIONS:
            self.store_errors.labels(operation)
        self.initialise_sources([])

    def initialise_sources(self, slugs: Iterable[str]) -> None:
        """Create the series of these sources with the value 0, so that the first increase is visible to `rate()`."""
        for slug in (*slugs, UNKNOWN_SOURCE):
            self.auth_failures.labels(slug)
            self.request_duration.labels(slug)
            for code in STATUS_CODES if slug != UNKNOWN_SOURCE else ("404",):
                self.requests.labels(slug, code)

    def initialise_landings(self) -> None:
        """Create the series that only an exporter with a configured landing has."""
        self.store_errors.labels("landing")

    @property
    def writes_fail(self) -> bool:
        """Whether the last write to the store failed."""
        return self._failing["write"]

    def rejected_requests(self, source: str) -> int:
        """Return how many webhook requests for a source this process has answered with an error."""
        samples = (sample for family in self.requests.collect() for sample in family.samples)
        return int(
            sum(
                sample.value
                for sample in samples
                if sample.name.endswith("_total")
                and sample.labels["source"] == source
                and sample.labels["code"] >= "400"
            )
        )

    def count_response(self, source: str, status: int, seconds: float) -> None:
        """Count a webhook response and observe its duration in seconds."""
        series = self._response_series.get((source, status))
        if series is None:
            # Cached, because `labels()` takes longer than `inc()`.
            series = self.requests.labels(source, str(status)), self.request_duration.labels(source)
            self._response_series[source, status] = series
        series[0].inc()
        series[1].observe(seconds)

    def observe_operation(self, operation: str, seconds: float, failed: bool) -> None:  # noqa: FBT001 - see Observer
        """Record the duration in seconds and the outcome of an operation on the store."""
        self._failing["read" if operation == "read" else "write"] = failed
        self.store_up.set(not any(self._failing.values()))
        if failed:
            self.store_errors.labels(operation).inc()
        elif operation == "append":
            self.commit_duration.observe(seconds)
