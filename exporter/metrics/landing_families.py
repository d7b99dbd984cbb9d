"""Defines the metrics of exports whose files are looked for, and formats their samples.

Exports without a configured landing have none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.landing import RESULTS
from exporter.metrics.families import PREFIX, export_labels
from exporter.metrics.gzip_parts import PartCompressor, compression_engine
from exporter.metrics.text_format import Family, sample_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.landing_history import LandingState
    from exporter.domain.states import ExportState
    from exporter.metrics.gzip_parts import Part

# Rows of (name, help text, field of LandingState).
LANDING_GAUGES = (
    (
        "landed_timestamp_seconds",
        "Unix time when the newest file of the last run that landed was modified; 0 if never.",
        "landed_at",
    ),
    ("landed_objects", "Files found of the last run that was looked for.", "objects"),
    ("landed_bytes", "Size in bytes of the files found of the last run that was looked for.", "size"),
    ("usual_landed_bytes", "Median size in bytes of the 14 runs before that; 0 with fewer than 3.", "usual_size"),
    (
        "landing_due_timestamp_seconds",
        "Unix time by which the files of the last run that was looked for must be there; 0 if none.",
        "due_at",
    ),
    (
        "landing_missing_since_timestamp_seconds",
        "Unix time since when the files of the last completed run are missing; 0 if they are not.",
        "missing_since",
    ),
    (
        "landing_unannounced_timestamp_seconds",
        "Unix time when files of a run landed that no Completed event announced; 0 if none.",
        "unannounced_at",
    ),
    (
        "landing_failing_since_timestamp_seconds",
        "Unix time of the first of the checks that failed since the last successful one; 0 if none.",
        "failing_since",
    ),
    ("landing_last_check_timestamp_seconds", "Unix time of the last check; 0 if never.", "checked_at"),
)
CHECKS = Family(f"{PREFIX}landing_checks", "counter", "Checks whether the files of an export landed, by result.")

LANDING_FAMILIES = (*(Family(PREFIX + name, "gauge", text) for name, text, _ in LANDING_GAUGES), CHECKS)


def landing_lines(state: ExportState, landing: LandingState) -> tuple[str, ...]:
    """Format the samples of one export: one text per family of `LANDING_FAMILIES`."""
    labels = export_labels(state)
    lines = [
        sample_line(f"{PREFIX}{name}", labels, float(getattr(landing, attribute)))
        for name, _, attribute in LANDING_GAUGES
    ]
    before, _, source = labels.rpartition(",source=")  # labels are sorted by name, and "result" comes before "source"
    lines.append(
        "".join(
            sample_line(CHECKS.sample_name, f'{before},result="{result}",source={source}', landing.totals[result])
            for result in RESULTS
        )
    )
    return tuple(lines)


class LandingRenderer:
    """Renders what is known about the files of exports, in compressed parts. Not thread-safe.

    An update formats only what has changed, and compresses only if anything has.
    """

    def __init__(self) -> None:
        self._compressor = PartCompressor(compression_engine())
        self._rows: dict[str, tuple[LandingState, tuple[str, ...]]] = {}
        """By labels: the state of an export, and its `landing_lines`."""
        self._parts: tuple[Part, Part] | None = None

    def update(self, landings: Iterable[tuple[ExportState, LandingState]]) -> tuple[Part, Part] | None:
        """Return all samples in the text format, and in OpenMetrics; None without any."""
        rows = {}
        for state, landing in landings:
            labels = export_labels(state)
            row = self._rows.get(labels)
            rows[labels] = row if row and row[0] == landing else (landing, landing_lines(state, landing))
        if rows != self._rows:
            self._rows = rows
            self._parts = self._render()
        return self._parts

    def _render(self) -> tuple[Part, Part] | None:
        if not self._rows:
            return None
        columns = list(zip(*(self._rows[labels][1] for labels in sorted(self._rows)), strict=True))
        plain, openmetrics = (
            "".join(
                family.header(openmetrics=openmetrics) + "".join(lines)
                for family, lines in zip(LANDING_FAMILIES, columns, strict=True)
            ).encode()
            for openmetrics in (False, True)
        )
        return self._compressor.compress(plain), self._compressor.compress(openmetrics)
