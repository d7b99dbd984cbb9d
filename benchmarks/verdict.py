"""Judges the alerts: those that each planted fault raised, and those that were raised without a fault."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from alert_history import EVALUATION
from planted import MINUTE, OUTAGE, PAGE, TICKET, TOLERANCE, UNTIL, key_of

from exporter.cli.tables import format_table
from exporter.domain.frequency import DAY
from exporter.domain.humanize import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planted import Episode, Expected, Incident, Truth

    from exporter.cli.simulation import SimulatedWebhook

CORE = ("ExportOverdue", "ExportOverdueCritical", "ExportNeverCompleted", "ExportRunStuck", "ExportExporterDown")
"""Alerts whose every episode follows from the planted faults."""


def unexpected(expected: list[Expected], raised: list[Episode]) -> list[Episode]:
    """Assign every episode to the expected alert that it meets; return the others, which have no cause."""
    extra = []
    for episode in raised:
        for alert in expected:
            same = (alert.alert, alert.severity, alert.key) == (episode.alert, episode.severity, episode.key)
            if same and alert.earliest - EVALUATION <= episode.begins and episode.begins <= alert.ends:
                alert.episodes.append(episode)
                break
        else:
            extra.append(episode)
    return extra


def problem_of(alert: Expected) -> str:
    """Return what is wrong with how an expected alert fired; empty if nothing is."""
    if not alert.episodes:
        return "MISSING" if alert.required else ""
    first, last = alert.episodes[0], alert.episodes[-1]
    if first.begins > alert.latest + 2 * EVALUATION:
        return f"LATE by {format_duration(first.begins - alert.latest)}"
    if len(alert.episodes) > 1:
        return f"IN {len(alert.episodes)} PIECES"
    if abs(min(last.ends, UNTIL) - min(alert.ends, UNTIL)) > TOLERANCE:
        side = "after" if last.ends > alert.ends else "before"
        return f"ENDS {format_duration(last.ends - alert.ends)} {side} the run"
    return ""


def print_alerts(
    expected: list[Expected],
    raised: Mapping[str, list[Episode]],
    left_out: list[str],
    truth: Truth,
    webhooks: list[SimulatedWebhook],
) -> bool:
    """Print how each alert did; return True if all were right."""
    rows, wrong, extras = [], [], []
    totals = {PAGE: [0, 0, 0, 0], TICKET: [0, 0, 0, 0]}
    kinds = {(item.alert, item.severity) for item in expected}
    kinds |= {(episode.alert, episode.severity) for alert in CORE for episode in raised.get(alert, [])}
    for alert, severity in sorted(kinds, key=lambda kind: (CORE.index(kind[0]), kind[1])):
        of_alert = [item for item in expected if (item.alert, item.severity) == (alert, severity)]
        extra = unexpected(of_alert, [episode for episode in raised.get(alert, []) if episode.severity == severity])
        problems = [(item, problem_of(item)) for item in of_alert]
        met = [item for item in of_alert if item.episodes]
        wrong += [(item, problem) for item, problem in problems if problem]
        extras += extra
        required = [item for item in of_alert if item.required]
        missing = sum(not item.episodes for item in required)
        delays = [item.episodes[0].begins - item.earliest for item in met]
        numbers = [len(required), len(required) - missing, missing, len(extra)]
        totals[severity] = [total + number for total, number in zip(totals[severity], numbers, strict=True)]
        longest = format_duration(max(delays, default=0)) if met else ""
        rows.append((alert, severity, *map(str, numbers), longest))
    for name, severity in (("pages", PAGE), ("tickets", TICKET)):
        rows.append((f"all {name}", severity, *map(str, totals[severity]), ""))
    heads = ("ALERT", "SEVERITY", "EXPECTED", "RAISED", "MISSING", "EXTRA", "LONGEST AFTER ITS TIME")
    print(format_table(heads, rows), end="\n\n")
    for item, problem in wrong:
        print(f"{item.alert} {' '.join(item.key)} ({item.fault}): {problem}")
    for episode in extras:
        print(f"EXTRA {_format(episode)}: {_reason(episode, truth, webhooks)}")
    for alert, episodes in raised.items():
        if alert not in CORE:
            print(f"not judged: {alert}, {len(episodes)} episodes")
            for episode in episodes[:12]:
                print(f"    {_format(episode)}")
    print(f"not evaluated: {', '.join(left_out)}\n")
    return not wrong and not extras


def _format(episode: Episode) -> str:
    begins, ends = (datetime.fromtimestamp(instant, UTC) for instant in (episode.begins, episode.ends))
    length = format_duration(episode.ends - episode.begins)
    return f"{episode.alert} {' '.join(episode.key)} {begins:%d %b %H:%M} to {ends:%d %b %H:%M} UTC ({length})"


def _reason(episode: Episode, truth: Truth, webhooks: list[SimulatedWebhook]) -> str:
    """Return what may have caused an episode without a planted fault."""
    [number] = [number for number, plan in truth.plans.items() if key_of(plan) == episode.key] or [-1]
    if number < 0:
        return "of no export in the plan"
    plan = truth.plans[number]
    lost = {webhook.at for webhook in webhooks if webhook.body and OUTAGE[0] <= webhook.at < OUTAGE[1]}
    lost &= {*truth.starts[number], *truth.ends[number]}
    if lost and 0 < episode.begins - OUTAGE[1] < 2 * (plan.interval or DAY):
        return f"{len(lost)} of its webhooks were lost while the exporter was down"
    earlier, later = (datetime.fromtimestamp(episode.begins + shift, plan.zone).utcoffset() for shift in (-DAY, MINUTE))
    return "the clocks changed in the day before" if earlier != later else "no reason is known"


def print_confusion(
    incidents: list[Incident], raised: Mapping[str, list[Episode]], common: Mapping[str, list[Episode]]
) -> None:
    """Print how many of the planted faults each set of rules detected, and its false pages."""
    ours = [episode for alert in CORE[:4] for episode in raised.get(alert, [])]
    pages = [episode for episode in ours if episode.severity == PAGE]
    told = [incident for incident in incidents if not incident.is_muted]
    paged = [incident for incident in told if incident.pages]
    rows = []
    rules = [("shipped, pages", pages, paged), ("shipped, pages and tickets", ours, told)]
    for name, episodes, to_page in [*rules, *((name, episodes, told) for name, episodes in common.items())]:
        delays, false, lasting = [], Counter[str](), 0.0
        for incident in to_page:
            matching = [episode for episode in episodes if _matches(episode, incident)]
            if matching:
                delays.append(max(0.0, min(episode.begins for episode in matching) - incident.deadline))
        for episode in episodes:
            if not any(_matches(episode, incident) for incident in to_page):
                false[" ".join(episode.key)] += 1
                lasting += episode.ends - episode.begins
        rows.append(
            (
                name,
                f"{len(delays)} of {len(to_page)}",
                str(len(to_page) - len(delays)),
                format_duration(sorted(delays)[len(delays) // 2]) if delays else "",
                format_duration(max(delays, default=0)),
                str(sum(false.values())),
                str(len(false)),
                format_duration(lasting),
            )
        )
    heads = ("RULE", "FAULTS TOLD", "MISSED", "MEDIAN DELAY", "LONGEST", "FALSE ALERTS", "OF EXPORTS", "FALSE FOR")
    print(format_table(heads, rows))


def _matches(episode: Episode, incident: Incident) -> bool:
    return episode.key == incident.key and incident.due <= episode.begins <= incident.ends
