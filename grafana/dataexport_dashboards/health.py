"""Exporter health: how it is now, its webhook and sources, its store, its series and its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataexport_dashboards import health_store, health_webhook, palette, queries
from dataexport_dashboards.board import assemble, several
from dataexport_dashboards.links import HEALTH_UID
from dataexport_dashboards.panels import chart, coloured, dashed, fixed, number, properties, query, steps
from dataexport_dashboards.queries import OF_SOURCE, grown_in_range, newest
from dataexport_dashboards.tables import ago, grid, rows

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries
    from grafana_foundation_sdk.models import dashboard as models

OURS = "and on (job, instance) dataexport_build_info"
PROCESS = "job, instance"
DOWN = "no exporter"
NOT_SCRAPED = "No exporter was scraped in this range."
DAY_SECONDS = 86400


def build() -> models.Dashboard:
    """The dashboard."""
    return assemble(
        HEALTH_UID,
        "Whether the exporter receives, stores and shows what the sources send.",
        [several("source", "Source", "", "A CleverTap project.", metric="webhook_requests_total")],
        [
            ("", _now()),
            ("Webhook", health_webhook.webhook()),
            ("Sources and their clocks", health_webhook.sources()),
            ("Store", health_store.store()),
            ("Series", [_series(), _exports_per_source()]),
            ("Processes", [_instances(), _memory(), _processor()]),
        ],
    )


def _now() -> list[stat.Panel]:
    reload_words = palette.words({"0": ("rejected", palette.LATE), "1": ("applied", None)})

    def grew(title: str, description: str, metric: str, by: str, colour: str) -> stat.Panel:
        made = query(f"sum({grown_in_range(metric, OF_SOURCE, by)})", instant=True)
        panel = number(title, description, [made], "none", nothing="none").decimals(0)
        return panel.thresholds(steps(palette.PLAIN, (1, colour)))

    return [
        health_store.up_now(),
        number(
            "Configuration",
            "Whether the newest reload applied the configuration, in every process.",
            [query("min(dataexport_config_last_reload_successful)", instant=True)],
            "none",
            nothing=DOWN,
            words=reload_words,
        ),
        number(
            "Clock skew",
            "How far the clock of the exporter is behind that of Prometheus; the larger one of several processes. "
            "Over a minute, one of the two is wrong and deadlines are.",
            [
                query(
                    "max(abs(timestamp(dataexport_clock_timestamp_seconds) - dataexport_clock_timestamp_seconds))",
                    instant=True,
                )
            ],
            "s",
            nothing=DOWN,
        )
        .decimals(1)
        .thresholds(steps(palette.PLAIN, (60, palette.LATE))),
        number(
            "TLS certificate",
            "Until the first TLS certificate of the webhook expires; orange-red from 14 days before.",
            [query("min(dataexport_tls_certificate_not_after_timestamp_seconds > 0) - time()", instant=True)],
            "dtdurations",
            nothing="no TLS",
        )
        .decimals(0)
        .thresholds(steps(palette.LATE, (14 * DAY_SECONDS, palette.PLAIN))),
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
            nothing="no source",
            words=palette.zero_is("never"),
        ),
        grew("Events stored", "In the shown time.", "webhook_events_total", "source, status", palette.PLAIN),
        grew(
            "Duplicates",
            "Deliveries of events already stored, in the shown time. The sender retries when it gets no answer.",
            "webhook_duplicates_total",
            "source",
            palette.PLAIN,
        ),
        grew(
            "Quarantined",
            "Bodies that could not be parsed and were quarantined, in the shown time.",
            "webhook_quarantined_total",
            "source, reason",
            palette.LOST,
        ),
        number(
            "Refused",
            "Answers other than 200 in the shown time. Not coloured: strangers try every public address. "
            "ExportWebhookRejecting fires if a source of yours is refused.",
            [
                query(
                    f'sum(increase(dataexport_webhook_requests_total{{{OF_SOURCE}, code!="200"}}[$__range]))',
                    instant=True,
                )
            ],
            "none",
            nothing="none",
        ).decimals(0),
        number(
            "Wrong time zones",
            "Sources whose time zone setting contradicts their arrivals.",
            [query(f"sum({newest('timezone_suspect', OF_SOURCE, 'source')})", instant=True)],
            "none",
            nothing="no source",
        ).thresholds(steps(palette.PLAIN, (1, palette.LATE))),
        number(
            "Unknown statuses",
            "Status words that are not recognised, of which two events arrived within 30 hours.",
            [
                query(
                    f"count(time() - (max by (source, status) (dataexport_webhook_unknown_status_timestamp_seconds"
                    f"{{{OF_SOURCE}}}) > 0) < 108000)",
                    instant=True,
                )
            ],
            "none",
            nothing="none",
        ).thresholds(steps(palette.LATE)),
        number(
            "Exports",
            "How many exports the chosen sources have.",
            [query(f"count({newest('muted', OF_SOURCE)})", instant=True)],
            "none",
            nothing="none",
        ),
    ]


def _series() -> timeseries.Panel:
    panel = chart(
        "Series",
        "Series of exports and sources in a scrape, and those dropped at the limit since the start of a process.",
        [
            query("max(dataexport_series)", "shown", "A"),
            query("max(dataexport_series_dropped_total)", "dropped", "B"),
        ],
        "short",
        top=100,
        nothing=NOT_SCRAPED,
    )
    return coloured(panel.min(0), {"shown": palette.FINE, "dropped": palette.LATE})


def _exports_per_source() -> timeseries.Panel:
    panel = chart(
        "Exports of each source and the limit",
        "Exports over the limit share one series called other. The dashed line is limits.exports_per_source.",
        [
            query(f"count by (source) ({newest('muted', OF_SOURCE)})", "{{source}}", "A"),
            query("min(dataexport_exports_per_source_limit)", "limit", "B"),
        ],
        "short",
        top=10,
        nothing=NOT_SCRAPED,
    )
    return panel.min(0).override_by_name("limit", properties(fixed(palette.LATE), dashed()))


def _instances() -> table.Panel:
    panel = grid(
        "Processes",
        "What runs, since when, when it last applied its configuration and when it last wrote a checkpoint.",
        [
            rows("max by (job, instance, version, revision, python_version) (dataexport_build_info)", "A"),
            rows(f"1000 * max by (job, instance) (process_start_time_seconds {OURS})", "B"),
            rows(
                "1000 * max by (job, instance) (dataexport_config_last_reload_success_timestamp_seconds)",
                "C",
            ),
            rows("1000 * max by (job, instance) (dataexport_checkpoint_last_success_timestamp_seconds)", "D"),
            rows(f"max by (job, instance) (process_open_fds {OURS})", "E"),
            rows("sum by (job, instance) (dataexport_store_pruned_total)", "F"),
        ],
        {
            "job": "Job",
            "instance": "Instance",
            "version": "Version",
            "revision": "Revision",
            "python_version": "Python",
            "Value #B": "Started",
            "Value #C": "Configured",
            "Value #D": "Checkpoint",
            "Value #E": "Open files",
            "Value #F": "Pruned",
        },
        nothing=NOT_SCRAPED,
        hidden=["Value #A"],
        height=5,
    )
    return ago(panel, "Started", "Configured", "Checkpoint")


def _memory() -> timeseries.Panel:
    memory = "process_resident_memory_bytes"
    most = f"max by ({PROCESS}) (max_over_time({memory}[$__rate_interval])) or max by ({PROCESS}) ({memory})"
    return chart(
        "Memory",
        "Resident memory of the worker process, the most of each step.",
        [query(f"({most}) {OURS}", "{{instance}}")],
        "bytes",
        top=64 * 2**20,
        nothing=NOT_SCRAPED,
    ).min(0)


def _processor() -> timeseries.Panel:
    return chart(
        "Processor",
        "Processor time of the worker process; 100 % is one core.",
        [query(f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", "{{instance}}")],
        "percentunit",
        top=0.1,
        nothing=NOT_SCRAPED,
    ).min(0)
