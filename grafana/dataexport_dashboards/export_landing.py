"""Of export detail: whether the files of its runs are in the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common as common_models

from dataexport_dashboards import palette, queries
from dataexport_dashboards.panels import bars, chart, coloured, dashed, fixed, judged, number, properties, query
from dataexport_dashboards.queries import ONE, grown, newest

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, timeseries

    from dataexport_dashboards.panels import Panel

NO_LANDING = "no landing set"
NO_LANDING_AT_ALL = "No landing is configured for this export, or nothing was looked for in this range."


def landing() -> list[Panel]:
    """The panels of the row."""
    return [_landed(), _files(), _size(), _last_check(), _sizes(), _counts(), _checks()]


def _landed() -> stat.Panel:
    return judged(
        "Landed",
        "When the newest file of the last run that landed was modified; pink if those of the last completed run are "
        "missing.",
        queries.milliseconds(newest("landed_timestamp_seconds", ONE)),
        f"{newest('landing_missing_since_timestamp_seconds', ONE)} > 0",
        "dateTimeFromNow",
        colour=palette.LOST,
        nothing=NO_LANDING,
        words=palette.zero_is("never"),
    )


def _files() -> stat.Panel:
    made = query(newest("landed_objects", ONE), instant=True)
    return number("Files", "Files found of the last run that was looked for.", [made], "none", nothing=NO_LANDING)


def _size() -> stat.Panel:
    made = query(newest("landed_bytes", ONE), instant=True)
    return number("Size", "Of the files found of that run.", [made], "bytes", nothing=NO_LANDING)


def _last_check() -> stat.Panel:
    return judged(
        "Last check",
        "When the bucket was last looked into; orange if checks fail, so that it is not known whether files landed.",
        queries.milliseconds(newest("landing_last_check_timestamp_seconds", ONE)),
        f"{newest('landing_failing_since_timestamp_seconds', ONE)} > 0",
        "dateTimeFromNow",
        colour=palette.STUCK,
        nothing=NO_LANDING,
        words=palette.zero_is("never"),
    )


def _sizes() -> timeseries.Panel:
    panel = chart(
        "Size of each run",
        "Size of the files found of the newest run, and the median of the 14 runs before it.",
        [
            query(newest("landed_bytes", ONE), "newest run", "A"),
            query(f"{newest('usual_landed_bytes', ONE)} > 0", "usual", "B"),
        ],
        "bytes",
        top=1024,
        nothing=NO_LANDING_AT_ALL,
        height=6,
    )
    panel.min(0).line_interpolation(common_models.LineInterpolation.STEP_AFTER)
    panel.override_by_name("usual", properties(fixed(palette.NEUTRAL), dashed()))
    return coloured(panel, {"newest run": palette.FINE})


def _counts() -> timeseries.Panel:
    panel = chart(
        "Files of each run",
        "Files found of the newest run.",
        [query(newest("landed_objects", ONE), "newest run")],
        "none",
        top=2,
        nothing=NO_LANDING_AT_ALL,
        height=6,
    )
    panel.decimals(0).min(0).line_interpolation(common_models.LineInterpolation.STEP_AFTER)
    return coloured(panel, {"newest run": palette.FINE})


def _checks() -> timeseries.Panel:
    colours = {"landed": palette.FINE, "nothing": palette.LOST, "small": palette.NOTE, "error": palette.STUCK}
    return bars(
        "Checks by result",
        "What each look into the bucket found: enough files, nothing, too few or too small ones, or an error.",
        [
            query(f"{_grown(result)} > 0", result, ref)
            for result, ref in zip(colours, ("A", "B", "C", "D"), strict=True)
        ],
        "none",
        nothing=NO_LANDING_AT_ALL,
        height=6,
        colours=colours,
    ).span(24)


def _grown(result: str) -> str:
    return grown("landing_checks_total", f'{ONE}, result="{result}"')
