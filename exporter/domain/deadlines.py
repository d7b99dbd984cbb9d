"""What an export promises, when it is due, and what blind time changes about that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.daylight_saving import latest_after
from exporter.domain.exports import Terms
from exporter.domain.frequency import HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from exporter.domain.events import Gap
    from exporter.domain.exports import Declaration

LEAST_GRACE = 30 * 60
LONGEST_RUN = 6 * HOUR
LONGEST_ONE_TIME_RUN = 24 * HOUR


def terms(interval: int, zone: tzinfo | None, declared: Declaration | None = None) -> Terms:
    """What an export with this interval (0: none known) promises, after its declaration's wishes."""
    if declared is not None and declared.interval is not None:
        interval = declared.interval
    grace = max(round(interval * 0.2), LEAST_GRACE)
    max_runtime = min(interval, LONGEST_RUN) if interval else LONGEST_ONE_TIME_RUN
    if declared is not None:
        grace = grace if declared.grace is None else declared.grace
        max_runtime = max_runtime if declared.max_runtime is None else declared.max_runtime
    return Terms(interval, grace if interval else 0, max_runtime, zone)


def after_blind_time(deadline: float, grace: float, gaps: Sequence[Gap]) -> float:
    """A deadline that passed while nobody listened: one more grace after that, for a late retry."""
    for gap in gaps:
        if gap.began_at < deadline <= gap.ended_at:
            deadline = gap.ended_at + grace
    return deadline


def deadline_from(since: float, promise: Terms, gaps: Sequence[Gap], lead: float = 0) -> float:
    """The deadline of what should come an interval after ``since``, as it holds after blind time.

    What was due while nobody listened may have come unheard, and can only be missed with the run
    after it: the deadline is that of the first one that is due with somebody there.

    Args:
        since: the start or the completion before.
        promise: what the export promises.
        gaps: when nobody listened, in order.
        lead: by how many seconds it may come before it is due; a run may be shorter than the last.
    """
    count = 1
    due = latest_after(since, count, promise)
    if not gaps:
        return due + promise.grace
    for gap in gaps:
        while gap.began_at < due and due - lead <= gap.ended_at:
            count += 1
            due = latest_after(since, count, promise)
    return after_blind_time(due + promise.grace, promise.grace, gaps)


def run_deadline_from(start: float, promise: Terms, gaps: Sequence[Gap]) -> float:
    """When a run that began at ``start`` counts as stuck, as it holds after blind time.

    The end of a run may have come unheard as well. Where it recurs, the next run tells.
    """
    deadline = start + promise.max_runtime
    if not gaps:
        return deadline
    if promise.interval and any(gap.began_at < deadline and start < gap.ended_at for gap in gaps):
        return max(deadline, deadline_from(start, promise, gaps))
    return after_blind_time(deadline, promise.grace, gaps)
