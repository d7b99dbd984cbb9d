"""Finds out what the deadline of an export follows from, for people who ask why. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain import deadlines
from exporter.domain.explanation import CountedFrom, DeadlineBasis
from exporter.domain.slots import first_after
from exporter.projection.fold.evaluation import current_schedule

if TYPE_CHECKING:
    from exporter.domain.exports import Declaration
    from exporter.domain.slots import Schedule
    from exporter.projection.fold.rules import Rules
    from exporter.projection.fold.runs import Runs


def deadline_basis(runs: Runs, rules: Rules, now: float, declared: Declaration | None = None) -> DeadlineBasis | None:
    """Return what the deadline at ``now`` follows from; None if there is none.

    Args:
        runs: the events of the export, folded.
        rules: what they were folded by.
        now: Unix seconds.
        declared: its declaration; None if it is not declared.
    """
    runs = runs.after_changes(now, rules)
    schedule = current_schedule(runs, rules, now)
    if schedule is None or 0 < first_after(schedule.since, rules.retirements) <= now:
        return None
    expectation = schedule.expectation
    number = deadlines.first_visible_slot(schedule.since, expectation, rules.outages, schedule.lead)
    first_slot = schedule.slot(1)
    hiding = [
        outage
        for outage in rules.outages
        if number > 1 and deadlines.is_hidden_by(outage, schedule.slot(number - 1), expectation.grace, schedule.lead)
    ]
    return DeadlineBasis(
        counted_from=_counted_from(schedule, first_slot, runs, rules),
        since=schedule.since,
        first_slot=first_slot,
        slot=schedule.slot(number),
        number=number,
        interval=expectation.interval,
        grace=expectation.grace,
        outage=hiding[-1] if hiding else None,
        interval_is_declared=declared is not None and declared.interval is not None,
        grace_is_declared=declared is not None and declared.grace is not None,
    )


def _counted_from(schedule: Schedule, first_slot: float, runs: Runs, rules: Rules) -> CountedFrom:
    since = schedule.since
    if since == runs.last_completed:
        return CountedFrom.COMPLETION
    if first_slot == rules.beginning.first_expected:
        return CountedFrom.FIRST_EXPECTED
    if since == rules.beginning.declared_at:
        return CountedFrom.DECLARATION
    after_retirement = bool(rules.retirements) and since > rules.retirements[-1]
    if after_retirement or since in {runs.first_start, runs.last_initiated}:
        return CountedFrom.START
    return CountedFrom.CHANGE
