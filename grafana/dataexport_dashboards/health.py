"""Exporter health: what it accepts and refuses, how fast, its store, its sources and their clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dataexport_dashboards import palette, queries
from dataexport_dashboards.panels import (
    HEALTH_UID,
    KEPT,
    OVERVIEW_UID,
    assemble,
    bars,
    chart,
    coloured,
    fixed,
    grid,
    limit_line,
    link_value,
    mapped,
    number,
    properties,
    query,
    rows,
    sort,
    steps,
    timeline,
    variable,
)
from dataexport_dashboards.queries import OF_SOURCE, counted, grown, grown_in_range, newest

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries

OURS = "and on (job, instance) dataexport_build_info"
ALERT_AT_SECONDS, SENDER_WAITS_SECONDS = 1, 3


def build() -> models.Dashboard:
    """The dashboard."""
    return assemble(
        HEALTH_UID,
        "Exporter health",
        "Whether the exporter hears, keeps and shows what the sources send.",
        [
            variable("source", "Source", "", "A CleverTap project.", every=True, several=True).query(
                {
                    "query": "label_values(dataexport_webhook_requests_total, source)",
                    "refId": "variable-source",
                    "qryType": 1,
                }
            ),
        ],
        [
            ("", _now()),
            ("Webhook", [_bodies(), _refused(), _answers(), _credentials(), _latency(), _slow()]),
            ("Sources and their clocks", [_sources(), _delay()]),
            ("Store", [_store(), _commits(), _errors()]),
            ("Series", [_series(), _exports_per_source()]),
            ("Processes", [_instances(), _memory(), _processor()]),
        ],
        begin="now-24h",
    )


def _now() -> list[stat.Panel]:
    ok = palette.words({"0": ("failing", palette.LATE), "1": ("up", palette.FINE)})
    reload_words = palette.words({"0": ("refused", palette.LATE), "1": ("taken", palette.FINE)})

    def grew(title: str, description: str, metric: str, by: str, colour: str) -> stat.Panel:
        made = query(f"sum({grown_in_range(metric, OF_SOURCE, by)})", instant=True)
        return number(title, description, [made], "short", width=3).thresholds(steps(palette.FINE, (1, colour)))

    return [
        number(
            "Store",
            "Whether the newest operation on the store worked, in every process.",
            [query("min(dataexport_store_up)", instant=True)],
            "none",
            width=3,
        ).mappings(ok),
        number(
            "Configuration",
            "Whether the newest reload took the configuration, in every process.",
            [query("min(dataexport_config_last_reload_successful)", instant=True)],
            "none",
            width=3,
        ).mappings(reload_words),
        number(
            "Newest event",
            "When any of the chosen sources last sent something that was accepted.",
            [
                query(
                    queries.milliseconds(f"max(dataexport_webhook_last_accepted_timestamp_seconds{{{OF_SOURCE}}})"),
                    instant=True,
                )
            ],
            "dateTimeFromNow",
            width=3,
        ).mappings(palette.zero_is("never")),
        grew("Events stored", "In the shown time.", "webhook_events_total", "source, status", palette.FINE),
        grew(
            "Duplicates",
            "Deliveries of what was stored already, in the shown time. The sender tries again when it hears no answer.",
            "webhook_duplicates_total",
            "source",
            palette.BUSY,
        ),
        grew(
            "Quarantined",
            "Bodies that were kept but not understood, in the shown time.",
            "webhook_quarantined_total",
            "source, reason",
            palette.LOST,
        ),
        number(
            "Refused",
            "Answers other than 200 in the shown time.",
            [
                query(
                    f'sum(increase(dataexport_webhook_requests_total{{{OF_SOURCE}, code!="200"}}[$__range]))',
                    instant=True,
                )
            ],
            "short",
            width=3,
        )
        .decimals(0)
        .thresholds(steps(palette.FINE, (1, palette.LATE))),
        number(
            "Wrong clocks",
            "Sources whose time zone setting contradicts their arrivals.",
            [query(f"sum({newest('timezone_suspect', OF_SOURCE, 'source')})", instant=True)],
            "none",
            width=3,
        ).thresholds(steps(palette.FINE, (1, palette.LATE))),
    ]


def _bodies() -> timeseries.Panel:
    panel = chart(
        "Accepted",
        "Events that were stored, by status word, and the test calls that CleverTap makes when someone creates the "
        "webhook; by hour, or by a longer step.",
        [
            query(f"sum by (status) ({grown('webhook_events_total', OF_SOURCE, 'source, status')})", "{{status}}", "A"),
            query(f"sum({grown('webhook_test_calls_total', OF_SOURCE, 'source')})", "test call", "B"),
        ],
        "short",
    )
    colours = {
        "initiated": palette.BUSY,
        "completed": palette.FINE,
        "failed": palette.FAILED,
        "test call": palette.NEUTRAL,
    }
    return coloured(bars(panel, "1h"), colours)


def _refused() -> timeseries.Panel:
    panel = chart(
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
    )
    panel = coloured(
        bars(panel, "1h"),
        {"duplicate": palette.BUSY, "dated in the future": palette.NOTE, "frequency not understood": palette.STUCK},
    )
    return panel.override_by_regexp("/^quarantined/", properties(fixed(palette.LOST)))


def _answers() -> timeseries.Panel:
    panel = chart(
        "Answers by code",
        "200 is kept on disk. 400 not JSON, 401 credential, 413 too large, 429 too many wrong credentials, 503 not "
        "stored, 404 no such source.",
        [query(counted("webhook_requests_total", OF_SOURCE, "code"), "{{code}}")],
        "short",
    )
    colours = {
        "200": palette.FINE,
        "401": palette.LOST,
        "503": palette.LATE,
        "429": palette.FAILED,
        "400": palette.STUCK,
    }
    return coloured(bars(panel, "1h"), colours)


def _credentials() -> timeseries.Panel:
    panel = chart(
        "Wrong credentials",
        "Requests without a valid credential. A few are the internet; many after a rotation are a forgotten token.",
        [query(counted("webhook_auth_failures_total", OF_SOURCE, "source"), "{{source}}")],
        "short",
    )
    return bars(panel, "1h")


def _latency() -> timeseries.Panel:
    bucket = counted("webhook_request_duration_seconds_bucket", OF_SOURCE, "le")
    panel = chart(
        "Time to answer, against the sender's patience",
        "The sender gives up after 3 s, the upper dashed line; the lower one is where the alert is.",
        [
            query(f"histogram_quantile(0.5, {bucket})", "median", "A"),
            query(f"histogram_quantile(0.99, {bucket})", "99 of 100", "B"),
        ],
        "s",
        width=16,
    )
    panel = coloured(panel.interval("5m").min(0), {"median": palette.BUSY, "99 of 100": palette.FINE})
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


def _sources() -> table.Panel:
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
    panel.override_by_name("Newest event", properties(("unit", "dateTimeFromNow"), mapped(palette.zero_is("never"))))
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


def _store() -> statetimeline.Panel:
    panel = timeline(
        "Store",
        "Whether the newest operation on the store worked, for each process.",
        [query("dataexport_store_up", "{{instance}}")],
        height=5,
    )
    return panel.mappings(palette.words({"0": ("failing", palette.LATE), "1": ("up", palette.FINE)}))


def _commits() -> timeseries.Panel:
    bucket = "sum by (le) (increase(dataexport_store_commit_duration_seconds_bucket[$__rate_interval]))"
    panel = chart(
        "Time to keep an event",
        "From the request for it until it is on disk; several may share a commit.",
        [
            query(f"histogram_quantile(0.5, {bucket})", "median", "A"),
            query(f"histogram_quantile(0.99, {bucket})", "99 of 100", "B"),
        ],
        "s",
    )
    return coloured(panel.interval("5m").min(0), {"median": palette.BUSY, "99 of 100": palette.FINE})


def _errors() -> timeseries.Panel:
    panel = chart(
        "Errors of the store",
        "Operations that failed. An append that failed was answered 503, and the sender may try again.",
        [query("sum by (operation) (increase(dataexport_store_errors_total[$__rate_interval]))", "{{operation}}")],
        "short",
    )
    return bars(panel, "1h")


def _series() -> timeseries.Panel:
    panel = chart(
        "Series",
        "Series of exports and sources in a scrape, and those that fell to the limit since the start of a process.",
        [
            query("max(dataexport_series)", "shown", "A"),
            query("max(dataexport_series_dropped_total)", "dropped", "B"),
        ],
        "short",
    )
    return coloured(panel.min(0), {"shown": palette.FINE, "dropped": palette.LATE})


def _exports_per_source() -> timeseries.Panel:
    panel = chart(
        "Exports of each source, against the limit",
        "Exports over the limit share one series called other. The dashed line is limits.exports_per_source.",
        [
            query(f"count by (source) ({newest('muted', OF_SOURCE)})", "{{source}}", "A"),
            query("min(dataexport_exports_per_source_limit)", "limit", "B"),
        ],
        "short",
    )
    return panel.min(0).override_by_name(
        "limit", properties(fixed(palette.LATE), ("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}))
    )


def _instances() -> table.Panel:
    panel = grid(
        "Processes",
        "What runs, since when, and when it last took its configuration.",
        [
            rows("max by (job, instance, version, revision, python_version) (dataexport_build_info)", "A"),
            rows(f"1000 * max by (job, instance) (process_start_time_seconds {OURS})", "B"),
            rows(
                "1000 * max by (job, instance) (dataexport_config_last_reload_success_timestamp_seconds)",
                "C",
            ),
            rows(f"max by (job, instance) (process_open_fds {OURS})", "D"),
        ],
        {
            "job": "Job",
            "instance": "Instance",
            "version": "Version",
            "revision": "Revision",
            "python_version": "Python",
            "Value #B": "Started",
            "Value #C": "Configuration taken",
            "Value #D": "Open files",
        },
        hidden=["Value #A"],
        height=6,
    )
    for column in ("Started", "Configuration taken"):
        panel.override_by_name(column, properties(("unit", "dateTimeFromNow"), mapped(palette.zero_is("never"))))
    return panel


def _memory() -> timeseries.Panel:
    return chart(
        "Memory",
        "Resident memory of each process.",
        [query(f"process_resident_memory_bytes {OURS}", "{{instance}}")],
        "bytes",
    ).min(0)


def _processor() -> timeseries.Panel:
    return chart(
        "Processor",
        "Processor time of each process; 100 % is one core.",
        [query(f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", "{{instance}}")],
        "percentunit",
    ).min(0)
