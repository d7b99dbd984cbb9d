"""Exports overview: what to open when paged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.models.common import BarGaugeNamePlacement

from dataexport_dashboards import palette, queries
from dataexport_dashboards.panels import (
    HEALTH_UID,
    KEPT,
    OVERVIEW_UID,
    assemble,
    chart,
    detail_url,
    limit_line,
    link,
    link_value,
    mapped,
    number,
    properties,
    query,
    share_bars,
    steps,
    timeline,
    variable,
)
from dataexport_dashboards.queries import CHOSEN as WHERE
from dataexport_dashboards.tables import ago, grid, rows, runbooks, sort, states

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
    from grafana_foundation_sdk.models import dashboard as models

EXPORT_FIELDS = {
    "source": "Source",
    "export": "Export",
    "partner": "Partner",
    "data_type": "Type",
    "frequency": "Frequency",
}


def build() -> models.Dashboard:
    """The dashboard."""
    return assemble(
        OVERVIEW_UID,
        "Exports overview",
        "Which CleverTap exports are overdue, stuck or never completed, the most urgent first.",
        [
            variable("source", "Source", "", "A CleverTap project.", every=True, several=True),
            variable(
                "export",
                "Export",
                queries.OF_SOURCE,
                "A declared or detected export; any is what has no name of its own.",
                every=True,
                several=True,
            ),
        ],
        [
            ("", _counts()),
            ("", [_table()]),
            ("", [_history()]),
            ("", [_shares(), _shares_over_time()]),
        ],
        begin="now-24h",
    )


def _counts() -> list[stat.Panel]:
    unmuted = f"unless {queries.is_muted(WHERE)}"

    def count(title: str, description: str, exports: str, colour: str) -> stat.Panel:
        panel = number(title, description, [query(queries.how_many(exports, WHERE), instant=True)], "none", width=3)
        return panel.thresholds(steps(palette.NEUTRAL, (1, colour)))

    overdue, completed = queries.is_overdue(WHERE), queries.has_completed(WHERE)
    codes = f"{palette.IS_FINE.code} <= ({queries.condition(WHERE)}) <= {palette.RUNNING.code}"
    newest_body = queries.milliseconds('max(dataexport_webhook_last_accepted_timestamp_seconds{source=~"$source"})')
    return [
        count("Fine", "Exports with nothing wrong, running ones included.", codes, palette.FINE),
        count(
            "Overdue",
            "Past the deadline: last completion, interval and grace. Muted exports are left out here and in the "
            "counts that follow. An export can be overdue and stuck at once.",
            f"{overdue} and {completed} {unmuted}",
            palette.LATE,
        ),
        count(
            "Never completed",
            "Past the first deadline without a single completion.",
            f"{overdue} unless {completed} {unmuted}",
            palette.LOST,
        ),
        count("Stuck", "A run is past its maximum runtime.", f"{queries.is_stuck(WHERE)} {unmuted}", palette.STUCK),
        count(
            "Failed",
            "A failure was announced, and nothing completed since.",
            f"{queries.has_failed(WHERE)} {unmuted}",
            palette.FAILED,
        ),
        count(
            "Not started",
            "Past the start deadline, and not overdue yet.",
            f"{queries.is_not_started(WHERE)} unless {overdue} {unmuted}",
            palette.NOTE,
        ),
        count(
            "Muted", "Alerts hold their tongue; everything is still counted.", queries.is_muted(WHERE), palette.NEUTRAL
        ),
        number(
            "Newest event",
            "When any of the chosen sources last sent something that was accepted. If it is old and much is overdue, "
            "the webhook does not arrive.",
            [query(newest_body, instant=True)],
            "dateTimeFromNow",
            width=3,
        )
        .mappings(palette.zero_is("never"))
        .data_links([link("Exporter health", f"/d/{HEALTH_UID}?${{source:queryparam}}&{KEPT}")]),
    ]


def _table() -> table.Panel:
    info = f"max by ({queries.BY}, severity, owner, runbook_url) (dataexport_export_info{{{WHERE}}})"
    panel = grid(
        "Exports, the most urgent first",
        "What each export is, when it last completed and when it is due. A click on its name leads to its detail; "
        "Alert leads to the runbook of the alert that its state fires, Own runbook to the one that you configured.",
        [
            rows(queries.condition(WHERE, alert=True), "A"),
            rows(queries.milliseconds(queries.newest("last_completed_timestamp_seconds", WHERE)), "B"),
            rows(queries.time_left("deadline_timestamp_seconds", WHERE), "C"),
            rows(queries.newest("last_run_duration_seconds", WHERE), "D"),
            rows(f"topk by ({queries.BY}) (1, {info})", "E"),
        ],
        {
            "Value #A": "State",
            "export": "Export",
            "source": "Source",
            "partner": "Partner",
            "data_type": "Type",
            "frequency": "Frequency",
            "Value #B": "Last completed",
            "Value #C": "Due in",
            "severity": "Severity",
            "alert": "Alert",
            "runbook_url": "Own runbook",
            "owner": "Owner",
            "Value #D": "Last duration",
        },
        hidden=["Value #E"],
        widths={
            "State": 130,
            "Export": 130,
            "Source": 80,
            "Partner": 160,
            "Type": 75,
            "Frequency": 90,
            "Last completed": 120,
            "Due in": 175,
            "Severity": 80,
            "Alert": 165,
            "Own runbook": 100,
            "Owner": 105,
            "Last duration": 105,
        },
        height=11,
    )
    panel.sort_by([sort("State", descending=True), sort("Due in", descending=False)])
    states(panel)
    panel.override_by_name(
        "Export", properties(("links", [link_value("Detail of ${__value.text}", detail_url(EXPORT_FIELDS))]))
    )
    ago(panel, "Last completed")
    panel.override_by_name(
        "Due in",
        properties(("unit", "dtdurations"), ("decimals", 1), ("noValue", "no schedule"), ("custom.align", "left")),
    )
    panel.override_by_name(
        "Last duration",
        properties(("unit", "s"), mapped(palette.zero_is("none yet"))),
    )
    return runbooks(panel)


def _history() -> statetimeline.Panel:
    panel = timeline(
        "State of each export",
        "The same words as above, over the shown time. Where nothing is drawn, the exporter was not scraped.",
        [query(queries.condition(WHERE), queries.LEGEND)],
        height=11,
    )
    return panel.mappings(palette.condition_words())


def _shares() -> bargauge.Panel:
    expression = f"topk(30, {queries.share_of_deadline(WHERE)})"
    return (
        share_bars(
            "Age against deadline",
            "Time since the last completion, as a share of the time after which the export is overdue; 100 % is the "
            "deadline. The 30 nearest to it, or furthest past it.",
            query(expression, queries.LEGEND, instant=True),
            height=13,
            width=12,
        )
        .unit("percentunit")
        .decimals(0)
        .max(1.5)
        .thresholds(steps(palette.FINE, (1, palette.LATE)))
        .name_placement(BarGaugeNamePlacement.TOP)
        .text(common.VizTextDisplayOptions().title_size(12).value_size(14))
    )


def _shares_over_time() -> timeseries.Panel:
    panel = chart(
        "Age against deadline over time",
        "The same over the shown time. A healthy export is a saw whose teeth stay under the dashed line.",
        [query(queries.share_of_deadline(WHERE), queries.LEGEND)],
        "percentunit",
        height=13,
    )
    return limit_line(panel.min(0), (1, palette.LATE))
