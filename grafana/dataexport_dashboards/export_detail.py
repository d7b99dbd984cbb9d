"""Export detail: the runs, durations, slots and budget of one export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common as common_models

from dataexport_dashboards import palette, queries
from dataexport_dashboards.panels import (
    EXPORT_UID,
    assemble,
    bars,
    buckets,
    chart,
    dashed,
    fixed,
    limit_line,
    mapped,
    number,
    properties,
    query,
    share_bars,
    steps,
    timeline,
    variable,
)
from dataexport_dashboards.queries import OF_SOURCE, ONE, grown, grown_in_range, newest
from dataexport_dashboards.tables import grid, rows, runbooks, states
from exporter.domain.humanize import format_duration
from exporter.projection.fold.runs import DURATION_BOUNDS

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
    from grafana_foundation_sdk.models import dashboard as models

OBJECTIVE = newest("freshness_objective_ratio", ONE)
USUAL = "7d"


def build() -> models.Dashboard:
    """The dashboard."""
    one_name = 'source="$source", export="$export"'
    return assemble(
        EXPORT_UID,
        "Export detail",
        "The runs, durations, slots and freshness budget of one CleverTap export.",
        [
            variable("source", "Source", "", "A CleverTap project.", every=False, several=False),
            variable(
                "export",
                "Export",
                'source="$source"',
                "A declared or detected export; any is what has no name of its own.",
                every=False,
                several=False,
            ),
            *(
                variable(name, label, one_name, "Tells apart what shares the name any.", every=True, several=False)
                for name, label in (("partner", "Partner"), ("data_type", "Type"), ("frequency", "Frequency"))
            ),
        ],
        [
            ("", [*_instants(), _state(), _terms()]),
            ("Runs", [_runs(), _open_runs(), _durations(), _distribution()]),
            ("Slots and freshness", [*_freshness(), _slots(), _budget(), _delay()]),
        ],
        begin="now-30d",
    )


def _instants() -> list[stat.Panel]:
    def ago(title: str, description: str, metric: str, word: str = "never") -> stat.Panel:
        made = query(queries.milliseconds(newest(metric, ONE)), queries.SHORT_LEGEND, instant=True)
        return number(title, description, [made], "dateTimeFromNow", width=3).mappings(palette.zero_is(word))

    def left(title: str, description: str, metric: str) -> stat.Panel:
        made = query(queries.time_left(metric, ONE), queries.SHORT_LEGEND, instant=True)
        panel = number(title, description, [made], "dtdurations", width=3).decimals(1).no_value("none")
        return panel.thresholds(steps(palette.LATE, (0, palette.FINE)))

    return [
        ago("Last started", "Start of the newest run.", "last_initiated_timestamp_seconds"),
        ago("Last completed", "End of the newest completed run.", "last_completed_timestamp_seconds"),
        ago("Last failed", "End of the newest run that was announced as failed.", "last_failed_timestamp_seconds"),
        ago("Last heard of", "Arrival of the newest event.", "last_received_timestamp_seconds"),
        ago("Running since", "Start of the oldest run in progress.", "running_since_timestamp_seconds", "not running"),
        left(
            "Start due in",
            "Until the start deadline; ago when past it. None without a schedule.",
            "start_deadline_timestamp_seconds",
        ),
        left(
            "Due in",
            "Until the deadline: last completion, interval and grace. Ago when past it; none without a schedule.",
            "deadline_timestamp_seconds",
        ),
        left(
            "Run due in",
            "Until the oldest run in progress is past its maximum runtime; ago when it is. None while nothing runs.",
            "run_deadline_timestamp_seconds",
        ),
    ]


def _state() -> statetimeline.Panel:
    panel = timeline(
        "State",
        "The most urgent thing that was true of the export. Where nothing is drawn, the exporter was not scraped.",
        [query(queries.condition(ONE), queries.SHORT_LEGEND)],
        height=4,
    )
    return panel.mappings(palette.condition_words())


def _terms() -> table.Panel:
    labels = f"{queries.BY}, timezone, declared, severity, owner, runbook_url"
    panel = grid(
        "What it promises",
        "Its schedule, its owner and its runbooks: of the alert that its state fires, and your own.",
        [
            rows(queries.condition(ONE, alert=True), "A"),
            rows(newest("interval_seconds", ONE), "B"),
            rows(newest("grace_seconds", ONE), "C"),
            rows(newest("max_runtime_seconds", ONE), "D"),
            rows(newest("muted", ONE), "E"),
            rows(f"topk by ({queries.BY}) (1, {newest('export_info', ONE, labels)})", "F"),
        ],
        {
            "Value #A": "State",
            "partner": "Partner",
            "data_type": "Type",
            "frequency": "Frequency",
            "Value #B": "Interval",
            "Value #C": "Grace",
            "Value #D": "Max runtime",
            "Value #E": "Muted",
            "timezone": "Time zone",
            "declared": "Declared",
            "severity": "Severity",
            "owner": "Owner",
            "alert": "Alert",
            "runbook_url": "Own runbook",
        },
        hidden=["source", "export", "Value #F"],
        widths={
            "State": 130,
            "Partner": 170,
            "Type": 90,
            "Frequency": 90,
            "Interval": 95,
            "Grace": 95,
            "Max runtime": 110,
            "Muted": 75,
            "Time zone": 130,
            "Declared": 90,
            "Severity": 90,
            "Owner": 120,
            "Alert": 170,
            "Own runbook": 100,
        },
        height=4,
    )
    states(panel)
    for column in ("Interval", "Grace", "Max runtime"):
        panel.override_by_name(
            column,
            properties(("unit", "s"), mapped(palette.zero_is("none"))),
        )
    panel.override_by_name(
        "Muted", properties(mapped(palette.words({"0": ("no", None), "1": ("muted", palette.NEUTRAL)})))
    )
    return runbooks(panel)


def _runs() -> timeseries.Panel:
    colours = {"completed": palette.FINE, "failed": palette.FAILED, "abandoned": palette.STUCK}
    ends = [
        query(f"sum({grown(f'{word}_total', ONE)})", word, ref)
        for word, ref in zip(colours, ("A", "B", "C"), strict=True)
    ]
    panel = bars(
        "Runs",
        "How runs ended, as bars, and how many started, as a line: by 12 hours or a longer step, shown when it is "
        "over. Abandoned: still open when the export started again.",
        [*ends, query(f"sum({grown('initiated_total', ONE)})", "started", "D")],
        "none",
        interval="12h",
        colours=colours,
    )
    return panel.override_by_name(
        "started",
        properties(
            fixed(palette.BUSY),
            ("custom.drawStyle", "line"),
            ("custom.fillOpacity", 0),
            ("custom.lineWidth", 2),
            ("custom.stacking", {"group": "A", "mode": "none"}),
        ),
    )


def _open_runs() -> timeseries.Panel:
    panel = chart(
        "Runs in progress",
        "Runs that were initiated and not yet completed; more than one where request ids of one name run side by side.",
        [query(newest("runs_in_progress", ONE), queries.SHORT_LEGEND)],
        "none",
    )
    return panel.decimals(0).min(0).line_interpolation(common_models.LineInterpolation.STEP_AFTER).fill_opacity(20)


def _durations() -> timeseries.Panel:
    last = f"({newest('last_run_duration_seconds', ONE)} > 0)"
    panel = chart(
        "Duration against its usual range",
        "Duration of the newest run, and the median of the runs of 14 days. The band is the range of four fifths of "
        "the 7 days before; the dashed line is the maximum runtime.",
        [
            query(f"max({last})", "newest run", "A"),
            query(f"max(quantile_over_time(0.1, {last}[{USUAL}:1h]))", "usual, from", "B"),
            query(f"max(quantile_over_time(0.9, {last}[{USUAL}:1h]))", "usual, to", "C"),
            query(f"max({newest('max_runtime_seconds', ONE)} > 0)", "max runtime", "D"),
            query(f"max({newest('usual_run_duration_seconds', ONE)} > 0)", "usual", "E"),
        ],
        "s",
        width=16,
    )
    panel.min(0).line_interpolation(common_models.LineInterpolation.STEP_AFTER)
    panel.override_by_name("newest run", properties(fixed(palette.FINE)))
    panel.override_by_name("usual", properties(fixed(palette.NEUTRAL)))
    panel.override_by_name("usual, from", properties(fixed(palette.NEUTRAL), ("custom.lineWidth", 0)))
    panel.override_by_name(
        "usual, to",
        properties(
            fixed(palette.NEUTRAL),
            ("custom.lineWidth", 0),
            ("custom.fillBelowTo", "usual, from"),
            ("custom.fillOpacity", 25),
        ),
    )
    panel.override_by_name(
        "max runtime",
        properties(fixed(palette.STUCK), dashed()),
    )
    return panel


def _distribution() -> bargauge.Panel:
    bucket = 'sum by (le) (dataexport_run_duration_seconds_bucket{source="$source", export="$export"})'
    panel = (
        share_bars(
            "Runs by duration",
            "How many completed runs of this name took how long, of all that the ledger holds.",
            buckets(bucket),
            height=8,
            width=8,
        )
        .unit("none")
        .decimals(0)
        .thresholds(steps(palette.FINE))
    )
    for bound in DURATION_BOUNDS:
        # Whether it is written 60 or 60.0 depends on the version of Prometheus.
        panel.override_by_regexp(rf"/^{bound:.0f}(\.0)?$/", properties(("displayName", f"≤ {format_duration(bound)}")))
    return panel.override_by_regexp(r"/^\+Inf$/", properties(("displayName", "longer")))


def _slots() -> timeseries.Panel:
    total, late, missed, unknown = (grown(f"slots{kind}", ONE) for kind in ("", "_late", "_missed", "_unknown"))
    return bars(
        "Slots",
        "What became of each expected completion, by 12 hours or a longer step. Unknown: an outage of the exporter "
        "may have hidden it. A slot counts when the next run completes, or when it is missed.",
        [
            query(f"sum(clamp_min({total} - {late} - {missed} - {unknown}, 0))", "on time", "A"),
            query(f"sum({late})", "late", "B"),
            query(f"sum({missed})", "missed", "C"),
            query(f"sum({unknown})", "unknown", "D"),
        ],
        "none",
        interval="12h",
        colours={
            "on time": palette.FINE,
            "late": palette.LATE,
            "missed": palette.LOST,
            "unknown": palette.NEUTRAL,
        },
    )


def _freshness() -> list[stat.Panel]:
    bad = f"({grown_in_range('slots_late', ONE)} + {grown_in_range('slots_missed', ONE)})"
    known = f"({grown_in_range('slots', ONE)} - {grown_in_range('slots_unknown', ONE)} > 0)"
    left = f"1 - {bad} / {known} / clamp_min(1 - {OBJECTIVE}, 0.0001)"
    return [
        number(
            "Fresh",
            "Share of slots in the shown time that were neither late nor missed; unknown ones count for neither side.",
            [query(f"1 - {bad} / {known}", queries.SHORT_LEGEND, instant=True)],
            "percentunit",
            width=8,
        ).decimals(2),
        number(
            "Objective",
            "The share of slots that should be neither late nor missed.",
            [query(OBJECTIVE, queries.SHORT_LEGEND, instant=True)],
            "percentunit",
            width=8,
        ).decimals(2),
        number(
            "Budget left",
            "Of the late and missed slots that the objective allows in the shown time. Below 0: more than allowed.",
            [query(left, queries.SHORT_LEGEND, instant=True)],
            "percentunit",
            width=8,
        )
        .decimals(0)
        .thresholds(steps(palette.LATE, (0, palette.NOTE), (0.25, palette.FINE))),
    ]


def _budget() -> timeseries.Panel:
    bad = f"({grown('slots_late', ONE, over=USUAL)} + {grown('slots_missed', ONE, over=USUAL)})"
    known = f"({grown('slots', ONE, over=USUAL)} - {grown('slots_unknown', ONE, over=USUAL)} > 0)"
    panel = chart(
        "Budget used, by the week before",
        "Late and missed slots of the 7 days before each instant, as a share of what the objective allows for them. "
        "Over the dashed line, the objective is not met.",
        [query(f"{bad} / {known} / clamp_min(1 - {OBJECTIVE}, 0.0001)", queries.SHORT_LEGEND)],
        "percentunit",
    )
    return limit_line(panel.min(0).decimals(0), (1, palette.LATE))


def _delay() -> timeseries.Panel:
    panel = chart(
        "Event delay of the source",
        "Arrival minus occurrence of the newest event. About 0 is usual; whole quarters of an hour point to a wrong "
        "time zone, and other long ones to late deliveries.",
        [query(f"max by (source) (dataexport_event_delay_seconds{{{OF_SOURCE}}})", "{{source}}")],
        "s",
        width=24,
        height=6,
    )
    return panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER)
