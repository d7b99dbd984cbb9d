"""How the alerts did: each planted fault beside what was told of it, and what was told for nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from alert_history import EVALUATION
from planted import MINUTE, OUTAGE, TOLERANCE, UNTIL, key_of

from exporter.cli.tables import format_table
from exporter.domain.frequency import DAY
from exporter.domain.humanize import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from planted import Episode, Expected, Incident, Truth

    from exporter.cli.simulation import SimulatedWebhook

CORE = ("ExportOverdue", "ExportOverdueCritical", "ExportNeverCompleted", "ExportRunStuck", "ExportExporterDown")
"""Alerts whose every episode follows from the planted faults."""


def judged(expected: list[Expected], found: list[Episode]) -> list[Episode]:
    """Give every episode to the expectation that it meets; what is left over was raised for nothing."""
    extra = []
    for episode in found:
        for each in expected:
            same = (each.alert, each.key) == (episode.alert, episode.key)
            if same and each.earliest - EVALUATION <= episode.begins and episode.begins <= each.ends:
                each.found.append(episode)
                break
        else:
            extra.append(episode)
    return extra


def fault_of(each: Expected) -> str:
    """What is wrong with how an expectation was met; empty where it was met as it should be."""
    if not each.found:
        return "MISSING" if each.wanted else ""
    first, last = each.found[0], each.found[-1]
    if first.begins > each.latest + 2 * EVALUATION:
        return f"LATE by {format_duration(first.begins - each.latest)}"
    if len(each.found) > 1:
        return f"IN {len(each.found)} PIECES"
    if abs(min(last.ends, UNTIL) - min(each.ends, UNTIL)) > TOLERANCE:
        return f"ENDS {format_duration(last.ends - each.ends)} {'after' if last.ends > each.ends else 'before'} the run"
    return ""


def tell_alerts(
    expected: list[Expected],
    found: Mapping[str, list[Episode]],
    left_out: list[str],
    truth: Truth,
    happenings: list[SimulatedWebhook],
) -> bool:
    """Print what each alert did; whether all were right."""
    rows, wrong, extras = [], [], []
    for alert in CORE:
        own = [each for each in expected if each.alert == alert]
        extra = judged(own, found.get(alert, []))
        faults = [(each, fault_of(each)) for each in own]
        met = [each for each in own if each.found]
        wrong += [(each, text) for each, text in faults if text]
        extras += extra
        wanted = [each for each in own if each.wanted]
        missing = sum(not each.found for each in wanted)
        slow = [each.found[0].begins - each.earliest for each in met]
        rows.append(
            (
                alert,
                str(len(wanted)),
                str(len(wanted) - missing),
                str(missing),
                str(len(extra)),
                format_duration(max(slow, default=0)) if met else "",
            )
        )
    print(format_table(("ALERT", "EXPECTED", "RAISED", "MISSING", "EXTRA", "LONGEST AFTER ITS TIME"), rows), end="\n\n")
    for each, text in wrong:
        print(f"{each.alert} {' '.join(each.key)} ({each.fault}): {text}")
    for episode in extras:
        print(f"EXTRA {_said(episode)}: {_reason(episode, truth, happenings)}")
    for alert in found:
        if alert not in CORE:
            own_found = found[alert]
            print(f"not judged: {alert}, {len(own_found)} episodes")
            for episode in own_found[:12]:
                print(f"    {_said(episode)}")
    print(f"not evaluated: {', '.join(left_out)}\n")
    return not wrong and not extras


def _said(episode: Episode) -> str:
    begins, ends = (datetime.fromtimestamp(each, UTC) for each in (episode.begins, episode.ends))
    length = format_duration(episode.ends - episode.begins)
    return f"{episode.alert} {' '.join(episode.key)} {begins:%d %b %H:%M} to {ends:%d %b %H:%M} UTC ({length})"


def _reason(episode: Episode, truth: Truth, happenings: list[SimulatedWebhook]) -> str:
    """What may have led to an episode that nobody planted."""
    [number] = [number for number, plan in truth.plans.items() if key_of(plan) == episode.key] or [-1]
    if number < 0:
        return "of no export in the plan"
    plan = truth.plans[number]
    lost = [each for each in happenings if each.body and OUTAGE[0] <= each.at < OUTAGE[1]]
    mine = {*truth.starts[number], *truth.ends[number]} & {each.at for each in lost}
    if mine and 0 < episode.begins - OUTAGE[1] < 2 * (plan.interval or DAY):
        return f"{len(mine)} of its webhooks were lost while the exporter was down"
    earlier, later = (datetime.fromtimestamp(episode.begins + shift, plan.zone).utcoffset() for shift in (-DAY, MINUTE))
    return "the clocks changed in the day before" if earlier != later else "no reason is known"


def tell_confusion(
    incidents: list[Incident], found: Mapping[str, list[Episode]], usual: Mapping[str, list[Episode]]
) -> None:
    """Print how many of the planted faults each set of rules told, and what it told beside them."""
    ours = [episode for alert in CORE[:4] for episode in found.get(alert, [])]
    rows = []
    for name, episodes in {"shipped alerts": ours, **usual}.items():
        troubled = [each for each in incidents if each.to_page]
        delays, false, lasting = [], Counter[str](), 0.0
        for each in troubled:
            own = [episode for episode in episodes if _tells(episode, each)]
            if own:
                delays.append(max(0.0, min(episode.begins for episode in own) - each.promised))
        for episode in episodes:
            if not any(_tells(episode, each) for each in troubled):
                false[" ".join(episode.key)] += 1
                lasting += episode.ends - episode.begins
        rows.append(
            (
                name,
                f"{len(delays)} of {len(troubled)}",
                str(len(troubled) - len(delays)),
                format_duration(sorted(delays)[len(delays) // 2]) if delays else "",
                format_duration(max(delays, default=0)),
                str(sum(false.values())),
                str(len(false)),
                format_duration(lasting),
            )
        )
    heads = ("RULE", "FAULTS TOLD", "MISSED", "MEDIAN DELAY", "LONGEST", "FALSE PAGES", "OF EXPORTS", "FALSE FOR")
    print(format_table(heads, rows))


def _tells(episode: Episode, incident: Incident) -> bool:
    return episode.key == incident.key and incident.due <= episode.begins <= incident.ends
