"""Exporter health: how it stands now, its webhook and sources, its store, its series and its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataexport_dashboards import health_webhook, palette, queries
from dataexport_dashboards.panels import (
    HEALTH_UID,
    assemble,
    bars,
    chart,
    coloured,
    dashed,
    fixed,
    number,
    properties,
    query,
    shares_of_waits,
    steps,
    timeline,
    variable,
)
from dataexport_dashboards.queries import OF_SOURCE, grown_in_range, newest
from dataexport_dashboards.tables import ago, grid, rows

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
    from grafana_foundation_sdk.models import dashboard as models

OURS = "and on (job, instance) dataexport_build_info"


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
            ("Webhook", health_webhook.webhook()),
            ("Sources and their clocks", health_webhook.sources()),
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


def _store() -> statetimeline.Panel:
    panel = timeline(
        "Store",
        "Whether the newest operation on the store worked, for each process.",
        [query("dataexport_store_up", "{{instance}}")],
        height=5,
    )
    return panel.mappings(palette.words({"0": ("failing", palette.LATE), "1": ("up", palette.FINE)}))


def _commits() -> timeseries.Panel:
    return shares_of_waits(
        "Time to keep an event",
        "From the request for it until it is on disk; several may share a commit.",
        "sum by (le) (increase(dataexport_store_commit_duration_seconds_bucket[$__rate_interval]))",
    )


def _errors() -> timeseries.Panel:
    return bars(
        "Errors of the store",
        "Operations that failed. An append that failed was answered 503, and the sender may try again.",
        [query("sum by (operation) (increase(dataexport_store_errors_total[$__rate_interval]))", "{{operation}}")],
        "short",
        interval="1h",
    )


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
    return panel.min(0).override_by_name("limit", properties(fixed(palette.LATE), dashed()))


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
    return ago(panel, "Started", "Configuration taken")


def _memory() -> timeseries.Panel:
    return chart(
        "Memory",
        "Resident memory of the worker process.",
        [query(f"process_resident_memory_bytes {OURS}", "{{instance}}")],
        "bytes",
    ).min(0)


def _processor() -> timeseries.Panel:
    return chart(
        "Processor",
        "Processor time of the worker process; 100 % is one core.",
        [query(f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", "{{instance}}")],
        "percentunit",
    ).min(0)
