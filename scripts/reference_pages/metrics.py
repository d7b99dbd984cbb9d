"""Writes docs/reference/metrics.md from the definitions of the metrics and from `reference_pages.metric_notes`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain.landing_history import LandingState
from exporter.domain.states import ExportState, SourceState
from exporter.metrics import families, landing_families
from exporter.metrics.families import EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.process_metrics import ProcessMetrics
from reference_pages.markdown import code, codes, document, table
from reference_pages.metric_notes import NOTES

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
`/metrics` on the admin listener, as Prometheus text or OpenMetrics. Gauges hold Unix timestamps, not ages: the age is \
`time() - metric`. For alerts, use the [shipped rules](alerts.md) instead of writing your own over timestamps.

- Metrics of exports and sources are computed from stored events, so a restart does not change them. Metrics of the \
process start at 0 with the process.
- With several replicas, take the newest value: `max without (instance, pod) (metric)`.
- Every series also has the labels `job` and `instance` that Prometheus adds.
- *Can decrease* of a counter: a counter of stored events can be corrected downwards, for example by a replay. \
`rate()` and `increase()` then see a reset. A timestamp can move back in the same way.
- `export` is the declared name, the request id of a detected export, `any` for a group, or `other` for exports over \
`limits.exports_per_source`."""

GROUPS = (
    ("Exports", "One series per export, with the labels `source`, `export`, `partner`, `data_type`, `frequency`."),
    (
        "Landings",
        "One series per export with a [`landing`](configuration.md#landing), with the same labels; without one, none.",
    ),
    ("Sources", "One series per source, with the label `source`."),
    ("Process", "Metrics of this exporter process."),
)
UNITS = {"_timestamp_seconds": "Unix time in seconds", "_seconds": "seconds", "_ratio": "ratio from 0 to 1"}
CLIENT_LIBRARY = "The process also exposes `process_*` and `python_*` of the Prometheus client library."


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as a query names it.

    Attributes:
        name: the name of its samples; of a histogram, without a suffix.
        labels: all of its own labels, in alphabetical order.
    """

    name: str
    type: str
    text: str
    labels: tuple[str, ...]

    @property
    def unit(self) -> str:
        """The unit, by the name."""
        if NOTES[self.name].unit:
            return NOTES[self.name].unit
        return next((unit for suffix, unit in UNITS.items() if self.name.endswith(suffix)), "count")


def export_metrics() -> list[Metric]:
    """Return the metrics of exports."""
    state = ExportState("shop", "any", "", "", "", "", declared=False, recurring=True)
    lines = families.export_lines(state)
    return [
        Metric(
            family.sample_name,
            family.kind,
            family.documentation,
            ("export", "source") if family is families.DURATION else _labels(line),
        )
        for family, line in zip(EXPORT_FAMILIES, lines, strict=True)
    ]


def landing_metrics() -> list[Metric]:
    """Return the metrics of landings."""
    state = ExportState("shop", "any", "", "", "", "", declared=False)
    lines = landing_families.landing_lines(state, LandingState())
    return [
        Metric(family.sample_name, family.kind, family.documentation, _labels(line.partition("\n")[0]))
        for family, line in zip(landing_families.LANDING_FAMILIES, lines, strict=True)
    ]


def source_metrics() -> list[Metric]:
    """Return the metrics of sources."""
    state = SourceState("shop", "", events={"completed": 1}, unknown_statuses={"paused": 1})
    lines = families.source_lines(state, ("bad_date",))
    return [
        Metric(family.sample_name, family.kind, family.documentation, _labels(line))
        for family, line in zip(SOURCE_FAMILIES, lines, strict=True)
    ]


def process_metrics() -> list[Metric]:
    """Return this package's own metrics of the process."""
    found = []
    for metric in ProcessMetrics().registry.collect():
        if metric.name.startswith("dataexport_"):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
            found.append(Metric(name, metric.type, metric.documentation, tuple(sorted(labels))))
    return found


def page() -> str:
    """Return the text of the page."""
    blocks = [INTRODUCTION]
    for (title, text), metrics in zip(GROUPS, _groups(), strict=True):
        blocks += [f"## {title}", text]
        rows = ([f"[{code(metric.name)}](#{metric.name})", metric.type, metric.text] for metric in metrics)
        blocks.append(table(["metric", "type", "meaning"], rows))
        blocks += [block for metric in metrics for block in _section(metric)]
    return document("Metrics", *blocks, CLIENT_LIBRARY)


def _groups() -> tuple[list[Metric], ...]:
    return export_metrics(), landing_metrics(), source_metrics(), process_metrics()


def _section(metric: Metric) -> Iterator[str]:
    note = NOTES[metric.name]
    yield f"### {metric.name}"
    yield metric.text
    facts = [
        f"- Type: {metric.type}. Unit: {metric.unit}.",
        f"- Labels: {codes(metric.labels) or 'none'}.",
        f"- 0 means: {note.zero}.",
        f"- Can decrease: {note.decreases}.",
    ]
    yield "\n".join(facts)
    yield f"```promql\n{note.query}\n```"


def _labels(line: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r'[{,](\w+)="', line)))
