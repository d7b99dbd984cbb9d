"""The alerts about a single export, and whether the condition of each holds; the rules are in ``alerts/``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.exports import WARNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.domain.landing_history import LandingState
    from exporter.domain.states import ExportState

USUAL_AFTER_RUNS = 10
SLOW_FACTOR = 2
"""`ExportRunSlow` fires above so many times the usual duration."""
MIN_MISSED = 2
UNANNOUNCED_LEAD = 300
"""Seconds before its deadline from which an export whose files landed unannounced is not overdue."""
LAST_CHECK_SECONDS = 60
"""Seconds after the files are due until the last check of a run has been made."""
FAILING_SECONDS = 900
SMALL_RATIO = 0.2


class ExportAlert(NamedTuple):
    """An alert about an export.

    Attributes:
        name: the name of the alert, and of its runbook.
        meaning: when it fires, in words.
        applies: whether its condition holds for a state at an instant, muted or not.
    """

    name: str
    meaning: str
    applies: Callable[[ExportState, float], bool]


def _is_overdue(state: ExportState, now: float) -> bool:
    return 0 < state.deadline < now and not _is_unannounced(state, now)


def _is_unannounced(state: ExportState, now: float) -> bool:
    landing = state.landing
    return landing is not None and landing.unannounced_at > 0 and state.deadline - UNANNOUNCED_LEAD < now


def _is_small(landing: LandingState, now: float) -> bool:
    is_final = landing.due_at + LAST_CHECK_SECONDS < now
    return is_final and 0 < landing.size < SMALL_RATIO * landing.usual_size


EXPORT_ALERTS = (
    ExportAlert(
        "ExportOverdue",
        "it has completed before, and is past its deadline",
        lambda state, now: _is_overdue(state, now) and state.last_completed > 0,
    ),
    ExportAlert(
        "ExportOverdueCritical",
        "it is of severity warning, and past its deadline by a whole interval",
        lambda state, now: (
            _is_overdue(state, now) and state.deadline <= now - state.interval < now and state.severity == WARNING
        ),
    ),
    ExportAlert(
        "ExportNeverCompleted",
        "it has never completed, and is past its first deadline",
        lambda state, now: _is_overdue(state, now) and not state.last_completed,
    ),
    ExportAlert(
        "ExportRunStuck",
        "a run takes longer than its max runtime",
        lambda state, now: 0 < state.run_deadline < now,
    ),
    ExportAlert(
        "ExportNotStarted",
        "it is past its start deadline, and not past its deadline yet",
        lambda state, now: 0 < state.start_deadline < now and not 0 < state.deadline < now,
    ),
    ExportAlert(
        "ExportRunFailed",
        "a run was reported as failed, and none has completed since",
        lambda state, _: state.last_failed > state.last_completed,
    ),
    ExportAlert(
        "ExportWithoutSchedule",
        "it is declared and has no interval, so it can never be overdue",
        lambda state, _: state.declared and state.has_no_schedule,
    ),
    ExportAlert(
        "ExportNothingLanded",
        "it has completed, and its files are not in the bucket",
        lambda state, now: state.landing is not None and 0 < state.landing.missing_since < now,
    ),
    ExportAlert(
        "ExportLandedUnannounced",
        "its files are in the bucket, and no Completed event has arrived",
        _is_unannounced,
    ),
    ExportAlert(
        "ExportLandingCheckFailing",
        "its bucket could not be listed for 15 minutes",
        lambda state, now: state.landing is not None and 0 < state.landing.failing_since < now - FAILING_SECONDS,
    ),
    ExportAlert(
        "ExportLandedSmall",
        "its last run landed with under a fifth of the usual size",
        lambda state, now: state.landing is not None and _is_small(state.landing, now),
    ),
    ExportAlert(
        "ExportMissedRuns",
        "two slots or more were missed in a day",
        lambda state, _: state.slots_missed_1d >= MIN_MISSED,
    ),
    ExportAlert(
        "ExportSlotsUnknown",
        "an outage of the exporter may have hidden completions of the last day",
        lambda state, _: state.slots_unknown_1d > 0,
    ),
    ExportAlert(
        "ExportFreshnessBudgetBurn",
        "in 7 days, more slots were late or missed than the objective allows, and at least two",
        lambda state, _: state.slots_over_objective_7d > 0,
    ),
    ExportAlert(
        "ExportRunSlow",
        "the last run took over twice the usual duration, after ten runs",
        lambda state, _: (
            state.last_duration > SLOW_FACTOR * state.usual_duration > 0 and state.completed > USUAL_AFTER_RUNS
        ),
    ),
)
"""Every alert about a single export."""
