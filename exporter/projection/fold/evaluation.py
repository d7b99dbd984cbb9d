"""Evaluates the folded events of an export at one instant: its deadlines, missed slots and state. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain import deadlines, slots
from exporter.domain.exports import DEFAULT_OBJECTIVE, GROUP, GROUP_LABEL
from exporter.domain.states import ExportState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Declaration, Expectation, ExportKey, Source
    from exporter.projection.fold.runs import Runs

_NEVER = float("inf")


def evaluate(  # noqa: PLR0913 - everything that a state depends on
    key: ExportKey,
    runs: Runs,
    expectation: Expectation,
    source: Source,
    *,
    now: float,
    outages: Sequence[Outage] = (),
    declared: Declaration | None = None,
    declared_at: float = 0,
    retired: Sequence[float] = (),
) -> ExportState:
    """Return the state of an export at ``now``.

    Args:
        key: the export.
        runs: its events, folded.
        expectation: what is expected of it now.
        source: its source.
        now: the instant; slots are missed, and mutes end, as it passes.
        outages: in chronological order.
        declared: its declaration, which then provides the labels; None if it is not declared.
        declared_at: when it was first declared.
        retired: when people retired it, in order.
    """
    slot_expectation = runs.slot_expectation  # applies to slots until the next start
    counted_until = retired_at = 0.0
    running: Sequence[float] = ()
    if retired:
        # No slot is missed between a retirement and the next start.
        counted_until = slots.first_after(runs.last_slot_start, retired)
        retired_at = retired[-1]
    if runs.open_runs:
        running = [started_at for started_at in runs.open_runs.values() if started_at > retired_at]
    running_since = min(running) if running else 0.0
    missed_since = unknown = 0
    changes_at = _NEVER
    if slot_expectation:
        missed_since = slots.missed_slots(runs.last_slot_start, min(now, counted_until or now), slot_expectation)
        unknown = slots.unknown_slots(runs.last_slot_start, missed_since, slot_expectation, outages) if outages else 0
        changes_at = slots.next_miss_at(runs.last_slot_start, missed_since, slot_expectation)
        if counted_until and changes_at > counted_until:
            changes_at = _NEVER
    muted_until = declared.muted_until if declared else 0
    muted = now < muted_until
    if muted:
        changes_at = min(changes_at, muted_until)
    start_deadline, deadline = _deadlines(runs, expectation, outages, declared, declared_at, retired_at)
    run_deadline = deadlines.run_deadline_after(running_since, expectation, outages) if running_since else 0.0
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
        objective=declared.objective if declared else DEFAULT_OBJECTIVE,
        last_initiated=runs.last_initiated,
        last_completed=runs.last_completed,
        last_failed=runs.last_failed,
        last_received=runs.last_received,
        last_duration=runs.last_duration,
        duration_buckets=runs.duration_buckets,
        duration_sum=runs.duration_sum,
        in_progress=len(running),
        running_since=running_since,
        start_deadline=start_deadline,
        deadline=deadline,
        run_deadline=run_deadline,
        initiated=runs.initiated,
        completed=runs.completed,
        failed=runs.failed,
        abandoned=runs.superseded,
        slots=runs.slots + missed_since,
        slots_late=runs.late_slots,
        slots_missed=runs.missed_slots + missed_since - unknown,
        slots_unknown=runs.unknown_slots + unknown,
        recurring=expectation.interval > 0,
        muted=muted,
        muted_until=muted_until if muted else 0,
        muted_by="the configuration" if muted else "",
        muted_why="",
        changes_at=changes_at,
    )


def _deadlines(  # noqa: PLR0913, PLR0917 - everything that they depend on
    runs: Runs,
    expectation: Expectation,
    outages: Sequence[Outage],
    declared: Declaration | None,
    declared_at: float,
    retired_at: float,
) -> tuple[float, float]:
    """Return the start deadline and the deadline, 0 for none.

    ==============  ======================================================================
    deadline        one interval plus grace after
    ==============  ======================================================================
    start deadline  the last start, unless the export was retired since then
    deadline        the last completion, or the start that ended a retirement if it is later;
                    before any of them the first start; before any start of a declared export
                    ``first_expected`` or else the declaration
    ==============  ======================================================================
    """
    if not expectation.interval:
        return 0.0, 0.0
    started = runs.last_initiated > retired_at
    start_deadline = deadlines.deadline_after(runs.last_initiated, expectation, outages) if started else 0.0
    since = max(runs.last_completed, runs.reactivated_at) or runs.first_start
    if not since and declared is not None:
        since = declared.first_expected or declared_at
    deadline = deadlines.deadline_after(since, expectation, outages, runs.last_duration) if since else 0.0
    return start_deadline, deadline
