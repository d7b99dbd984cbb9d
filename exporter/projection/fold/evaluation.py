"""What is known of an export at one instant, worked out from what was folded. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain import deadlines, slots
from exporter.domain.exports import ANY, GROUP, OBJECTIVE
from exporter.domain.states import ExportState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Gap
    from exporter.domain.exports import Declaration, ExportKey, Source, Terms
    from exporter.projection.fold.runs import Runs

_NEVER = float("inf")


def export_state(  # noqa: PLR0913 - all that a state depends on, and nothing hidden
    key: ExportKey,
    runs: Runs,
    promise: Terms,
    source: Source,
    *,
    now: float,
    gaps: Sequence[Gap] = (),
    declared: Declaration | None = None,
    declared_at: float = 0,
    retired: Sequence[float] = (),
) -> ExportState:
    """The state of an export.

    Args:
        key: which export.
        runs: its events, folded.
        promise: what it promises now.
        source: its source.
        now: the instant; what is missed while nothing starts, and whether it is muted, depend on it.
        gaps: when nobody listened, in order.
        declared: its declaration, if it has one; then that names its labels, not its events.
        declared_at: when it was first declared.
        retired: when people retired it, in order.
    """
    began = runs.anchor_promise  # what holds for slots until another start comes
    left_at = retired_at = 0.0
    running: Sequence[float] = ()
    if retired:
        left_at = slots.first_after(runs.anchor, retired)  # from then on nothing is missed, until another start
        retired_at = retired[-1]
    if runs.open:
        running = [begun for begun in runs.open.values() if begun > retired_at]
    running_since = min(running) if running else 0.0
    tail = unknown = 0
    changes_at = _NEVER
    if began:
        tail = slots.missed_by(runs.anchor, min(now, left_at or now), began)
        unknown = slots.unknown_among(runs.anchor, tail, began, gaps) if gaps else 0
        changes_at = slots.next_miss(runs.anchor, tail, began)
        if left_at and changes_at > left_at:
            changes_at = _NEVER
    muted_until = declared.muted_until if declared else 0
    muted = now < muted_until
    if muted:
        changes_at = min(changes_at, muted_until)
    start_deadline, deadline = _deadlines(runs, promise, gaps, declared, declared_at, retired_at)
    run_deadline = deadlines.run_deadline_from(running_since, promise, gaps) if running_since else 0.0
    return ExportState(
        source=key.source,
        export=ANY if key.kind == GROUP else key.name,
        partner=(declared.match.partner or "") if declared else runs.partner,
        data_type=(declared.match.data_type or "") if declared else runs.data_type,
        frequency=declared.frequency if declared else runs.frequency,
        timezone=source.timezone,
        declared=declared is not None,
        key=key,
        owner=declared.owner if declared else "",
        runbook_url=declared.runbook_url if declared else "",
        interval=promise.interval,
        grace=promise.grace,
        max_runtime=promise.max_runtime,
        objective=declared.objective if declared else OBJECTIVE,
        last_initiated=runs.last_initiated,
        last_completed=runs.last_completed,
        last_failed=runs.last_failed,
        last_received=runs.last_received,
        last_duration=runs.last_duration,
        duration_buckets=runs.durations,
        duration_sum=runs.duration_sum,
        in_progress=len(running),
        running_since=running_since,
        start_deadline=start_deadline,
        deadline=deadline,
        run_deadline=run_deadline,
        initiated=runs.initiated,
        completed=runs.completed,
        failed=runs.failed,
        abandoned=runs.abandoned,
        slots=runs.slots + tail,
        slots_late=runs.late,
        slots_missed=runs.missed + tail - unknown,
        slots_unknown=runs.unknown + unknown,
        recurring=promise.interval > 0,
        muted=muted,
        muted_until=muted_until if muted else 0,
        muted_by="the configuration" if muted else "",
        muted_why="",
        changes_at=changes_at,
    )


def _deadlines(  # noqa: PLR0913, PLR0917 - all that they depend on
    runs: Runs,
    promise: Terms,
    gaps: Sequence[Gap],
    declared: Declaration | None,
    declared_at: float,
    retired_at: float,
) -> tuple[float, float]:
    """The start deadline and the deadline; 0 for none. What was before a retirement promises nothing."""
    if not promise.interval:
        return 0.0, 0.0
    started = runs.last_initiated > retired_at
    start_deadline = deadlines.deadline_from(runs.last_initiated, promise, gaps) if started else 0.0
    since = max(runs.last_completed, runs.returned) or runs.first_start
    if not since and declared is not None:
        since = declared.first_expected or declared_at
    deadline = deadlines.deadline_from(since, promise, gaps, runs.last_duration) if since else 0.0
    return start_deadline, deadline
