"""Defines every metric that is computed from stored events, and formats its samples.

To add one, add a row to `EXPORT_GAUGES`, `EXPORT_COUNTERS` or `SLOT_GAUGES`, or a family to `SOURCE_FAMILIES`.
The metrics of the exporter process are in `exporter.metrics.process_metrics`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING

from exporter.metrics.text_format import (
    PLAIN_BELOW,
    Family,
    escape,
    format_labels,
    format_value,
    histogram_pieces,
    sample_line,
)
from exporter.projection.fold.runs import DURATION_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.domain.states import ExportState, SourceState

PREFIX = "dataexport_"

# Rows of (name, help text, field of ExportState).
EXPORT_GAUGES = (
    ("last_initiated_timestamp_seconds", "Unix time when the last run started; 0 if never.", "last_initiated"),
    ("last_completed_timestamp_seconds", "Unix time when the last run completed; 0 if never.", "last_completed"),
    (
        "last_failed_timestamp_seconds",
        "Unix time of the last run reported as failed; 0 if never.",
        "last_failed",
    ),
    ("last_received_timestamp_seconds", "Unix time when the last event arrived; 0 if never.", "last_received"),
    (
        "last_run_duration_seconds",
        "Duration in seconds of the last completed run with a known start; 0 if none.",
        "last_duration",
    ),
    (
        "usual_run_duration_seconds",
        "Median duration in seconds of the runs of the last 14 days; 0 if none.",
        "usual_duration",
    ),
    ("runs_in_progress", "Runs that have started and not yet ended.", "in_progress"),
    (
        "running_since_timestamp_seconds",
        "Unix time when the oldest run in progress started; 0 if none.",
        "running_since",
    ),
    ("interval_seconds", "Expected time between two runs in seconds; 0 if unknown.", "interval"),
    ("grace_seconds", "Grace period in seconds.", "grace"),
    ("max_runtime_seconds", "How long a run may take, in seconds.", "max_runtime"),
    ("freshness_objective_ratio", "On-time objective: target share of slots on time.", "objective"),
    ("start_deadline_timestamp_seconds", "Unix time by which the next run must start; 0 if none.", "start_deadline"),
    ("deadline_timestamp_seconds", "Unix time by which the next run must complete; 0 if none.", "deadline"),
    (
        "run_deadline_timestamp_seconds",
        "Unix time by which the oldest run in progress must complete; 0 if none.",
        "run_deadline",
    ),
)
EXPORT_COUNTERS = (
    ("initiated", "Runs that started.", "initiated"),
    ("completed", "Runs that completed.", "completed"),
    ("failed", "Runs reported as failed.", "failed"),
    ("abandoned", "Runs superseded by a newer run before completing.", "abandoned"),
)
SLOT_GAUGES = (
    ("slots", "Expected completions, whatever their outcome; a late event may correct it.", "slots"),
    ("slots_late", "Slots whose completion came after their deadline.", "slots_late"),
    ("slots_missed", "Slots without a completion, counted one interval after they were due.", "slots_missed"),
    (
        "slots_unknown",
        "Slots without an event during an outage of the exporter.",
        "slots_unknown",
    ),
    ("slots_missed_1d", "Slots missed in the last day and since the last mute.", "slots_missed_1d"),
    ("slots_unknown_1d", "Slots that became unknown in the last day and since the last mute.", "slots_unknown_1d"),
    (
        "slots_over_objective_7d",
        "Late and missed slots of the last 7 days and since the last mute; 0 if the objective allows that many.",
        "slots_over_objective_7d",
    ),
)

DURATION = Family(
    f"{PREFIX}run_duration_seconds", "histogram", "Durations in seconds of completed runs with a known start."
)
MUTED = Family(f"{PREFIX}muted", "gauge", "1 if alerts about the export are muted, else 0.")
INFO = Family(f"{PREFIX}export_info", "gauge", "Always 1; the configuration of the export as labels.")

EXPORT_FAMILIES = (
    *(Family(PREFIX + name, "gauge", text) for name, text, _ in EXPORT_GAUGES),
    DURATION,
    *(Family(PREFIX + name, "counter", text) for name, text, _ in EXPORT_COUNTERS),
    *(Family(PREFIX + name, "gauge", text) for name, text, _ in SLOT_GAUGES),
    MUTED,
    INFO,
)

EXPORT_COLUMNS = tuple(family for family in EXPORT_FAMILIES if family is not DURATION)
"""The families with one sample per export; the groups of a source share one duration histogram."""

DURATION_SERIES = len(DURATION_BOUNDS) + 3
"""Series of one histogram: a bucket per bound and one for infinity, the count and the sum."""

_VALUE_FIELDS = (
    *(attribute for _, _, attribute in (*EXPORT_GAUGES, *EXPORT_COUNTERS, *SLOT_GAUGES)),
    "muted",
)
_SLOT_COLUMNS = slice(len(EXPORT_GAUGES) + len(EXPORT_COUNTERS), len(_VALUE_FIELDS) - 1)
_SLOT_FAMILIES = frozenset(PREFIX + name for name, _, _ in SLOT_GAUGES)
_LINE_STARTS = tuple(f"{family.sample_name}{{" for family in EXPORT_COLUMNS)
_field_values = attrgetter(*_VALUE_FIELDS)

EVENTS = Family(f"{PREFIX}webhook_events", "counter", "Stored events by status.")
DUPLICATES = Family(f"{PREFIX}webhook_duplicates", "counter", "Deliveries of events already stored.")
TEST_CALLS = Family(f"{PREFIX}webhook_test_calls", "counter", "Test calls, sent when someone creates the webhook.")
QUARANTINED = Family(
    f"{PREFIX}webhook_quarantined", "counter", "Bodies quarantined because they could not be parsed, by reason."
)
SKEWED = Family(f"{PREFIX}webhook_skewed", "counter", "Events dated in the future; arrival time used instead.")
UNKNOWN_FREQUENCIES = Family(
    f"{PREFIX}webhook_unknown_frequencies", "counter", "Events with an unrecognised frequency."
)
UNKNOWN_STATUS = Family(
    f"{PREFIX}webhook_unknown_status_timestamp_seconds",
    "gauge",
    "Unix time when the second newest event with an unknown status arrived; 0 if there was only one.",
)
CONFIGURED = Family(
    f"{PREFIX}source_configured_timestamp_seconds",
    "gauge",
    "Unix time when the source was first configured; 0 if never.",
)
LAST_ACCEPTED = Family(
    f"{PREFIX}webhook_last_accepted_timestamp_seconds",
    "gauge",
    "Unix time when the last body other than a test call was accepted; 0 if never.",
)
DELAY = Family(
    f"{PREFIX}event_delay_seconds", "gauge", "Arrival time minus event time of the newest event, in seconds."
)
SUSPECTED = Family(
    f"{PREFIX}suspected_utc_offset_seconds",
    "gauge",
    "UTC offset in seconds that the arrivals of the source suggest; 0 also if they suggest none.",
)
SUSPECT = Family(f"{PREFIX}timezone_suspect", "gauge", "1 if the arrivals contradict the configured time zone, else 0.")

SOURCE_FAMILIES = (
    EVENTS,
    DUPLICATES,
    TEST_CALLS,
    QUARANTINED,
    SKEWED,
    UNKNOWN_FREQUENCIES,
    UNKNOWN_STATUS,
    CONFIGURED,
    LAST_ACCEPTED,
    DELAY,
    SUSPECTED,
    SUSPECT,
)


def sample_values(state: ExportState) -> tuple[float | None, ...]:
    """Return the values of `EXPORT_COLUMNS` except `INFO`, which is always 1.

    Slots are shown for recurring exports only; for others their value is None.
    """
    values: tuple[float | None, ...] = _field_values(state)
    if not state.recurring:
        values = (*values[: _SLOT_COLUMNS.start], *(None for _ in SLOT_GAUGES), *values[_SLOT_COLUMNS.stop :])
    return values


def export_series(state: ExportState) -> int:
    """Count the series of an export in `EXPORT_COLUMNS`."""
    return len(EXPORT_COLUMNS) - (0 if state.recurring else len(SLOT_GAUGES))


def sample_lines(state: ExportState, values: Sequence[float | None], columns: Iterable[int]) -> dict[int, bytes]:
    """Format the samples of some columns of an export.

    Args:
        state: the export.
        values: its `sample_values`.
        columns: numbers of columns in `EXPORT_COLUMNS`; `INFO` is not among them.
    """
    labels = export_labels(state)
    return {column: _column_line(column, labels, values[column]).encode() for column in columns}


def _column_line(column: int, label_text: str, value: float | None) -> str:
    return "" if value is None else f"{_LINE_STARTS[column]}{label_text}}} {format_value(value)}\n"


def export_labels(state: ExportState) -> str:
    """Format the labels of an export that all of its series but the histogram have, without braces."""
    before, after = _labels_around_export(state.data_type, state.frequency, state.partner, state.source)
    return f"{before}{escape(state.export)}{after}"


@lru_cache(maxsize=256)
def _labels_around_export(data_type: str, frequency: str, partner: str, source: str) -> tuple[str, str]:
    """Format the labels before and after the value of ``export``; exports have few combinations of them."""
    before = f'data_type="{escape(data_type)}",export="'
    return before, f'",frequency="{escape(frequency)}",partner="{escape(partner)}",source="{escape(source)}"'


def promql_selectors(state: ExportState) -> list[tuple[str, str]]:
    """Return a PromQL selector of each series of an export, with the help text of its family.

    The selectors are the lines of a scrape without their values; the histogram has fewer labels.
    """
    labels = export_labels(state)
    histogram = f'export="{escape(state.export)}",source="{escape(state.source)}"'
    return [
        (
            f"{family.name}_bucket{{{histogram}}}" if family is DURATION else f"{family.sample_name}{{{labels}}}",
            family.documentation,
        )
        for family in EXPORT_FAMILIES
        if state.recurring or family.name not in _SLOT_FAMILIES
    ]


def _info_labels(state: ExportState) -> str:
    return (
        f'data_type="{escape(state.data_type)}",declared="{"true" if state.declared else "false"}",'
        f'export="{escape(state.export)}",frequency="{escape(state.frequency)}",owner="{escape(state.owner)}",'
        f'partner="{escape(state.partner)}",runbook_url="{escape(state.runbook_url)}",'
        f'severity="{escape(state.severity)}",source="{escape(state.source)}",timezone="{escape(state.timezone)}"'
    )


def column_lines(state: ExportState) -> list[str]:
    """Format the samples of one export: one text per family of `EXPORT_COLUMNS`, empty if it has no sample."""
    labels = export_labels(state)
    lines = [_column_line(column, labels, value) for column, value in enumerate(sample_values(state))]
    lines.append(f"{INFO.name}{{{_info_labels(state)}}} 1.0\n")
    return lines


def export_lines(state: ExportState) -> tuple[str, ...]:
    """Format the samples of one export: one text per family of `EXPORT_FAMILIES`.

    The text of `DURATION` is empty, because `duration_lines` formats it for all exports with the same labels together.
    """
    lines = column_lines(state)
    lines.insert(EXPORT_FAMILIES.index(DURATION), "")
    return tuple(lines)


def duration_lines(source: str, export: str, counts: Iterable[int], total: float) -> str:
    """Format the duration histogram of the exports of a source with this ``export`` label.

    Args:
        source: the slug of the source.
        export: the value of the label.
        counts: the number of runs per bucket, not cumulative.
        total: the sum of the durations, in seconds.
    """
    pieces = list(_duration_pieces(source))
    cumulative = [f"{count}.0" if count < PLAIN_BELOW else format_value(count) for count in accumulate(counts)]
    pieces[1::4] = [escape(export)] * DURATION_SERIES
    pieces[3::4] = [*cumulative, cumulative[-1], format_value(total)]
    return "".join(pieces)


@lru_cache(maxsize=64)
def _duration_pieces(source: str) -> list[str]:
    return histogram_pieces(DURATION.name, "export", format_labels({"source": source}), DURATION_BOUNDS)


def source_lines(state: SourceState, reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Format the samples of one source: one text per family of `SOURCE_FAMILIES`.

    Args:
        state: the source.
        reasons: the reasons for quarantine; each has a sample even if its count is 0.
    """
    labels = format_labels({"source": state.slug})

    def counts_by(label: str, family: Family, counts: Mapping[str, float]) -> str:
        return "".join(
            sample_line(family.sample_name, format_labels({"source": state.slug, label: value}), counts[value])
            for value in sorted(counts)
        )

    return (
        counts_by("status", EVENTS, state.events),
        sample_line(DUPLICATES.sample_name, labels, state.duplicates),
        sample_line(TEST_CALLS.sample_name, labels, state.test_calls),
        counts_by("reason", QUARANTINED, dict.fromkeys(reasons, 0) | state.quarantined),
        sample_line(SKEWED.sample_name, labels, state.skewed),
        sample_line(UNKNOWN_FREQUENCIES.sample_name, labels, state.unknown_frequencies),
        counts_by("status", UNKNOWN_STATUS, state.unknown_statuses),
        sample_line(CONFIGURED.name, labels, state.configured_at),
        sample_line(LAST_ACCEPTED.name, labels, state.last_accepted),
        sample_line(DELAY.name, labels, state.delay),
        sample_line(SUSPECTED.name, labels, state.suspected_offset or 0),
        sample_line(SUSPECT.name, labels, state.suspect),
    )
