"""Writes docs/reference/alerts.md from the rule files, the routes and the inhibition, with notes beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.domain.durations import parse_duration
from exporter.domain.humanize import format_duration
from monitoring import read_yaml
from reference_pages.markdown import code, codes, document, table

ROOT = Path(__file__).parents[2]
RULES = ROOT / "alerts" / "dataexport.rules.yaml"
ALERTMANAGER = ROOT / "alerts" / "alertmanager.yaml"
EXPORT_LABELS = frozenset({"job", "source", "export", "partner", "data_type", "frequency"})
OWN = "own"
"""The severity of alerts that carry the severity of their export."""

INTRODUCTION = """\
Severity `critical` pages, `warning` is a ticket, `info` is shown on dashboards only. An alert of severity *own* has \
the severity of its export: `exports.severity` for a declared export (default `critical`), `sources.severity` for an \
undeclared one (default `warning`).

An alert of severity *own* inhibits others only while it is critical, and is inhibited by another alert about the \
export only while it is not. `alerts/alertmanager.yaml` has the inhibition rules.

*Time to fire* is what passes after the condition begins. Add up to one scrape interval and one evaluation interval of \
Prometheus, and the `group_wait` of Alertmanager (30 s as shipped).

- A muted export raises no alert, and slots missed while it was muted are not reported afterwards.
- An export without an interval, such as a one-time export, is never overdue. Its runs can be stuck or fail.
- An alert about an export resolves when the export completes or is muted. An alert that counts (missed, unknown, \
quarantined, over the objective) resolves when the counted events are older than its window.
- While the exporter cannot be scraped, no alert about an export starts. One that fires continues for 15 minutes; \
`ExportExporterDown` then replaces it.
- An export whose files have landed although no Completed event arrived is not reported as overdue or never \
completed, but by `ExportLandedUnannounced`, until the deadline of its next run.
- Two replicas raise one alert. One replica that is down raises none.
- Alerts about an export carry its `owner` and `runbook_url` as labels, so routes can match on them."""


@dataclass(frozen=True, slots=True)
class Note:
    """What the rules do not say in words.

    Attributes:
        state: the state of an export in that time, or what the alert is about.
        condition: when it fires.
        time: what passes after that begins, in addition to the ``for`` of the rule.
    """

    state: str
    condition: str
    time: str = ""


NOTES = {
    "ExportOverdue": Note("overdue", "an export that has completed before is past its deadline", "at the deadline"),
    "ExportOverdueCritical": Note(
        "overdue, never completed",
        "an export of severity `warning` is past its deadline by a whole interval",
        "one interval after the deadline",
    ),
    "ExportNeverCompleted": Note(
        "never completed", "an export that has never completed is past its first deadline", "at the deadline"
    ),
    "ExportRunStuck": Note("stuck", "a run takes longer than its max runtime", "at the run deadline"),
    "ExportNotStarted": Note(
        "not started", "an export is past its start deadline, and not past its deadline yet", "at the start deadline"
    ),
    "ExportRunFailed": Note(
        "failed", "a run was reported as failed, and none has completed since", "when the event arrives"
    ),
    "ExportWithoutSchedule": Note(
        "no schedule", "a declared export has no interval, so it can never be overdue", "at once"
    ),
    "ExportNothingLanded": Note(
        "nothing landed",
        "an export completed, and its files are not in the bucket, or are too few or too small",
        "`landing.within` after the run completed",
    ),
    "ExportLandedUnannounced": Note(
        "landed unannounced",
        "files of an export are in the bucket, and no Completed event has arrived",
        "5 min before the deadline",
    ),
    "ExportLandingCheckFailing": Note(
        "check failing", "the bucket of an export could not be listed for 15 minutes", "15 min"
    ),
    "ExportLandedSmall": Note(
        "small", "a run landed with under a fifth of the median of the 14 runs before", "`landing.within`, and a minute"
    ),
    "ExportMissedRuns": Note(
        "missed slots", "two slots or more were missed in a day", "one interval after the second slot was due"
    ),
    "ExportSlotsUnknown": Note(
        "unknown slots",
        "an outage of the exporter may have hidden completions of the last day",
        "one interval after the slot was due",
    ),
    "ExportFreshnessBudgetBurn": Note(
        "error budget",
        "in 7 days, more slots were late or missed than the objective allows, and at least two",
        "when the slot is late or missed",
    ),
    "ExportRunSlow": Note(
        "slow run", "the last run took over twice the median of 14 days, after ten runs", "when the run completes"
    ),
    "ExportWebhookSilent": Note(
        "source silent",
        "a source sent nothing for two intervals of an export that was running until then, and the export is overdue",
        "two intervals after the last event",
    ),
    "ExportWebhookRejecting": Note(
        "source rejected",
        "two requests or more for a source were rejected with the same 4xx code in an hour",
        "at once",
    ),
    "ExportEventsQuarantined": Note("quarantine", "bodies were quarantined in the last day", "at once"),
    "ExportUnknownStatus": Note(
        "unknown status", "two events with the same unknown status arrived within 30 hours", "at the second event"
    ),
    "ExportSourceNeverHeard": Note(
        "source never heard", "a source was configured a day ago, and none of its events was ever stored", "one day"
    ),
    "ExportWebhookSlow": Note("slow webhook", "the webhook's p99 over an hour is above 1 s", "up to an hour"),
    "ExportTimezoneSuspect": Note(
        "wrong time zone", "the configured time zone contradicts the arrival times of the source", "at once"
    ),
    "ExportSeriesLimitReached": Note(
        "series limit", "a source has more exports than `limits.exports_per_source`", "at once"
    ),
    "ExportExporterDown": Note("exporter down", "no replica has answered a scrape", "5 min"),
    "ExportExporterAbsent": Note(
        "exporter absent",
        "Prometheus has no target that has answered as an exporter within a day",
        "5 min; 24 h if it is down",
    ),
    "ExportStoreFailing": Note(
        "store failing",
        "the store of a replica has not worked for 5 minutes, or three operations failed in 15 minutes",
        "5 min without success, or the third error",
    ),
    "ExportConfigReloadFailed": Note(
        "reload failed", "the last reload was rejected; the running configuration is kept", "at once"
    ),
    "ExportClockSkewed": Note(
        "wrong clock", "the clock of a replica differs from that of Prometheus by more than a minute", "at once"
    ),
    "ExportCertificateExpiring": Note(
        "certificate", "the certificate of the webhook, or one of its chain, expires in less than 14 days", "at once"
    ),
    "ExportStoreDiskFull": Note(
        "disk",
        "the file system of a SQLite store has less than 10 % free, or is full within a day at the pace of six hours",
        "at once",
    ),
    "ExportBackupOld": Note(
        "backup", "the newest recorded backup is older than `store.backup_max_age`, or none was recorded", "at once"
    ),
    "ExportWatchdog": Note("always", "always; a dead man's switch alerts when it stops", "at once"),
    "ExportDeclaredAbsent": Note(
        "no series", "a declared export has no series; generated by `dataexport-exporter rules --declared`", "15 min"
    ),
}
"""A note for every alert."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of the rule files.

    Attributes:
        severity: of its labels; `OWN` if the series has it.
        waits: the ``for`` of the rule.
        labels: the names of its labels, of those that inhibition compares.
    """

    name: str
    severity: str
    waits: str
    labels: frozenset[str]


def alerts() -> list[Alert]:
    """Return every alert, in the order of the rule file; the one that `rules` generates is last."""
    found = []
    for group in read_yaml(RULES)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                severity = rule.get("labels", {}).get("severity", OWN)
                found.append(Alert(rule["alert"], severity, rule.get("for", ""), _labels(rule)))
    return [*found, Alert("ExportDeclaredAbsent", "warning", "2m", frozenset({"job", "source", "export"}))]


def _labels(rule: dict[str, Any]) -> frozenset[str]:
    description = rule["annotations"]["description"]
    if "$labels.export " in description:
        return EXPORT_LABELS
    if "$labels.source " in description or "$labels.source," in description:
        return frozenset({"job", "source"})
    return frozenset() if rule["expr"] == "vector(1)" else frozenset({"job"})


def inhibited_by(alert: Alert, every: list[Alert]) -> list[str]:
    """Return the alerts that inhibit one, by the inhibition rules of `ALERTMANAGER`."""
    names = []
    for rule in read_yaml(ALERTMANAGER)["inhibit_rules"]:
        if _matches(rule["target_matchers"], alert):
            equal = set(rule["equal"])
            names += [
                source.name
                for source in every
                if _matches(rule["source_matchers"], source) and source.labels & equal == alert.labels & equal
            ]
    return [name for name in dict.fromkeys(names) if name != alert.name]


def _matches(matchers: list[str], alert: Alert) -> bool:
    labels = {
        "alertname": {alert.name},
        "severity": {"critical", "warning", "info"} if alert.severity == OWN else {alert.severity},
        "export": {"an export" if "export" in alert.labels else ""},
    }
    return all(_holds(matcher, labels) for matcher in matchers)


def _holds(matcher: str, labels: dict[str, set[str]]) -> bool:
    """Return whether a matcher of Alertmanager holds for a possible value of its label."""
    parsed = re.fullmatch(r"(\w+) (=~|!~|!=|=) \"?([^\"]*)\"?", matcher)
    if parsed is None:
        raise ValueError(matcher)
    name, operator, pattern = parsed.groups()
    pattern = pattern if operator.endswith("~") else re.escape(pattern)
    return any(bool(re.fullmatch(pattern, value)) == operator.startswith("=") for value in labels[name])


def page() -> str:
    """Return the text of the page."""
    every = alerts()
    return document(
        "Alerts",
        INTRODUCTION,
        table(
            ["alert", "state", "fires when", "time to fire", "severity", "inhibited by"],
            [_row(alert, every) for alert in every],
        ),
    )


def _row(alert: Alert, every: list[Alert]) -> list[str]:
    note = NOTES[alert.name]
    time = f"{note.time}, plus {format_duration(parse_duration(alert.waits))}" if alert.waits else note.time
    link = f"[{code(alert.name)}](../runbooks/{alert.name}.md)"
    return [link, note.state, note.condition, time, alert.severity, codes(inhibited_by(alert, every))]
