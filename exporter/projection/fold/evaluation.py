"""Evaluates the folded events of an export at one instant: its deadlines, missed slots and state. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain import deadlines
from exporter.domain.exports import DEFAULT_OBJECTIVE, GROUP, GROUP_LABEL
from exporter.domain.slots import Schedule, Standing, first_after
from exporter.domain.states import ExportState
from exporter.projection.fold.recent_slots import Allowance, recent_slots
from exporter.projection.fold.usual_duration import usual_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.projection.fold.rules import Rules
    from exporter.projection.fold.runs import Runs

_NEVER = float("inf")


def evaluate(  # noqa: PLR0913 - everything that a state depends on
    key: ExportKey,
    runs: Runs,
    rules: Rules,
    source: Source,
    *,
    now: float,
    declared: Declaration | None = None,
    unmuted_at: float = 0,
) -> ExportState:
    """Return the state of an export at ``now``.

    Args:
        key: the export.
        runs: its events, folded.
        rules: what they were folded by.
        source: its source.
        now: the instant; slots are missed, and mutes end, as it passes.
        declared: its declaration, which then provides the labels; None if it is not declared.
        unmuted_at: when a mute ended last; `recent_slots` leaves out the slots before it.
    """
    outages = rules.outages
    runs = runs.after_changes(now, rules)
    expectation = rules.expectation_for_at(now)(runs.interval)
    retired_at = rules.retirements[-1] if rules.retirements else 0.0
    running: Sequence[float] = ()
    if runs.open_runs:
        running = [started_at for started_at in runs.open_runs.values() if started_at > retired_at]
    running_since = min(running) if running else 0.0
    current = _current_slots(runs, rules, now)
    verdict = current.verdict
    objective = declared.objective if declared else DEFAULT_OBJECTIVE
    muted_until = declared.muted_until if declared else 0
    muted = now < muted_until
    recent = recent_slots(runs, verdict, now, max(unmuted_at, muted_until), Allowance(objective, expectation.interval))
    started = expectation.interval and runs.last_initiated > retired_at
    run_deadline = 0.0
    if running_since:
        when_it_began = rules.expectation_for_at(running_since)(runs.interval)
        run_deadline = deadlines.run_deadline_after(running_since, when_it_began, outages)
    return ExportState(
        source=key.source,
        export=GROUP_LABEL if key.kind == GROUP else key.name,
        partner=(declared.match.partner or "") if declared else runs.partner,
        data_type=(declared.match.data_type or "") if declared else runs.data_type,
        frequency=declared.frequency if declared else runs.frequency,
        timezone=source.timezone,
        declared=declared is not None,
        key=key,
        severity=declared.severity if declared else source.severity,
        owner=declared.owner if declared else "",
        runbook_url=declared.runbook_url if declared else "",
        interval=expectation.interval,
        grace=expectation.grace,
        max_runtime=expectation.max_runtime,
        objective=objective,
        last_initiated=runs.last_initiated,
        last_completed=runs.last_completed,
        last_failed=runs.last_failed,
        last_received=runs.last_received,
        last_duration=runs.last_duration,
        usual_duration=usual_duration(runs.recent_durations),
        duration_buckets=runs.duration_buckets,
        duration_sum=runs.duration_sum,
        in_progress=len(running),
        running_since=running_since,
        start_deadline=_start_deadline(runs, rules, now) if started else 0,
        deadline=current.deadline,
        run_deadline=run_deadline,
        initiated=runs.initiated,
        completed=runs.completed,
        failed=runs.failed,
        abandoned=runs.superseded,
        slots=runs.slots + verdict.missed + verdict.unknown,
        slots_late=runs.late_slots,
        slots_missed=runs.missed_slots + verdict.missed,
        slots_unknown=runs.unknown_slots + verdict.unknown,
        slots_missed_1d=recent.missed_1d,
        slots_unknown_1d=recent.unknown_1d,
        last_slots=runs.last_slots,
        slots_since=verdict.last_slots,
        slots_over_objective_7d=recent.over_objective_7d,
        recurring=expectation.interval > 0,
        muted=muted,
        muted_until=muted_until if muted else 0,
        muted_by="the configuration" if muted else "",
        muted_why="",
        changes_at=min(current.changes_at, recent.changes_at, muted_until if muted else _NEVER, rules.next_change(now)),
    )


def _start_deadline(runs: Runs, rules: Rules, now: float) -> float:
    """Return the deadline of the next start; a change of the configuration only moves it to a later time."""
    since, interval = runs.last_initiated, runs.interval
    expectation = rules.expectation_for_at(since)(interval)
    deadline = deadlines.deadline_after(since, expectation, rules.outages) if expectation.interval else 0.0
    for change in rules.changes_between(since, now):
        before, expectation = expectation, change.expectation_for(interval)
        if expectation.interval:
            begins_at = since if expectation.interval == before.interval else change.at
            deadline = max(deadline, deadlines.deadline_after(begins_at, expectation, rules.outages))
    return deadline


def _current_slots(runs: Runs, rules: Rules, now: float) -> Standing:
    """Judge the slots since the last completion.

    ================================  =================================================================
    the schedule began with           the deadline is
    ================================  =================================================================
    a completion                      an interval and the grace period later
    the start after a retirement      the same
    the first start                   the same
    the declaration, or a change of   the same
    the interval
    nothing yet; the export declares  ``first_expected`` and the grace period
    a ``first_expected``
    ================================  =================================================================
    """
    schedule = current_schedule(runs, rules, now)
    if schedule is None:
        return Standing()
    retired_at = first_after(schedule.since, rules.retirements)
    if 0 < retired_at <= now:
        return Standing(verdict=schedule.ended(retired_at))
    standing = schedule.at(now)
    return standing._replace(changes_at=min(standing.changes_at, retired_at)) if retired_at else standing


def current_schedule(runs: Runs, rules: Rules, now: float) -> Schedule | None:
    """Return the schedule in effect at ``now``, also the one of a declared export without any event; None without one.

    Args:
        runs: the events of an export, folded, `Runs.after_changes` until ``now``.
        rules: what they were folded by.
        now: Unix seconds.
    """
    schedule = runs.schedule(rules.outages)
    expectation = rules.expectation_for_at(now)(runs.interval)
    if schedule is None and not runs.scheduled_since and expectation.interval and not runs.last_received:
        begins_at = rules.beginning.of_schedule(now, expectation, already_scheduled=True)
        schedule = Schedule(begins_at, expectation, 0, rules.outages)
    return schedule
