"""Of export detail: what became of each expected completion, and the error budget that the objective leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataexport_dashboards import palette
from dataexport_dashboards.panels import bars, chart, coloured, event_delays, judged, limit_line, number, query, steps
from dataexport_dashboards.queries import ONE, grown, grown_before, grown_in_range, newest

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, timeseries

    from dataexport_dashboards.panels import Panel

OBJECTIVE = newest("freshness_objective_ratio", ONE)
WEEK = "7d"
STEP = "${step}s"
BARS_AT_MOST = 90
"""So many bars stay apart on a telephone: those of an export of 8 hours in a month."""
NO_SLOTS = "no slots"


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
            "Of the late and missed slots that the objective allows in the shown time. Below 0: more than allowed, "
            "which a single slot can be in a short time.",
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
            "Late and missed slots of the last 7 days that count for the alert: 0 unless they are more than the "
            "objective allows, and always for a single one, of which ExportOverdue warns.",
            "slots_over_objective_7d",
            palette.LATE,
        ),
    ]


def _slots() -> timeseries.Panel:
    total, late, missed, unknown = (grown(f"slots{kind}", ONE) for kind in ("", "_late", "_missed", "_unknown"))
    return bars(
        "Slots",
        "What became of each expected completion: in each interval of the export, a part of it in a short time, or "
        "several in a long one. Unknown: an outage of the exporter may have hidden it. A slot counts when the next "
        "run completes, or when it is missed. A one-time export has none.",
        [
            query(f"{total} - {late} - {missed} - {unknown} > 0", "on time", "A").interval(STEP),
            query(f"{late} > 0", "late", "B").interval(STEP),
            query(f"{missed} > 0", "missed", "C").interval(STEP),
            query(f"{unknown} > 0", "unknown", "D").interval(STEP),
        ],
        "none",
        nothing="No slot was filled, missed or unknown in this range.",
        colours={
            "on time": palette.FINE,
            "late": palette.LATE,
            "missed": palette.LOST,
            "unknown": palette.NEUTRAL,
        },
    ).max_data_points(BARS_AT_MOST)


def _budget() -> timeseries.Panel:
    bad = f"({grown_before('slots_late', ONE, WEEK)} + {grown_before('slots_missed', ONE, WEEK)})"
    known = f"({grown_before('slots', ONE, WEEK)} - {grown_before('slots_unknown', ONE, WEEK)} > 0)"
    panel = chart(
        "Error budget used in 7 days",
        "Late and missed slots of the 7 days before each instant, as a share of what the objective allows for them. "
        "Over the dashed line, the objective is not met. With less than 100 slots a week, a single one is more than "
        "99 % allows; the alert waits for a second one.",
        [query(f"{bad} / {known} / clamp_min(1 - {OBJECTIVE}, 0.0001)", "budget used")],
        "percentunit",
        top=1.2,
        nothing="No slot in the 7 days before, or Prometheus has not scraped the exporter for so long.",
    )
    return limit_line(coloured(panel.min(0).decimals(0), {"budget used": palette.FINE}), (1, palette.LATE))


def _delay() -> timeseries.Panel:
    return event_delays("Event delay of the source", nothing="No event of this source in this range.", width=24)
