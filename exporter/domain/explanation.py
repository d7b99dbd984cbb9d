"""Explains in sentences why an export has the deadline that it has. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.frequency import ONE_TIME
from exporter.domain.humanize import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from exporter.domain.events import Outage
    from exporter.domain.states import ExportState


class CountedFrom(Enum):
    """What the slots of an export are counted from."""

    COMPLETION = "completion"
    START = "start"
    """Of a run that has not completed; the first one, or the first one after a retirement."""
    DECLARATION = "declaration"
    FIRST_EXPECTED = "first expected"
    """The declared time of the first run: it is the first slot itself."""
    CHANGE = "change"
    """The interval changed, in the configuration or in the events."""


class DeadlineBasis(NamedTuple):
    """What a deadline follows from.

    Attributes:
        counted_from: what slots are counted from.
        since: when that was.
        first_slot: when the first completion after it was due.
        slot: when the completion that the deadline is for is due; later than ``first_slot`` after an outage.
        number: the number of that slot, from 1.
        interval, grace: in seconds, as they are in effect for it.
        outage: the last one that hides an earlier slot; None if ``number`` is 1.
        interval_is_declared, grace_is_declared: whether the configuration gives them.
    """

    counted_from: CountedFrom
    since: float
    first_slot: float
    slot: float
    number: int
    interval: float
    grace: float
    outage: Outage | None = None
    interval_is_declared: bool = False
    grace_is_declared: bool = False


def explain_deadline(
    state: ExportState, basis: DeadlineBasis | None, now: float, zone: tzinfo | None
) -> tuple[str, ...]:
    """Return why an export must complete by its deadline, or why it has none, in sentences.

    They name instants and no time that has passed, so that they change only with the state, or the date.

    Args:
        state: the export at ``now``.
        basis: what its deadline follows from; None if it has none.
        now: Unix seconds.
        zone: in which instants are written, without its name; None for UTC.
    """
    clock = _clock(now, zone or UTC)
    sentences = list(_why_none(state) if basis is None else _why(state, basis, now, clock))
    sentences += _runs(state, now, clock)
    if state.muted:
        why = f" ({state.muted_why})" if state.muted_why else ""
        sentences.append(
            f"{state.muted_by or 'Somebody'} muted its alerts until {clock(state.muted_until)}{why}; "
            "its deadlines stay as they are."
        )
    return tuple(sentences)


def _why_none(state: ExportState) -> Iterator[str]:
    if state.interval:
        yield "It has no deadline until a run of it starts or completes."
    elif state.frequency == ONE_TIME:
        yield "It runs only once, so no further run has a deadline."
    else:
        known = f"the frequency of its events is “{state.frequency}”" if state.frequency else "no frequency is known"
        yield f"It has no deadline, because the exporter does not know how often it runs: {known}."
        yield "Declare it with an interval to be alerted when it is overdue."


def _why(state: ExportState, basis: DeadlineBasis, now: float, clock: Callable[[float], str]) -> Iterator[str]:
    because = {
        CountedFrom.COMPLETION: f"It last completed {clock(basis.since)}",
        CountedFrom.START: f"It started {clock(basis.since)} and has not completed since",
        CountedFrom.DECLARATION: f"It was declared {clock(basis.since)} and has not completed since",
        CountedFrom.FIRST_EXPECTED: f"The configuration expects its first run {clock(basis.first_slot)}",
        CountedFrom.CHANGE: f"Its interval changed {clock(basis.since)}",
    }[basis.counted_from]
    grace = f"{format_duration(basis.grace)} grace"
    terms = f"every {format_duration(basis.interval)} plus {grace}"
    if basis.counted_from is CountedFrom.FIRST_EXPECTED and basis.number == 1:
        terms = f"{grace} after that"
    again = " again" if basis.counted_from is CountedFrom.COMPLETION else ""
    must = "must complete" if now <= state.deadline else "should have completed"
    if basis.outage is None:
        yield f"{because}, so it {must}{again} by {clock(state.deadline)}: {terms}."
    else:
        outage = f"from {clock(basis.outage.began_at)} to {clock(basis.outage.ended_at)}"
        every = f"every {format_duration(basis.interval)}"
        yield f"{because}, so the next completion was due {clock(basis.first_slot)}: {every}."
        yield f"No exporter was running {outage}, so that completion may have come without being received."
        yield (
            f"The deadline is that of the first one that cannot be hidden, due {clock(basis.slot)}: "
            f"it {must} by {clock(state.deadline)}, with {grace}."
        )
    shift = basis.slot - basis.since - basis.number * basis.interval
    if shift:
        direction = "later" if shift > 0 else "earlier"
        yield f"Because clocks change in between, that is {format_duration(shift)} {direction}."
    yield _terms_origin(state, basis)


def _terms_origin(state: ExportState, basis: DeadlineBasis) -> str:
    interval = "declared" if basis.interval_is_declared else f"that of {_frequency(state)}"
    if basis.grace_is_declared:
        both = basis.interval_is_declared
        return f"Interval and grace are {interval}." if both else f"The interval is {interval}, the grace is declared."
    return f"The interval is {interval}, the grace is the default: 20 % of it, at least 30 min."


def _frequency(state: ExportState) -> str:
    return f"the frequency {state.frequency}" if state.frequency else "its events"


def _runs(state: ExportState, now: float, clock: Callable[[float], str]) -> Iterator[str]:
    if state.running_since:
        runs = "A run has" if state.in_progress == 1 else f"{state.in_progress} runs have"
        limit = f"it may take {format_duration(state.max_runtime)}"
        oldest = "" if state.in_progress == 1 else " The oldest one"
        if now <= state.run_deadline:
            end = f"must complete by {clock(state.run_deadline)}: {limit}."
        else:
            end = f"should have completed by {clock(state.run_deadline)}: {limit}. It is stuck."
        joint = ", and" if not oldest else "."
        yield f"{runs} been in progress since {clock(state.running_since)}{joint}{oldest} {end}"
    elif state.start_deadline:
        verb = "must start" if now <= state.start_deadline else "should have started"
        yield f"The next run {verb} by {clock(state.start_deadline)}."
    if state.last_failed > state.last_completed:
        yield f"Its last run failed {clock(state.last_failed)}."


def _clock(now: float, zone: tzinfo) -> Callable[[float], str]:
    """Return a function that writes an instant as a time of day, with the date unless it is today's."""
    today = datetime.fromtimestamp(now, zone).date()

    def write(instant: float) -> str:
        local = datetime.fromtimestamp(instant, zone)
        return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"

    return write
