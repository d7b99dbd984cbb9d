"""Export detail: the runs, durations, slots and budget of one export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common as common_models

from dataexport_dashboards import palette, queries
from dataexport_dashboards.board import assemble, hidden_seconds, one
from dataexport_dashboards.export_landing import landing
from dataexport_dashboards.export_slots import BARS_AT_MOST, slots
from dataexport_dashboards.links import EXPORT_UID
from dataexport_dashboards.panels import (
    MINUTES,
    STEPS_AT_MOST,
    bars,
    buckets,
    chart,
    coloured,
    dashed,
    fixed,
    judged,
    mapped,
    number,
    properties,
    query,
    share_bars,
    steps,
    timeline,
)
from dataexport_dashboards.queries import ONE, grown, minutes, newest
from dataexport_dashboards.tables import grid, rows, runbooks, states, status_page
from exporter.domain.humanize import format_duration
from exporter.projection.fold.runs import DURATION_BOUNDS

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
    from grafana_foundation_sdk.models import dashboard as models

USUAL = "7d"
DAY_SECONDS = 86400
BARS_AT_LEAST = 6
STEP = "${step}s"
LANDING = "Files in the bucket"
"""The row that only exports with a landing need."""
NOT_KNOWN = "No such export in this range."


def build() -> models.Dashboard:
    """The dashboard."""
    name = 'source="$source", export="$export"'
    interval = f"(max(dataexport_interval_seconds{{{ONE}}} > 0) or vector({DAY_SECONDS}))"
    several_intervals = f"{interval} * ceil($__range_s / {interval} / {BARS_AT_MOST})"
    return assemble(
        EXPORT_UID,
        "The runs, durations, slots and error budget of one CleverTap export.",
        [
            one("source", "Source", 'source=~".+"', "A CleverTap project; at first that of the most urgent export."),
            one(
                "export",
                "Export",
                'source="$source"',
                "A declared or detected export, the most urgent first; any is a group of undeclared ones.",
            ),
            one("partner", "Partner", name, "Several groups share the name any: choose one by its partner."),
            one("data_type", "Type", f'{name}, partner="$partner"', "Of the groups with this partner."),
            one(
                "frequency",
                "Frequency",
                f'{name}, partner="$partner", data_type="$data_type"',
                "Of the groups with this partner and type.",
            ),
            # A bar for each run that is expected: in a short time not fewer than a handful, in a long time so many
            # that they stay apart on a telephone.
            hidden_seconds("step", f"clamp_max({several_intervals}, $__range_s / {BARS_AT_LEAST})"),
        ],
        [
            ("", [*_instants(), _state(), _schedule(), _owner()]),
            ("Runs", [_runs(), _open_runs(), _durations(), _distribution()]),
            ("Slots and error budget", slots()),
            (LANDING, landing()),
        ],
        collapsed=[LANDING],
    )


def _instants() -> list[stat.Panel]:
    def ago(  # noqa: PLR0913 - what differs between panels
        title: str, description: str, metric: str, bad: str, colour: str, *, word: str = "never"
    ) -> stat.Panel:
        return judged(
            title,
            description,
            queries.milliseconds(newest(metric, ONE)),
            bad,
            "dateTimeFromNow",
            colour=colour,
            nothing="no such export",
            words=palette.zero_is(word),
        )

    def until(title: str, description: str, metric: str, nothing: str) -> stat.Panel:
        made = query(queries.time_left(metric, ONE), instant=True)
        panel = number(title, description, [made], "dtdurations", nothing=nothing).decimals(0)
        return panel.thresholds(steps(palette.LATE, (0, palette.PLAIN)))

    return [
        ago(
            "Last started",
            "Start of the newest run; yellow if the next one has not started in time.",
            "last_initiated_timestamp_seconds",
            queries.is_not_started(ONE),
            palette.NOTE,
        ),
        ago(
            "Last completed",
            "End of the newest completed run; orange-red past the deadline.",
            "last_completed_timestamp_seconds",
            queries.is_overdue(ONE),
            palette.LATE,
        ),
        ago(
            "Last failed",
            "When a run was last reported as failed; purple if none has completed since.",
            "last_failed_timestamp_seconds",
            queries.has_failed(ONE),
            palette.FAILED,
        ),
        ago(
            "Running since",
            "Start of the oldest run in progress; orange if it is over the max runtime.",
            "running_since_timestamp_seconds",
            queries.is_stuck(ONE),
            palette.STUCK,
            word="not running",
        ),
        until(
            "Start due in",
            "Until the start deadline; ago when past it. None without a schedule.",
            "start_deadline_timestamp_seconds",
            "none",
        ),
        until(
            "Due in",
            "Until the deadline: last completion, interval and grace period. Ago when past it; none without a "
            "schedule.",
            "deadline_timestamp_seconds",
            "none",
        ),
        until(
            "Run due in",
            "Until the oldest run in progress is over its max runtime; ago when it is. None while nothing runs.",
            "run_deadline_timestamp_seconds",
            "none",
        ),
        number(
            "Newest event",
            "When the newest event of this export arrived.",
            [query(queries.milliseconds(newest("last_received_timestamp_seconds", ONE)), instant=True)],
            "dateTimeFromNow",
            nothing="no such export",
            words=palette.zero_is("never"),
        ),
    ]


def _state() -> statetimeline.Panel:
    return timeline(
        "State",
        "The state of the export: in a long time range, the most urgent of each step, if someone was needed. A blank "
        "stretch: the exporter was not scraped.",
        [query(queries.most_urgent_of_step(ONE), "state")],
        palette.condition_words(),
        nothing=NOT_KNOWN,
        height=4,
    )


def _info(*labels: str) -> str:
    return f"topk by ({queries.BY}) (1, {newest('export_info', ONE, ', '.join((*queries.IDENTITY, *labels)))})"


def _owner() -> table.Panel:
    panel = grid(
        "Owner and runbooks",
        "Whose it is; the runbook of the alert that its state fires, and the one that you configured; the export on "
        "the exporter's status page.",
        [
            rows(queries.condition(ONE, alert=True), "A"),
            rows(_info("declared", "severity", "owner", "runbook_url"), "B"),
            rows(queries.if_page_is_known(newest("muted", ONE)), "C"),
        ],
        {
            "owner": "Owner",
            "alert": "Runbook",
            "runbook_url": "Own runbook",
            "page": "Status page",
            "severity": "Severity",
            "declared": "Declared",
        },
        nothing=NOT_KNOWN,
        hidden=[*queries.IDENTITY, "sentence", "Value #A", "Value #B", "Value #C"],
        height=4,
        width=12,
    )
    status_page(panel, "source", "export")
    return runbooks(panel, "Runbook", "Own runbook")


def _schedule() -> table.Panel:
    panel = grid(
        "Schedule",
        "Its state now, when it is expected, how long it may take, and in which time zone its times are.",
        [
            rows(queries.condition(ONE), "A"),
            rows(newest("interval_seconds", ONE), "B"),
            rows(newest("grace_seconds", ONE), "C"),
            rows(newest("max_runtime_seconds", ONE), "D"),
            rows(newest("muted", ONE), "E"),
            rows(_info("timezone"), "F"),
        ],
        {
            "Value #A": "State",
            "Value #B": "Interval",
            "Value #C": "Grace period",
            "Value #D": "Max runtime",
            "Value #E": "Muted",
            "timezone": "Time zone",
        },
        nothing=NOT_KNOWN,
        hidden=[*queries.IDENTITY, "Value #F"],
        height=4,
        width=12,
    )
    states(panel)
    for column in ("Interval", "Grace period", "Max runtime"):
        panel.override_by_name(
            column, properties(("unit", "s"), mapped(palette.zero_is("none")), ("custom.align", "left"))
        )
    panel.override_by_name(
        "Muted",
        properties(
            mapped(palette.words({"0": ("no", None), "1": ("muted", palette.NEUTRAL)})), ("custom.align", "left")
        ),
    )
    return panel


def _runs() -> timeseries.Panel:
    colours = {"completed": palette.FINE, "failed": palette.FAILED, "superseded": palette.STUCK}
    counters = ("completed_total", "failed_total", "abandoned_total")
    ends = [
        query(f"{grown(counter, ONE)} > 0", word, ref).interval(STEP)
        for counter, word, ref in zip(counters, colours, ("A", "B", "C"), strict=True)
    ]
    panel = bars(
        "Runs",
        "How runs ended, as bars, and how many started, as points: in each interval of the export, a part of it in a "
        "short time, or several in a long one. Superseded: still open when the next one started.",
        [*ends, query(f"{grown('initiated_total', ONE)} > 0", "started", "D").interval(STEP)],
        "none",
        nothing="No run started or ended in this range.",
        colours=colours,
    )
    return panel.max_data_points(BARS_AT_MOST).override_by_name(
        "started",
        properties(
            fixed(palette.BUSY),
            ("custom.drawStyle", "points"),
            ("custom.pointSize", 6),
            ("custom.fillOpacity", 0),
            ("custom.stacking", {"group": "A", "mode": "none"}),
        ),
    )


def _open_runs() -> timeseries.Panel:
    panel = chart(
        "Runs in progress",
        "Runs that were initiated and not yet completed; more than one where request ids of one name run side by "
        "side. In a long time range, the most of each step.",
        [query(queries.highest("runs_in_progress", ONE), "runs in progress")],
        "none",
        top=2,
        nothing=NOT_KNOWN,
    )
    panel.decimals(0).min(0).line_interpolation(common_models.LineInterpolation.STEP_AFTER).fill_opacity(20)
    return coloured(panel.max_data_points(STEPS_AT_MOST), {"runs in progress": palette.BUSY})


def _durations() -> timeseries.Panel:
    last = f"({newest('last_run_duration_seconds', ONE)} > 0)"
    longest = f"{queries.highest('last_run_duration_seconds', ONE)} > 0"
    panel = chart(
        "Duration against its usual range",
        "Duration of the newest run, in a long time range the longest of each step; and the median of the runs of 14 "
        "days. The band is the range of four fifths of the 7 days before; the dashed line is the max runtime.",
        [
            query(minutes(longest), "newest run", "A"),
            query(minutes(f"quantile_over_time(0.1, {last}[{USUAL}:1h])"), "usual, from", "B"),
            query(minutes(f"quantile_over_time(0.9, {last}[{USUAL}:1h])"), "usual, to", "C"),
            query(minutes(f"{newest('max_runtime_seconds', ONE)} > 0"), "max runtime", "D"),
            query(minutes(f"{newest('usual_run_duration_seconds', ONE)} > 0"), "usual", "E"),
        ],
        MINUTES,
        top=10,
        nothing="No run with a known start has completed in this range.",
        width=16,
        height=10,
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
    return panel.override_by_name("max runtime", properties(fixed(palette.STUCK), dashed()))


def _distribution() -> bargauge.Panel:
    name = 'source="$source", export="$export"'
    groups = f"count(count by ({queries.BY}) (dataexport_export_info{{{name}}}))"
    # Without the labels of the other variables, a histogram of several groups cannot be divided.
    bucket = f"max by (le) (dataexport_run_duration_seconds_bucket{{{name}}}) and on () {groups} == 1"
    panel = (
        share_bars(
            "Runs by duration",
            "How many completed runs took how long, of all that the store has. Only for an export that shares its "
            "name with no other: the metric is not divided by partner, type and frequency.",
            buckets(bucket),
            nothing="No run, or a shared name",
            height=10,
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
