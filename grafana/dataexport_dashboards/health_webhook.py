"""Of exporter health: what the webhook accepts and refuses, how fast, and what the sources' clocks say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common as common_models

from dataexport_dashboards import palette, queries
from dataexport_dashboards.panels import (
    KEPT,
    OVERVIEW_UID,
    bars,
    chart,
    fixed,
    limit_line,
    link_value,
    mapped,
    number,
    properties,
    query,
    shares_of_waits,
    steps,
)
from dataexport_dashboards.queries import OF_SOURCE, counted, grown, newest
from dataexport_dashboards.tables import ago, grid, rows, sort

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries

    from dataexport_dashboards.panels import Panel

ALERT_AT_SECONDS, SENDER_WAITS_SECONDS = 1, 3


def webhook() -> list[Panel]:
    """What came, what was answered, and how fast."""
    return [_bodies(), _refused(), _answers(), _credentials(), _latency(), _slow()]


def sources() -> list[Panel]:
    """What each source sent, and when by its own clock."""
    return [_table(), _delay()]


def _bodies() -> timeseries.Panel:
    return bars(
        "Accepted",
        "Events that were stored, by status word, and the test calls that CleverTap makes when someone creates the "
        "webhook; by hour, or by a longer step.",
        [
            query(f"sum by (status) ({grown('webhook_events_total', OF_SOURCE, 'source, status')})", "{{status}}", "A"),
            query(f"sum({grown('webhook_test_calls_total', OF_SOURCE, 'source')})", "test call", "B"),
        ],
        "short",
        interval="1h",
        colours={
            "initiated": palette.BUSY,
            "completed": palette.FINE,
            "failed": palette.FAILED,
            "test call": palette.NEUTRAL,
        },
    )


def _refused() -> timeseries.Panel:
    panel = bars(
        "Duplicate, quarantined, doubtful",
        "Deliveries of what was stored already; bodies that were kept but not understood, by reason; events dated in "
        "the future; events whose frequency was not understood.",
        [
            query(f"sum({grown('webhook_duplicates_total', OF_SOURCE, 'source')})", "duplicate", "A"),
            query(
                f"sum by (reason) ({grown('webhook_quarantined_total', OF_SOURCE, 'source, reason')}) > 0",
                "quarantined: {{reason}}",
                "B",
            ),
            query(f"sum({grown('webhook_skewed_total', OF_SOURCE, 'source')})", "dated in the future", "C"),
            query(
                f"sum({grown('webhook_unknown_frequencies_total', OF_SOURCE, 'source')})",
                "frequency not understood",
                "D",
            ),
        ],
        "short",
        interval="1h",
        colours={
            "duplicate": palette.BUSY,
            "dated in the future": palette.NOTE,
            "frequency not understood": palette.STUCK,
        },
    )
    return panel.override_by_regexp("/^quarantined/", properties(fixed(palette.LOST)))


def _answers() -> timeseries.Panel:
    return bars(
        "Answers by code",
        "200 is kept on disk. 400 not JSON, 401 credential, 413 too large, 429 too many wrong credentials, 503 not "
        "stored, 404 no such source.",
        [query(counted("webhook_requests_total", OF_SOURCE, "code"), "{{code}}")],
        "short",
        interval="1h",
        colours={
            "200": palette.FINE,
            "401": palette.LOST,
            "503": palette.LATE,
            "429": palette.FAILED,
            "400": palette.STUCK,
        },
    )


def _credentials() -> timeseries.Panel:
    return bars(
        "Wrong credentials",
        "Requests without a valid credential. A few are the internet; many after a rotation are a forgotten token.",
        [query(counted("webhook_auth_failures_total", OF_SOURCE, "source"), "{{source}}")],
        "short",
        interval="1h",
    )


def _latency() -> timeseries.Panel:
    panel = shares_of_waits(
        "Time to answer, against the sender's patience",
        "The sender gives up after 3 s, the upper dashed line; the lower one is where the alert is.",
        counted("webhook_request_duration_seconds_bucket", OF_SOURCE, "le"),
        width=16,
    )
    return limit_line(panel, (ALERT_AT_SECONDS, palette.NOTE), (SENDER_WAITS_SECONDS, palette.LATE)).axis_soft_max(3.2)


def _slow() -> stat.Panel:
    within = f'increase(dataexport_webhook_request_duration_seconds_bucket{{{OF_SOURCE}, le=~"3|3.0"}}[$__range])'
    total = f"increase(dataexport_webhook_request_duration_seconds_count{{{OF_SOURCE}}}[$__range])"
    panel = number(
        "Answered within 3 s",
        "Share of requests in the shown time; the sender counts the others as failed, and sends them again.",
        [query(f"sum({within}) / (sum({total}) > 0)", instant=True)],
        "percentunit",
        width=8,
    )
    return panel.height(8).decimals(2).no_value("no request").thresholds(steps(palette.LATE, (0.999, palette.FINE)))


def _table() -> table.Panel:
    def of_source(metric: str) -> str:
        return newest(metric, OF_SOURCE, "source")

    panel = grid(
        "Sources",
        "What each source sent, and what its clock says. A wrong clock: its time zone setting contradicts its "
        "arrivals, and the offset is the one that would fit.",
        [
            rows(queries.milliseconds(of_source("webhook_last_accepted_timestamp_seconds")), "A"),
            rows(of_source("event_delay_seconds"), "B"),
            rows(of_source("suspected_utc_offset_seconds"), "C"),
            rows(of_source("timezone_suspect"), "D"),
            rows(f"sum by (source) ({newest('webhook_events_total', OF_SOURCE, 'source, status')})", "E"),
            rows(of_source("webhook_duplicates_total"), "F"),
            rows(f"sum by (source) ({newest('webhook_quarantined_total', OF_SOURCE, 'source, reason')})", "G"),
            rows(of_source("webhook_test_calls_total"), "H"),
        ],
        {
            "source": "Source",
            "Value #A": "Newest event",
            "Value #B": "Its delay",
            "Value #C": "Offset seen",
            "Value #D": "Clock",
            "Value #E": "Events",
            "Value #F": "Duplicates",
            "Value #G": "Quarantined",
            "Value #H": "Test calls",
        },
        widths={
            "Source": 100,
            "Newest event": 115,
            "Its delay": 85,
            "Offset seen": 100,
            "Clock": 75,
            "Events": 80,
            "Duplicates": 95,
            "Test calls": 90,
            "Quarantined": 110,
        },
        height=8,
        width=16,
    )
    panel.sort_by([sort("Clock", descending=True), sort("Source", descending=False)])
    panel.override_by_name(
        "Source",
        properties(
            (
                "links",
                [
                    link_value(
                        "Exports of ${__value.text}",
                        f"/d/{OVERVIEW_UID}?var-source=${{__value.raw:percentencode}}&{KEPT}",
                    )
                ],
            )
        ),
    )
    ago(panel, "Newest event")
    panel.override_by_name("Its delay", properties(("unit", "s")))
    panel.override_by_name("Offset seen", properties(("unit", "s"), mapped(palette.zero_is("UTC or none"))))
    panel.override_by_name(
        "Clock",
        properties(
            mapped(palette.words({"0": ("fits", palette.FINE), "1": ("wrong", palette.LATE)})),
            ("custom.cellOptions", {"type": "color-text"}),
        ),
    )
    return panel


def _delay() -> timeseries.Panel:
    panel = chart(
        "Event delay",
        "Arrival minus occurrence of the newest event. Whole quarters of an hour point to a wrong time zone.",
        [query(newest("event_delay_seconds", OF_SOURCE, "source"), "{{source}}")],
        "s",
        width=8,
    )
    return panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER)
