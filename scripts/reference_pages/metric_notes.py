"""What the definitions of the metrics do not say: the meaning of 0, whether a value can decrease, an example query."""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    """What one metric needs besides its definition.

    Attributes:
        zero: what the value 0 means.
        decreases: whether the value can decrease, and when.
        query: a query in PromQL.
        unit: the unit, where the name does not give it.
    """

    zero: str
    decreases: str
    query: str
    unit: str = ""


CORRECTED = "only by a correction, such as a replay, a purge, a retirement or a changed declaration"
TIMESTAMP = "only by a correction, such as a replay or a purge"
RESETS = "only at a restart of the process"
YES = "yes"
CONFIGURED = "if the configuration changes it"
NEVER = "never"

_COUNT_OF_RUNS = "no run yet"
_NO_SLOT = "no such slot"

NOTES = {
    "dataexport_last_initiated_timestamp_seconds": Note(
        NEVER, TIMESTAMP, "time() - (max without (instance, pod) (dataexport_last_initiated_timestamp_seconds) > 0)"
    ),
    "dataexport_last_completed_timestamp_seconds": Note(
        NEVER, TIMESTAMP, "time() - (max without (instance, pod) (dataexport_last_completed_timestamp_seconds) > 0)"
    ),
    "dataexport_last_failed_timestamp_seconds": Note(
        NEVER,
        TIMESTAMP,
        "max without (instance, pod) (dataexport_last_failed_timestamp_seconds)\n"
        "> max without (instance, pod) (dataexport_last_completed_timestamp_seconds)",
    ),
    "dataexport_last_received_timestamp_seconds": Note(
        NEVER, TIMESTAMP, "time() - (max without (instance, pod) (dataexport_last_received_timestamp_seconds) > 0)"
    ),
    "dataexport_last_run_duration_seconds": Note(
        "no completed run with a known start (runs of one request id that overlap have none)",
        YES,
        "max without (instance, pod) (dataexport_last_run_duration_seconds)\n"
        "/ (max without (instance, pod) (dataexport_usual_run_duration_seconds) > 0)",
    ),
    "dataexport_usual_run_duration_seconds": Note(
        "no completed run with a known start in 14 days",
        YES,
        "max without (instance, pod) (dataexport_usual_run_duration_seconds) > 0",
    ),
    "dataexport_runs_in_progress": Note(
        "no run in progress", YES, "sum by (source) (max without (instance, pod) (dataexport_runs_in_progress))"
    ),
    "dataexport_running_since_timestamp_seconds": Note(
        "no run in progress",
        "yes, to 0 when no run is in progress",
        "time() - (max without (instance, pod) (dataexport_running_since_timestamp_seconds) > 0)",
    ),
    "dataexport_interval_seconds": Note(
        "no known interval: the export is never overdue", YES, "dataexport_interval_seconds == 0"
    ),
    "dataexport_grace_seconds": Note("no grace, or no known interval", YES, "dataexport_grace_seconds"),
    "dataexport_max_runtime_seconds": Note("no limit is known", YES, "dataexport_max_runtime_seconds"),
    "dataexport_freshness_objective_ratio": Note(
        "does not occur", CONFIGURED, "min(dataexport_freshness_objective_ratio) by (source)"
    ),
    "dataexport_start_deadline_timestamp_seconds": Note(
        "no deadline",
        "yes: to 0, or after a correction or a shorter interval",
        "time() > (max without (instance, pod) (dataexport_start_deadline_timestamp_seconds) > 0)",
    ),
    "dataexport_deadline_timestamp_seconds": Note(
        "no deadline",
        "yes: to 0, or after a correction or a shorter interval",
        "time() > (max without (instance, pod) (dataexport_deadline_timestamp_seconds) > 0)",
    ),
    "dataexport_run_deadline_timestamp_seconds": Note(
        "no run in progress",
        "yes, to 0 when no run is in progress",
        "time() > (max without (instance, pod) (dataexport_run_deadline_timestamp_seconds) > 0)",
    ),
    "dataexport_run_duration_seconds": Note(
        "no completed run with a known start",
        CORRECTED,
        "histogram_quantile(0.9, max by (source, export, le) (rate(dataexport_run_duration_seconds_bucket[7d])))",
    ),
    "dataexport_initiated_total": Note(
        _COUNT_OF_RUNS, CORRECTED, "max without (instance, pod) (increase(dataexport_initiated_total[1d]))"
    ),
    "dataexport_completed_total": Note(
        _COUNT_OF_RUNS, CORRECTED, "max without (instance, pod) (increase(dataexport_completed_total[1d]))"
    ),
    "dataexport_failed_total": Note(
        "no failed run", CORRECTED, "max without (instance, pod) (increase(dataexport_failed_total[1d])) > 0"
    ),
    "dataexport_abandoned_total": Note(
        "no superseded run", CORRECTED, "max without (instance, pod) (increase(dataexport_abandoned_total[1d])) > 0"
    ),
    "dataexport_slots": Note("no slot yet", CORRECTED, "max without (instance, pod) (dataexport_slots)"),
    "dataexport_slots_late": Note(
        _NO_SLOT, "yes, if a late event corrects it", "max without (instance, pod) (dataexport_slots_late) > 0"
    ),
    "dataexport_slots_missed": Note(
        _NO_SLOT, "yes, if a late event corrects it", "max without (instance, pod) (dataexport_slots_missed) > 0"
    ),
    "dataexport_slots_unknown": Note(
        _NO_SLOT, "yes, if a late event corrects it", "max without (instance, pod) (dataexport_slots_unknown) > 0"
    ),
    "dataexport_slots_missed_1d": Note(_NO_SLOT, YES, "max without (instance, pod) (dataexport_slots_missed_1d) >= 2"),
    "dataexport_slots_unknown_1d": Note(_NO_SLOT, YES, "max without (instance, pod) (dataexport_slots_unknown_1d) > 0"),
    "dataexport_slots_over_objective_7d": Note(
        "within the objective", YES, "max without (instance, pod) (dataexport_slots_over_objective_7d) > 0"
    ),
    "dataexport_muted": Note("not muted", YES, "max without (instance, pod) (dataexport_muted) == 1", "0 or 1"),
    "dataexport_export_info": Note(
        "does not occur", "no", 'max without (instance, pod) (dataexport_export_info{declared="true"})', "always 1"
    ),
    "dataexport_webhook_events_total": Note(
        "no event yet",
        CORRECTED,
        "max without (instance, pod) (increase(dataexport_webhook_events_total[1d]))",
    ),
    "dataexport_webhook_duplicates_total": Note(
        "no duplicate", CORRECTED, "max without (instance, pod) (increase(dataexport_webhook_duplicates_total[1d]))"
    ),
    "dataexport_webhook_test_calls_total": Note(
        "no test call", CORRECTED, "max without (instance, pod) (increase(dataexport_webhook_test_calls_total[1d]))"
    ),
    "dataexport_webhook_quarantined_total": Note(
        "no body was quarantined for this reason, or all were replayed",
        "yes: a replay removes bodies that could be parsed",
        "max without (instance, pod) (dataexport_webhook_quarantined_total) > 0",
    ),
    "dataexport_webhook_skewed_total": Note(
        "no event dated in the future",
        CORRECTED,
        "max without (instance, pod) (increase(dataexport_webhook_skewed_total[1d]))",
    ),
    "dataexport_webhook_unknown_frequencies_total": Note(
        "no event with an unknown frequency",
        CORRECTED,
        "max without (instance, pod) (increase(dataexport_webhook_unknown_frequencies_total[1d]))",
    ),
    "dataexport_webhook_unknown_status_timestamp_seconds": Note(
        "only one event with this status",
        TIMESTAMP,
        "time() - (max without (instance, pod) (dataexport_webhook_unknown_status_timestamp_seconds) > 0)",
    ),
    "dataexport_source_configured_timestamp_seconds": Note(
        NEVER, "no", "time() - (max without (instance, pod) (dataexport_source_configured_timestamp_seconds) > 0)"
    ),
    "dataexport_webhook_last_accepted_timestamp_seconds": Note(
        NEVER,
        TIMESTAMP,
        "time() - (max without (instance, pod) (dataexport_webhook_last_accepted_timestamp_seconds) > 0)",
    ),
    "dataexport_event_delay_seconds": Note(
        "no delay, or no event yet",
        "yes; negative if an event is dated after its arrival",
        "dataexport_event_delay_seconds",
    ),
    "dataexport_suspected_utc_offset_seconds": Note(
        "the arrivals suggest UTC, or nothing yet",
        "yes; it is negative west of UTC",
        "dataexport_suspected_utc_offset_seconds / 3600",
    ),
    "dataexport_timezone_suspect": Note(
        "the arrivals agree with the time zone, or there are too few",
        YES,
        "max without (instance, pod) (dataexport_timezone_suspect) == 1",
        "0 or 1",
    ),
    "dataexport_webhook_requests_total": Note(
        "no response with this code", RESETS, "sum by (source, code) (increase(dataexport_webhook_requests_total[1h]))"
    ),
    "dataexport_webhook_request_duration_seconds": Note(
        "no request yet",
        RESETS,
        "histogram_quantile(0.99, sum by (source, le) (rate(dataexport_webhook_request_duration_seconds_bucket[1h])))",
    ),
    "dataexport_webhook_auth_failures_total": Note(
        "no such request", RESETS, "sum by (source) (increase(dataexport_webhook_auth_failures_total[1h])) > 0"
    ),
    "dataexport_store_up": Note("the last read or write failed", YES, "min(dataexport_store_up) == 0", "0 or 1"),
    "dataexport_store_errors_total": Note(
        "no failed operation", RESETS, "sum by (operation) (increase(dataexport_store_errors_total[15m])) > 0"
    ),
    "dataexport_store_commit_duration_seconds": Note(
        "no commit yet",
        RESETS,
        "histogram_quantile(0.99, sum by (le) (rate(dataexport_store_commit_duration_seconds_bucket[1h])))",
    ),
    "dataexport_store_pruned_total": Note(
        "nothing removed by this process", RESETS, "sum(increase(dataexport_store_pruned_total[1d]))"
    ),
    "dataexport_clock_timestamp_seconds": Note(
        "does not occur",
        "yes, if the clock is set back",
        "timestamp(dataexport_clock_timestamp_seconds) - dataexport_clock_timestamp_seconds",
    ),
    "dataexport_checkpoint_last_success_timestamp_seconds": Note(
        "no checkpoint by this process",
        RESETS,
        "time() - (max(dataexport_checkpoint_last_success_timestamp_seconds) > 0)",
    ),
    "dataexport_config_last_reload_successful": Note(
        "the last reload was rejected; the running configuration is kept",
        YES,
        "min(dataexport_config_last_reload_successful) == 0",
        "0 or 1",
    ),
    "dataexport_config_last_reload_success_timestamp_seconds": Note(
        "does not occur", "no", "time() - max(dataexport_config_last_reload_success_timestamp_seconds)"
    ),
    "dataexport_series": Note("no source", YES, "max(dataexport_series)"),
    "dataexport_series_dropped_total": Note(
        "no series dropped", RESETS, "sum(increase(dataexport_series_dropped_total[1d])) > 0"
    ),
    "dataexport_exports_per_source_limit": Note(
        "does not occur",
        CONFIGURED,
        "count by (source) (max without (instance, pod) (dataexport_muted))\n"
        "> on () group_left () max(dataexport_exports_per_source_limit) * 0.8",
    ),
    "dataexport_tls_certificate_not_after_timestamp_seconds": Note(
        "no TLS",
        CONFIGURED,
        "(min(dataexport_tls_certificate_not_after_timestamp_seconds > 0) - time()) / 86400",
    ),
    "dataexport_store_free_bytes": Note(
        "the file system is full", YES, "min(dataexport_store_free_bytes / dataexport_store_size_bytes) < 0.1"
    ),
    "dataexport_store_size_bytes": Note(
        "does not occur; on PostgreSQL there is no series", YES, "min(dataexport_store_size_bytes)"
    ),
    "dataexport_backup_last_success_timestamp_seconds": Note(
        "no backup recorded", "only with the store", "time() - max(dataexport_backup_last_success_timestamp_seconds)"
    ),
    "dataexport_backup_max_age_seconds": Note(
        "`store.backup_max_age` is not set", CONFIGURED, "max(dataexport_backup_max_age_seconds) > 0"
    ),
    "dataexport_build_info": Note("does not occur", "no", "count by (version) (dataexport_build_info)", "always 1"),
    "dataexport_landed_timestamp_seconds": Note(
        "never",
        TIMESTAMP,
        "time() - (max without (instance, pod) (dataexport_landed_timestamp_seconds) > 0)",
    ),
    "dataexport_landed_objects": Note(
        "nothing was found, or never looked",
        YES,
        "max without (instance, pod) (dataexport_landed_objects)",
    ),
    "dataexport_landed_bytes": Note(
        "nothing was found, or never looked",
        YES,
        "max without (instance, pod) (dataexport_landed_bytes)",
    ),
    "dataexport_usual_landed_bytes": Note(
        "fewer than 3 runs",
        YES,
        "max without (instance, pod) (dataexport_usual_landed_bytes) > 0",
    ),
    "dataexport_landing_due_timestamp_seconds": Note(
        "never looked",
        TIMESTAMP,
        "max without (instance, pod) (dataexport_landing_due_timestamp_seconds) - time()",
    ),
    "dataexport_landing_missing_since_timestamp_seconds": Note(
        "nothing is missing",
        YES,
        "time() - (max without (instance, pod) (dataexport_landing_missing_since_timestamp_seconds) > 0)",
    ),
    "dataexport_landing_unannounced_timestamp_seconds": Note(
        "no such files",
        YES,
        "time() - (max without (instance, pod) (dataexport_landing_unannounced_timestamp_seconds) > 0)",
    ),
    "dataexport_landing_failing_since_timestamp_seconds": Note(
        "the last check succeeded",
        YES,
        "time() - (max without (instance, pod) (dataexport_landing_failing_since_timestamp_seconds) > 0)",
    ),
    "dataexport_landing_last_check_timestamp_seconds": Note(
        "never",
        TIMESTAMP,
        "time() - (max without (instance, pod) (dataexport_landing_last_check_timestamp_seconds) > 0)",
    ),
    "dataexport_landing_checks_total": Note(
        "no such check yet",
        NEVER,
        "sum without (instance, pod) (increase(dataexport_landing_checks_total[1d]))",
    ),
}
"""A note for every metric."""
