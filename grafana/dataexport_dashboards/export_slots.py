"""Of export detail: what became of each expected completion, and the error budget that the objective leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common as common_models

from dataexport_dashboards import palette
from dataexport_dashboards.panels import bars, chart, coloured, judged, limit_line, number, query, steps
from dataexport_dashboards.queries import OF_SOURCE, ONE, grown, grown_in_range, newest

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, timeseries

    from dataexport_dashboards.panels import Panel

OBJECTIVE = newest("freshness_objective_ratio", ONE)
WEEK = "7d"
STEP = "${step}s"
SLOTS_AT_MOST = 200
"""So many bars fit beside each other: those of an export of 4 hours in a month."""
NO_SLOTS = "no slots"
NO_SLOTS_AT_ALL = "No slots in this range: a one-time export has none, and a new one has none yet."


def slots() -> list[Panel]:
    """The panels of the row."""
    return [*_shares(), *_counts(), _slots(), _budget(), _delay()]


def _shares() -> list[stat.Panel]:
    bad = f"({grown_in_range('slots_late', ONE)} + {grown_in_range('slots_missed', ONE)})"
    known = f"({grown_in_range('slots', ONE)} - {grown_in_range('slots_unknown', ONE)} > 0)"
    on_time = f"1 - {bad} / {known}"
    left = f"1 - {bad} / {known} / clamp_min(1 - {OBJECTIVE}, 0.0001)"
    return [
        judged(
            "On time",
            "Share of slots in the shown time that were neither late nor missed; unknown ones are not counted. "
            "Orange-red below the objective.",
            on_time,
            f"({on_time}) < {OBJECTIVE}",
            "percentunit",
            colour=palette.LATE,
            nothing=NO_SLOTS,
            width=8,
        ).decimals(2),
        number(
            "Objective",
            "The share of slots that should be neither late nor missed.",
            [query(OBJECTIVE, instant=True)],
            "percentunit",
            nothing="none",
            width=8,
        ).decimals(2),
        number(
            "Error budget left",
            "Of the late and missed slots that the objective allows in the shown time. Below 0: more than allowed.",
            [query(left, instant=True)],
            "percentunit",
            nothing=NO_SLOTS,
            width=8,
        )
        .decimals(0)
        .thresholds(steps(palette.LATE, (0, palette.NOTE), (0.25, palette.PLAIN))),
    ]


def _counts() -> list[stat.Panel]:
    def count(title: str, description: str, metric: str, colour: str) -> stat.Panel:
        made = query(newest(metric, ONE), instant=True)
        return number(title, description, [made], "none", nothing=NO_SLOTS, width=8).thresholds(
            steps(palette.PLAIN, (1, colour))
        )

    return [
        count("Missed in a day", "Slots missed in the last day.", "slots_missed_1d", palette.LOST),
        count(
            "Unknown in a day",
            "Slots that became unknown in the last day, since they fell into an outage of the exporter.",
            "slots_unknown_1d",
            palette.STUCK,
        ),
        count(
            "Over budget in a week",
            "Late and missed slots of the last 7 days, if they are more than the objective allows; else 0.",
            "slots_over_objective_7d",
            palette.LATE,
        ),
    ]


def _slots() -> timeseries.Panel:
    total, late, missed, unknown = (grown(f"slots{kind}", ONE) for kind in ("", "_late", "_missed", "_unknown"))
    return bars(
        "Slots",
        "What became of each expected completion: in each interval of the export, or a part of it in a short time. "
        "Unknown: an outage of the exporter may have hidden it. A slot counts when the next run completes, or when "
        "it is missed.",
        [
            query(f"{total} - {late} - {missed} - {unknown} > 0", "on time", "A").interval(STEP),
            query(f"{late} > 0", "late", "B").interval(STEP),
            query(f"{missed} > 0", "missed", "C").interval(STEP),
            query(f"{unknown} > 0", "unknown", "D").interval(STEP),
        ],
        "none",
        nothing=NO_SLOTS_AT_ALL,
        colours={
            "on time": palette.FINE,
            "late": palette.LATE,
            "missed": palette.LOST,
            "unknown": palette.NEUTRAL,
        },
    ).max_data_points(SLOTS_AT_MOST)


def _budget() -> timeseries.Panel:
    bad = f"({grown('slots_late', ONE, over=WEEK)} + {grown('slots_missed', ONE, over=WEEK)})"
    known = f"({grown('slots', ONE, over=WEEK)} - {grown('slots_unknown', ONE, over=WEEK)} > 0)"
    panel = chart(
        "Error budget used in 7 days",
        "Late and missed slots of the 7 days before each instant, as a share of what the objective allows for them. "
        "Over the dashed line, the objective is not met.",
        [query(f"{bad} / {known} / clamp_min(1 - {OBJECTIVE}, 0.0001)", "budget used")],
        "percentunit",
        top=1.2,
        nothing="No slots for a week: a one-time export has none, and a new one too few.",
    )
    return limit_line(coloured(panel.min(0).decimals(0), {"budget used": palette.FINE}), (1, palette.LATE))


def _delay() -> timeseries.Panel:
    panel = chart(
        "Event delay of the source",
        "Arrival time minus event time of the newest event. About 0 is usual; whole quarters of an hour suggest a "
        "wrong time zone, other long ones late deliveries. Ago: the event is dated after its arrival.",
        [query(f"max by (source) (dataexport_event_delay_seconds{{{OF_SOURCE}}})", "{{source}}")],
        "dthms",
        top=10,
        nothing="No event of this source in this range.",
        width=24,
        height=6,
    )
    return panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER)
