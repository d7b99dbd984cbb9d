"""Renders states with the official client library, to compare with the exporter's own renderer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector as ClientCollector

from exporter.ingest.vendors.clevertap import REASONS
from exporter.metrics import families
from exporter.projection.fold.runs import DURATION_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.domain.states import ExportState, SourceState

LABELS = ("source", "export", "partner", "data_type", "frequency")
GAUGES = {
    "last_initiated_timestamp_seconds": "last_initiated",
    "last_completed_timestamp_seconds": "last_completed",
    "last_failed_timestamp_seconds": "last_failed",
    "last_received_timestamp_seconds": "last_received",
    "last_run_duration_seconds": "last_duration",
    "usual_run_duration_seconds": "usual_duration",
    "runs_in_progress": "in_progress",
    "running_since_timestamp_seconds": "running_since",
    "interval_seconds": "interval",
    "grace_seconds": "grace",
    "max_runtime_seconds": "max_runtime",
    "freshness_objective_ratio": "objective",
    "start_deadline_timestamp_seconds": "start_deadline",
    "deadline_timestamp_seconds": "deadline",
    "run_deadline_timestamp_seconds": "run_deadline",
}
COUNTERS = ("initiated", "completed", "failed", "abandoned")
SLOTS = (
    "slots",
    "slots_late",
    "slots_missed",
    "slots_unknown",
    "slots_missed_1d",
    "slots_unknown_1d",
    "slots_over_objective_7d",
)
HELP = {family.name: family.documentation for family in families.EXPORT_FAMILIES + families.SOURCE_FAMILIES}


class Reference(ClientCollector):
    """A collector of the client library for the same families as `exporter.metrics.renderer` renders."""

    def __init__(self, states: Sequence[ExportState], sources: Sequence[SourceState]) -> None:
        self._states = sorted(states, key=lambda state: [getattr(state, label) for label in LABELS])
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield all families in the order of a scrape."""
        for name, attribute in GAUGES.items():
            yield self._gauge(name, attribute, self._states)
        yield self._durations()
        for name in COUNTERS:
            yield self._counter(name)
        for name in SLOTS:
            yield self._gauge(name, name, [state for state in self._states if state.recurring])
        yield self._gauge("muted", "muted", self._states)
        yield self._info()
        yield from self._source_families()

    def _gauge(self, name: str, attribute: str, states: Sequence[ExportState]) -> Metric:
        metric = GaugeMetricFamily(f"dataexport_{name}", HELP[f"dataexport_{name}"], labels=LABELS)
        for state in states:
            metric.add_metric([getattr(state, label) for label in LABELS], getattr(state, attribute))
        return metric

    def _counter(self, name: str) -> Metric:
        metric = CounterMetricFamily(f"dataexport_{name}", HELP[f"dataexport_{name}"], labels=LABELS)
        for state in self._states:
            metric.add_metric([getattr(state, label) for label in LABELS], getattr(state, name))
        return metric

    def _durations(self) -> Metric:
        name = "dataexport_run_duration_seconds"
        metric = HistogramMetricFamily(name, HELP[name], labels=("source", "export"))
        for labels in sorted({(state.source, state.export) for state in self._states}):
            matching = [state for state in self._states if (state.source, state.export) == labels]
            counts = [
                sum(state.duration_buckets[index] for state in matching) for index in range(len(DURATION_BOUNDS) + 1)
            ]
            bounds = [*(str(bound) for bound in DURATION_BOUNDS), "+Inf"]
            buckets = [(bound, float(sum(counts[: index + 1]))) for index, bound in enumerate(bounds)]
            metric.add_metric(labels, buckets, sum(state.duration_sum for state in matching))
        return metric

    def _info(self) -> Metric:
        names = (*LABELS, "timezone", "declared", "severity", "owner", "runbook_url")
        metric = GaugeMetricFamily("dataexport_export_info", HELP["dataexport_export_info"], labels=names)
        for state in self._states:
            values = [getattr(state, name) for name in names]
            metric.add_metric([str(value).lower() if isinstance(value, bool) else value for value in values], 1)
        return metric

    def _source_families(self) -> Iterator[Metric]:
        def counter(name: str, values: Sequence[tuple[Sequence[str], float]], *more: str) -> Metric:
            metric = CounterMetricFamily(f"dataexport_{name}", HELP[f"dataexport_{name}"], labels=("source", *more))
            for labels, value in values:
                metric.add_metric(labels, value)
            return metric

        def gauge(name: str, attribute: str) -> Metric:
            metric = GaugeMetricFamily(f"dataexport_{name}", HELP[f"dataexport_{name}"], labels=("source",))
            for state in self._sources:
                value = getattr(state, attribute)
                metric.add_metric([state.slug], 0 if value is None else value)
            return metric

        def labelled_gauge(name: str, values: Sequence[tuple[Sequence[str], float]], *more: str) -> Metric:
            metric = GaugeMetricFamily(f"dataexport_{name}", HELP[f"dataexport_{name}"], labels=("source", *more))
            for labels, value in values:
                metric.add_metric(labels, value)
            return metric

        def plain(attribute: str) -> list[tuple[Sequence[str], float]]:
            return [([state.slug], getattr(state, attribute)) for state in self._sources]

        statuses = [
            ([state.slug, status], state.events[status]) for state in self._sources for status in sorted(state.events)
        ]
        reasons = [
            ([state.slug, reason], state.quarantined.get(reason, 0))
            for state in self._sources
            for reason in sorted(REASONS)
        ]
        yield counter("webhook_events", statuses, "status")
        yield counter("webhook_duplicates", plain("duplicates"))
        yield counter("webhook_test_calls", plain("test_calls"))
        yield counter("webhook_quarantined", reasons, "reason")
        yield counter("webhook_skewed", plain("skewed"))
        yield counter("webhook_unknown_frequencies", plain("unknown_frequencies"))
        unknown = [
            ([state.slug, word], value)
            for state in self._sources
            for word, value in sorted(state.unknown_statuses.items())
        ]
        yield labelled_gauge("webhook_unknown_status_timestamp_seconds", unknown, "status")
        yield gauge("source_configured_timestamp_seconds", "configured_at")
        yield gauge("webhook_last_accepted_timestamp_seconds", "last_accepted")
        yield gauge("event_delay_seconds", "delay")
        yield gauge("suspected_utc_offset_seconds", "suspected_offset")
        yield gauge("timezone_suspect", "suspect")


def rendered_by_library(reference: Reference, *, openmetrics: bool) -> str:
    """Return the text of a scrape, without the end mark of OpenMetrics."""
    text = (generate_openmetrics if openmetrics else generate_latest)(reference).decode()
    return text.removesuffix("# EOF\n")
