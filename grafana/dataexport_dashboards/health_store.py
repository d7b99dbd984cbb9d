"""Of exporter health: whether its store works, how fast, and how much room and which copies it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataexport_dashboards import palette
from dataexport_dashboards.panels import bars, judged, number, query, shares_of_waits, steps, timeline

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

    from dataexport_dashboards.panels import Panel

FAILING = {"0": ("failing", palette.LATE)}
FREE = "min(dataexport_store_free_bytes / dataexport_store_size_bytes)"
BACKUP = "max(dataexport_backup_last_success_timestamp_seconds)"
BACKUP_LIMIT = "max(dataexport_backup_max_age_seconds > 0)"


def store() -> list[Panel]:
    """The panels of the row."""
    return [_free(), _backup(), _backup_limit(), _pruned(), _up(), _commits(), _errors()]


def up_now() -> stat.Panel:
    """Whether it works at this moment."""
    return number(
        "Store",
        "Whether the last read and the last write of the store succeeded, in every process.",
        [query("min(dataexport_store_up)", instant=True)],
        "none",
        nothing="no exporter",
        words=palette.words(FAILING | {"1": ("up", None)}),
    )


def _free() -> stat.Panel:
    panel = number(
        "Disk space left",
        "Of the volume of a SQLite store: orange-red below 10 %.",
        [query(FREE, instant=True)],
        "percentunit",
        nothing="not on SQLite",
    )
    return panel.decimals(0).thresholds(steps(palette.LATE, (0.1, palette.PLAIN)))


def _backup() -> stat.Panel:
    return judged(
        "Newest backup",
        "When the newest backup of the store was made; orange-red if it is older than store.backup_max_age.",
        f"1000 * {BACKUP}",
        f"time() - {BACKUP} > {BACKUP_LIMIT}",
        "dateTimeFromNow",
        colour=palette.LATE,
        nothing="no exporter",
        words=palette.zero_is("never"),
    )


def _backup_limit() -> stat.Panel:
    return number(
        "Backup max age",
        "How old the newest backup may become, store.backup_max_age.",
        [query(BACKUP_LIMIT, instant=True)],
        "s",
        nothing="not set",
    )


def _pruned() -> stat.Panel:
    return number(
        "Pruned",
        "Events, quarantined and refused bodies removed after their retention, in the shown time.",
        [query("sum(increase(dataexport_store_pruned_total[$__range]))", instant=True)],
        "none",
        nothing="none",
    ).decimals(0)


def _up() -> statetimeline.Panel:
    of_step = "min by (job, instance) (min_over_time(dataexport_store_up[$__rate_interval]))"
    return timeline(
        "Store over time",
        "Whether the last read and the last write of the store succeeded, for each process; in a long time range, "
        "whether they always did in a step.",
        [query(f"{of_step} or min by (job, instance) (dataexport_store_up)", "{{instance}}")],
        palette.words(FAILING | {"1": ("up", palette.FINE)}),
        nothing="No exporter was scraped in this range.",
        height=4,
    )


def _commits() -> timeseries.Panel:
    return shares_of_waits(
        "Time to store an event",
        "From the request for it until it is on disk; several may share a commit.",
        "sum by (le) (increase(dataexport_store_commit_duration_seconds_bucket[$__rate_interval]))",
        top=0.01,
        nothing="No event was stored in this range.",
    )


def _errors() -> timeseries.Panel:
    growth = "increase(dataexport_store_errors_total[$__rate_interval])"
    return bars(
        "Errors of the store",
        "Operations that failed. An append that failed was answered 503, and the sender may retry.",
        [query(f"sum by (operation) ({growth}) > 0", "{{operation}}")],
        "short",
        nothing="None in this range.",
        height=6,
    )
