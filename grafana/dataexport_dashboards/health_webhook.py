"""Of exporter health: what the webhook accepts and refuses, how fast, and what the sources' clocks say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common

from dataexport_dashboards import palette, queries
from dataexport_dashboards.links import OVERVIEW_UID, SAME_TIME, board_url, link_value
from dataexport_dashboards.panels import (
    bars,
    event_delays,
    fixed,
    limit_line,
    mapped,
    number,
    properties,
    query,
    shares_of_waits,
    steps,
)
from dataexport_dashboards.queries import OF_SOURCE, counted, grown, newest
from dataexport_dashboards.tables import FILLED, ago, grid, rows, sort, status_page

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries

    from dataexport_dashboards.panels import Panel

ALERT_AT_SECONDS, SENDER_WAITS_SECONDS = 1, 3


def webhook() -> list[Panel]:
    """What came, what was answered, and how fast."""
    return [_bodies(), _refused(), _answers(), _credentials(), _latency(), _slow()]


def sources() -> list[Panel]:
    """What each source sent, and when by its own clock."""
    return [_table(), _delay(), _unknown_statuses()]


def _bodies() -> timeseries.Panel:
    stored = grown("webhook_events_total", OF_SOURCE, "source, status")
    tests = grown("webhook_test_calls_total", OF_SOURCE, "source")
    return bars(
        "Accepted",
        "Events that were stored, by status word, and the test calls that CleverTap makes when someone creates the "
        "webhook.",
        [
            query(f"sum by (status) ({stored}) > 0", "{{status}}", "A"),
            query(f"sum({tests}) > 0", "test call", "B"),
        ],
        "short",
        nothing="No event in this range.",
        colours={
            "initiated": palette.BUSY,
            "completed": palette.FINE,
            "failed": palette.FAILED,
            "test call": palette.NEUTRAL,
        },
        height=6,
    )


def _refused() -> timeseries.Panel:
    quarantined = grown("webhook_quarantined_total", OF_SOURCE, "source, reason")

    def events(metric: str) -> str:
        return f"sum({grown(metric, OF_SOURCE, 'source')}) > 0"

    panel = bars(
        "Duplicate, quarantined, doubtful",
        "Deliveries of events already stored; bodies that could not be parsed, by reason; events dated in the future; "
        "events with an unrecognised frequency.",
        [
            query(events("webhook_duplicates_total"), "duplicate", "A"),
            query(f"sum by (reason) ({quarantined}) > 0", "quarantined: {{reason}}", "B"),
            query(events("webhook_skewed_total"), "dated in the future", "C"),
            query(events("webhook_unknown_frequencies_total"), "unknown frequency", "D"),
        ],
        "short",
        nothing="None in this range.",
        height=6,
        colours={
            "duplicate": palette.BUSY,
            "dated in the future": palette.NOTE,
            "unknown frequency": palette.STUCK,
        },
    )
    return panel.override_by_regexp("/^quarantined/", properties(fixed(palette.LOST)))


def _answers() -> timeseries.Panel:
    return bars(
        "Answers by code",
        "200 is on disk. 400 not JSON, 401 credential, 413 too large, 415 unknown encoding, 429 too many wrong "
        "credentials, 503 not stored, 404 no such source.",
        [query(f"{counted('webhook_requests_total', OF_SOURCE, 'code')} > 0", "{{code}}")],
        "short",
        nothing="No request in this range.",
        height=6,
        colours={
            "200": palette.FINE,
            "400": palette.STUCK,
            "401": palette.LOST,
            "404": palette.NEUTRAL,
            "413": palette.NOTE,
            "415": palette.BUSY,
            "429": palette.FAILED,
            "503": palette.LATE,
        },
    )


def _credentials() -> timeseries.Panel:
    return bars(
        "Wrong credentials",
        "Requests without a valid credential. A few are the internet; many after a rotation are a forgotten token.",
        [query(f"{counted('webhook_auth_failures_total', OF_SOURCE, 'source')} > 0", "{{source}}")],
        "short",
        nothing="None in this range.",
        height=6,
    )


def _latency() -> timeseries.Panel:
    panel = shares_of_waits(
        "Time to answer, against the timeout",
        "The sender times out after 3 s, the upper dashed line; the lower one is where the alert is.",
        counted("webhook_request_duration_seconds_bucket", OF_SOURCE, "le"),
        top=3.2,
        nothing="No request in this range.",
        width=16,
    )
    return limit_line(panel, (ALERT_AT_SECONDS, palette.NEUTRAL), (SENDER_WAITS_SECONDS, palette.LATE))


def _slow() -> stat.Panel:
    within = f'increase(dataexport_webhook_request_duration_seconds_bucket{{{OF_SOURCE}, le=~"3|3.0"}}[$__range])'
    total = f"increase(dataexport_webhook_request_duration_seconds_count{{{OF_SOURCE}}}[$__range])"
    panel = number(
        "Answered within 3 s",
        "Share of requests in the shown time; the sender counts the others as failed and retries them.",
        [query(f"sum({within}) / (sum({total}) > 0)", instant=True)],
        "percentunit",
        nothing="no request",
        width=8,
    )
    panel.text(common.VizTextDisplayOptions().value_size(48))
    return panel.height(6).decimals(2).thresholds(steps(palette.LATE, (0.999, palette.PLAIN)))


def _table() -> table.Panel:
    def of_source(metric: str) -> str:
        return newest(metric, OF_SOURCE, "source")

    panel = grid(
        "Sources",
        "What each source sent, and whether its time zone setting fits its arrivals. If it does not, the offset is the "
        "one that would fit.",
        [
            rows(queries.milliseconds(of_source("webhook_last_accepted_timestamp_seconds")), "A"),
            rows(of_source("event_delay_seconds"), "B"),
            rows(of_source("suspected_utc_offset_seconds"), "C"),
            rows(of_source("timezone_suspect"), "D"),
            rows(f"sum by (source) ({newest('webhook_events_total', OF_SOURCE, 'source, status')})", "E"),
            rows(of_source("webhook_duplicates_total"), "F"),
            rows(f"sum by (source) ({newest('webhook_quarantined_total', OF_SOURCE, 'source, reason')})", "G"),
            rows(of_source("webhook_test_calls_total"), "H"),
            rows(queries.milliseconds(of_source("source_configured_timestamp_seconds")), "I"),
            rows(queries.if_page_is_known(of_source("timezone_suspect")), "J"),
        ],
        {
            "source": "Source",
            "Value #A": "Newest event",
            "Value #B": "Its delay",
            "Value #C": "Offset seen",
            "Value #D": "Time zone",
            "Value #E": "Events",
            "Value #F": "Duplicates",
            "Value #G": "Quarantined",
            "Value #H": "Test calls",
            "Value #I": "Configured",
            "page": "Status page",
        },
        nothing="No source is configured.",
        hidden=["Value #J"],
        height=6,
    )
    panel.sort_by([sort("Time zone", descending=True), sort("Source", descending=False)])
    panel.override_by_name(
        "Source",
        properties(
            (
                "links",
                [
                    link_value(
                        "Exports of ${__value.text}",
                        board_url(OVERVIEW_UID, SAME_TIME, "var-source=${__value.raw:percentencode}"),
                    )
                ],
            )
        ),
    )
    ago(panel, "Newest event", "Configured")
    status_page(panel, "__data.fields.Source")
    panel.override_by_name("Its delay", properties(("unit", "s")))
    panel.override_by_name("Offset seen", properties(("unit", "dthms"), mapped(palette.zero_is("UTC or none"))))
    panel.override_by_name(
        "Time zone",
        properties(
            mapped(palette.words({"0": ("fits", None), "1": ("wrong", palette.LATE)})),
            FILLED,
        ),
    )
    return panel


def _delay() -> timeseries.Panel:
    return event_delays("Event delay", nothing="No event in this range.", width=12)


def _unknown_statuses() -> table.Panel:
    panel = grid(
        "Unknown status words",
        "Words that are not recognised: their events start and complete no run. When the second newest event with "
        "each arrived; never if there was only one.",
        [
            rows(
                queries.milliseconds(newest("webhook_unknown_status_timestamp_seconds", OF_SOURCE, "source, status")),
                "A",
            )
        ],
        {"source": "Source", "status": "Status", "Value #A": "Second newest"},
        nothing="None: every status word is recognised.",
        height=6,
        width=12,
    )
    return ago(panel, "Second newest")
