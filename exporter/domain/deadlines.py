"""Computes the deadlines of an export and of its runs, and extends them past outages. Pure."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
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


def is_hidden_by(outage: Outage, slot: float, grace: float, lead: float) -> bool:
    """Return whether the event of a slot may have been sent during an outage, in time and without being received.

    Args:
        outage: the outage.
        slot: when the event was due.
        grace: by how much it may be late.
        lead: by how much it may be early.
    """
    return outage.began_at < slot + grace and slot - lead <= outage.ended_at


def first_visible_slot(since: float, expectation: Expectation, outages: Sequence[Outage], lead: float) -> int:
    """Return the number of the first slot after ``since`` that no outage hides: 1 without outages.

    The event of a hidden slot may have been sent without being received, so only a later one can prove a failure.
    """
    number = 1
    if outages and outages[-1].ended_at > since:
        for outage in outages[bisect_right(outages, since, key=attrgetter("ended_at")) :]:
            while is_hidden_by(outage, latest_slot_after(since, number, expectation), expectation.grace, lead):
                number += 1
    return number


def deadline_after(since: float, expectation: Expectation, outages: Sequence[Outage], lead: float = 0) -> float:
    """Return the deadline for the event expected an interval after ``since``: that of the first visible slot.

    ::

        since        slot 1        slot 2
          |------------|--grace----|---grace---| deadline
                          [outage]

    Args:
        since: the previous start or completion.
        expectation: interval, grace and zone of the export.
        outages: in chronological order.
        lead: seconds by which the event may precede its slot, since a run may be shorter than the last one.
    """
    number = first_visible_slot(since, expectation, outages, lead)
    return latest_slot_after(since, number, expectation) + expectation.grace


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
