"""Exports overview: what to open when paged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataexport_dashboards import palette, queries
from dataexport_dashboards.board import assemble, several
from dataexport_dashboards.links import (
    HEALTH_UID,
    OVERVIEW_UID,
    SAME_TIME,
    board_url,
    detail_url,
    link,
    link_value,
)
from dataexport_dashboards.panels import (
    chart,
    limit_line,
    mapped,
    number,
    properties,
    query,
    share_bars,
    short_names,
    steps,
    timeline,
)
from dataexport_dashboards.queries import CHOSEN as WHERE
from dataexport_dashboards.tables import (
    FILLED,
    ago,
    grid,
    left,
    rows,
    runbooks,
    sort,
    state_in_a_sentence,
    states,
    status_page,
)

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
NO_EXPORTS = "No exports: none is declared and no event arrived, or Prometheus does not scrape the exporter."
STATES_AT_MOST = 400
"""Points in time: with more, the query over many exports takes seconds."""
SHOWN_STATES, SHOWN_BARS, SHOWN_LINES = 20, 8, 5
SHARES_HEIGHT = 9


def build() -> models.Dashboard:
    """The dashboard."""
    return assemble(
        OVERVIEW_UID,
        "Which CleverTap exports are overdue, stuck or never completed, the most urgent first.",
        [
            several("source", "Source", "", "A CleverTap project."),
            several(
                "export",
                "Export",
                queries.OF_SOURCE,
                "A declared or detected export; any is a group of undeclared ones.",
            ),
        ],
        [("", [_what_to_do(), *_counts(), _table(), _history(), _shares(), _shares_over_time()])],
    )


def _what_to_do() -> table.Panel:
    urgent = [each.word.replace("no schedule", "without a schedule") for each in palette.URGENT]
    worst = f"and on ({queries.BY}) ({queries.most_urgent(WHERE)})"
    panel = grid(
        "What to do",
        "The export that needs someone first: what is wrong with it, whose it is, the runbooks of its alert and your "
        "own, and its row on the exporter's status page.",
        [
            rows(f"(({queries.condition(WHERE, alert=True)}) {worst}) or {queries.no_export(WHERE)}", "A"),
            rows(f"({queries.time_left('deadline_timestamp_seconds', WHERE)}) {worst}", "B"),
            rows(f"{_info()} {worst}", "C"),
            rows(queries.if_page_is_known(f"{queries.newest('muted', WHERE)} {worst}"), "D"),
        ],
        # The first four are what a telephone shows.
        {
            "sentence": "State",
            "export": "Export",
            "alert": "Runbook",
            "owner": "Owner",
            "runbook_url": "Own runbook",
            "Value #B": "Due in",
            "page": "Status page",
            "severity": "Severity",
            **{label: heading for label, heading in EXPORT_FIELDS.items() if label != "export"},
        },
        nothing=f"Nothing to do: no export is {', '.join(urgent[:-1])} or {urgent[-1]}.",
        hidden=["Value #A", "Value #C", "Value #D"],
        height=5,
        widths={"State": 0},
    )
    panel.override_by_name("State", properties(("custom.minWidth", 115)))
    panel.override_by_name("Export", properties(("custom.minWidth", 100)))
    panel.override_by_name("Owner", properties(("custom.minWidth", 70)))
    state_in_a_sentence(panel)
    left(panel, "Due in")
    status_page(panel, "__data.fields.Source", "__data.fields.Export")
    return runbooks(panel, "Runbook", "Own runbook")


def _counts() -> list[stat.Panel]:
    unmuted = f"unless {queries.is_muted(WHERE)}"

    def count(title: str, description: str, exports: str, colour: str) -> stat.Panel:
        made = query(queries.how_many(exports, WHERE), instant=True)
        panel = number(title, description, [made], "none", nothing="no exports")
        return panel.thresholds(steps(palette.PLAIN, (1, colour)))

    overdue, completed = queries.is_overdue(WHERE), queries.has_completed(WHERE)
    codes = f"{palette.IS_FINE.code} <= ({queries.condition(WHERE)}) <= {palette.RUNNING.code}"
    newest_body = queries.milliseconds('max(dataexport_webhook_last_accepted_timestamp_seconds{source=~"$source"})')
    return [
        count(
            "Overdue",
            "Past the deadline: last completion, interval and grace period. Muted exports are left out here and in "
            "the counts that follow. An export can be overdue and stuck at once.",
            f"{overdue} and {completed} {unmuted}",
            palette.LATE,
        ),
        count(
            "Never completed",
            "Past the first deadline without a single completion.",
            f"{overdue} unless {completed} {unmuted}",
            palette.LOST,
        ),
        count("Stuck", "A run is over its max runtime.", f"{queries.is_stuck(WHERE)} {unmuted}", palette.STUCK),
        count(
            "Failed",
            "A run was reported as failed, and none has completed since.",
            f"{queries.has_failed(WHERE)} {unmuted}",
            palette.FAILED,
        ),
        count(
            "Not started",
            "Past the start deadline, and not overdue yet.",
            f"{queries.is_not_started(WHERE)} unless {overdue} {unmuted}",
            palette.NOTE,
        ),
        count("Fine", "Exports with nothing wrong, running ones included.", codes, palette.PLAIN),
        count(
            "Muted", "Their alerts are suppressed; they are still monitored.", queries.is_muted(WHERE), palette.PLAIN
        ),
        number(
            "Newest event",
            "When any of the chosen sources last sent something that was accepted. If this is long ago and much is "
            "overdue, no delivery reaches the webhook.",
            [query(newest_body, instant=True)],
            "dateTimeFromNow",
            nothing="no source",
            words=palette.zero_is("never"),
        ).data_links(
            [link("Exporter health", board_url(HEALTH_UID, SAME_TIME, "${source:queryparam}"))],
        ),
    ]


def _info() -> str:
    info = f"max by ({queries.BY}, severity, owner, runbook_url) (dataexport_export_info{{{WHERE}}})"
    return f"topk by ({queries.BY}) (1, {info})"


def _table() -> table.Panel:
    panel = grid(
        "Exports, the most urgent first",
        "What each export is, when it last completed and when it is due; whether its files landed, if the exporter "
        "looks for them. A click on its name leads to its detail; "
        "Alert leads to the runbook of the alert that its state fires, Own runbook to the one that you configured.",
        [
            rows(queries.condition(WHERE, alert=True), "A"),
            rows(queries.milliseconds(queries.newest("last_completed_timestamp_seconds", WHERE)), "B"),
            rows(queries.time_left("deadline_timestamp_seconds", WHERE), "C"),
            rows(queries.newest("last_run_duration_seconds", WHERE), "D"),
            rows(_info(), "E"),
            rows(queries.landed(WHERE), "F"),
        ],
        {
            "Value #A": "State",
            "export": "Export",
            "Value #C": "Due in",
            "alert": "Alert",
            "runbook_url": "Own runbook",
            "owner": "Owner",
            "Value #B": "Last completed",
            "landed": "Landed",
            "source": "Source",
            "partner": "Partner",
            "data_type": "Type",
            "frequency": "Frequency",
            "Value #D": "Last duration",
        },
        nothing=NO_EXPORTS,
        hidden=["sentence", "severity", "Value #E", "Value #F"],
        height=11,
    )
    panel.sort_by([sort("State", descending=True), sort("Due in", descending=False)])
    states(panel)
    panel.override_by_name("Export", properties(("custom.minWidth", 100)))
    panel.override_by_name(
        "Export", properties(("links", [link_value("Detail of ${__value.text}", detail_url(EXPORT_FIELDS))]))
    )
    ago(panel, "Last completed")
    missing = palette.words({"missing": ("missing", palette.LOST)})
    panel.override_by_name("Landed", properties(mapped(missing), FILLED))
    left(panel, "Due in")
    panel.override_by_name("Last duration", properties(("unit", "s"), mapped(palette.zero_is("none yet"))))
    return runbooks(panel, "Alert", "Own runbook")


def _history() -> statetimeline.Panel:
    state = queries.condition(WHERE)
    panel = timeline(
        "State of each export",
        f"The same words as above, over the shown time. Of more than {SHOWN_STATES} exports, those that were in an "
        "urgent state for the longest. A blank stretch: the exporter was not scraped.",
        [query(f"({state}) and on ({queries.BY}) {queries.most_urgent_in_range(WHERE, SHOWN_STATES)}", queries.LEGEND)],
        palette.condition_words(),
        nothing="No export in this range.",
        height=12,
    )
    return short_names(panel.max_data_points(STATES_AT_MOST))


def _shares() -> bargauge.Panel:
    expression = f"topk({SHOWN_BARS}, {queries.share_of_deadline(WHERE)})"
    panel = (
        share_bars(
            "Age against deadline",
            "Time since the last completion, as a share of the time after which the export is overdue; 100 % is the "
            f"deadline. The {SHOWN_BARS} nearest to it, or furthest past it.",
            query(expression, queries.LEGEND, instant=True),
            nothing="No export with a deadline",
            height=SHARES_HEIGHT,
            width=12,
        )
        .unit("percentunit")
        .decimals(0)
        .max(1.5)
        .thresholds(steps(palette.FINE, (1, palette.LATE)))
    )
    return short_names(panel)


def _shares_over_time() -> timeseries.Panel:
    share = queries.share_of_deadline(WHERE)
    # The highest of each step, or a month would be a solid area of saw teeth.
    highest = f"max_over_time(({share})[$__interval:15m]) or ({share})"
    panel = chart(
        "Age against deadline over time",
        f"The same over the shown time, for the {SHOWN_LINES} exports that were the nearest to it, or furthest past "
        "it. A healthy export stays under the dashed line.",
        [query(f"({highest}) and on ({queries.BY}) {queries.highest_in_range(share, SHOWN_LINES)}", queries.LEGEND)],
        "percentunit",
        top=1.2,
        nothing="No export with a deadline in this range.",
        height=SHARES_HEIGHT,
    )
    return short_names(limit_line(panel.min(0).decimals(0).max_data_points(120), (1, palette.LATE)))
