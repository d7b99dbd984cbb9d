"""What an export promises, when it is due, and what blind time changes about that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.daylight_saving import latest_slot_after
from exporter.domain.exports import Expectation
from exporter.domain.frequency import HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from exporter.domain.events import Outage
    from exporter.domain.exports import Declaration

MIN_GRACE = 30 * 60
MAX_DEFAULT_RUNTIME = 6 * HOUR
ONE_TIME_MAX_RUNTIME = 24 * HOUR


def expectation_of(interval: int, zone: tzinfo | None, declared: Declaration | None = None) -> Expectation:
    """What an export with this interval (0: none known) promises, after its declaration's wishes."""
    if declared is not None and declared.interval is not None:
        interval = declared.interval
    grace = max(round(interval * 0.2), MIN_GRACE)
    max_runtime = min(interval, MAX_DEFAULT_RUNTIME) if interval else ONE_TIME_MAX_RUNTIME
    if declared is not None:
        grace = grace if declared.grace is None else declared.grace
        max_runtime = max_runtime if declared.max_runtime is None else declared.max_runtime
    return Expectation(interval, grace if interval else 0, max_runtime, zone)


def extended_past_outage(deadline: float, grace: float, outages: Sequence[Outage]) -> float:
    """A deadline that passed while nobody listened: one more grace after that, for a late retry."""
    for outage in outages:
        if outage.began_at < deadline <= outage.ended_at:
            deadline = outage.ended_at + grace
    return deadline


def deadline_after(since: float, expectation: Expectation, outages: Sequence[Outage], lead: float = 0) -> float:
    """The deadline of what should come an interval after ``since``, as it holds after blind time.

    What was due while nobody listened may have come unheard, and can only be missed with the run
    after it: the deadline is that of the first one that is due with somebody there.

    Args:
        since: the start or the completion before.
        expectation: what the export promises.
        outages: when nobody listened, in order.
        lead: by how many seconds it may come before it is due; a run may be shorter than the last.
    """
    count = 1
    due = latest_slot_after(since, count, expectation)
    if not outages:
        return due + expectation.grace
    for outage in outages:
        while outage.began_at < due and due - lead <= outage.ended_at:
            count += 1
            due = latest_slot_after(since, count, expectation)
    return extended_past_outage(due + expectation.grace, expectation.grace, outages)


def run_deadline_after(start: float, expectation: Expectation, outages: Sequence[Outage]) -> float:
    """When a run that began at ``start`` counts as stuck, as it holds after blind time.

    The end of a run may have come unheard as well. Where it recurs, the next run tells.
    """
    deadline = start + expectation.max_runtime
    if not outages:
        return deadline
    if expectation.interval and any(outage.began_at < deadline and start < outage.ended_at for outage in outages):
        return max(deadline, deadline_after(start, expectation, outages))
    return extended_past_outage(deadline, expectation.grace, outages)
