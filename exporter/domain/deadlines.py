"""Computes the deadlines of an export and of its runs, and extends them past outages. Pure."""

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
    """Return what is expected of an export: the defaults for its interval, overridden by its declaration.

    ===========  =========================  ==============================
    value        with an interval           without an interval (0)
    ===========  =========================  ==============================
    grace        20 %, at least 30 minutes  0: there is no deadline
    max runtime  interval, at most 6 hours  24 hours
    ===========  =========================  ==============================
    """
    if declared is not None and declared.interval is not None:
        interval = declared.interval
    grace = max(round(interval * 0.2), MIN_GRACE)
    max_runtime = min(interval, MAX_DEFAULT_RUNTIME) if interval else ONE_TIME_MAX_RUNTIME
    if declared is not None:
        grace = grace if declared.grace is None else declared.grace
        max_runtime = max_runtime if declared.max_runtime is None else declared.max_runtime
    return Expectation(interval, grace if interval else 0, max_runtime, zone)


def extended_past_outage(deadline: float, grace: float, outages: Sequence[Outage]) -> float:
    """Return a deadline that passed during an outage as the end of the outage plus a grace period for late retries."""
    for outage in outages:
        if outage.began_at < deadline <= outage.ended_at:
            deadline = outage.ended_at + grace
    return deadline


def deadline_after(since: float, expectation: Expectation, outages: Sequence[Outage], lead: float = 0) -> float:
    """Return the deadline for the event expected an interval after ``since``, moved past outages.

    An event that was due during an outage may have been sent without being received, so only the
    event after it can prove a failure: the deadline is that of the first slot due outside an outage::

        since        slot 1        slot 2
          |------------|------------|---grace---| deadline
                    [outage]

    Args:
        since: the previous start or completion.
        expectation: interval, grace and zone of the export.
        outages: in chronological order.
        lead: seconds by which the event may precede its slot, since a run may be shorter than the last one.
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
    """Return when a run that began at ``start`` counts as stuck, moved past outages.

    The end of a run may have been sent during an outage. For a recurring export, the next run shows it.
    """
    deadline = start + expectation.max_runtime
    if not outages:
        return deadline
    if expectation.interval and any(outage.began_at < deadline and start < outage.ended_at for outage in outages):
        return max(deadline, deadline_after(start, expectation, outages))
    return extended_past_outage(deadline, expectation.grace, outages)
