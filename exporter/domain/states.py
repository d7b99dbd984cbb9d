"""The states of exports and sources at one instant, and the order in which people should look at them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.exports import DEFAULT_OBJECTIVE, WARNING, ExportKey
from exporter.domain.frequency import ONE_TIME
from exporter.domain.slot_outcomes import unpack, with_slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.domain.landing_history import LandingState
    from exporter.domain.slot_outcomes import SlotOutcome


class ExportState(NamedTuple):
    """The state of one export at one instant: what metrics, page, API and commands show.

    Attributes:
        key: the export; None for the exports beyond the limit of their source, taken together.
        severity: one of `exporter.domain.exports.SEVERITIES`, for the alerts that it is overdue.
        duration_buckets: runs per bucket of `exporter.projection.fold.runs.DURATION_BOUNDS`, not cumulative.
        usual_duration: the median of the runs of the last 14 days, in seconds; 0 without any.
        slots_missed_1d, slots_unknown_1d: of the last day.
        last_slots: the last slots up to the last completion, packed; see `recent_slots`.
        slots_since: the missed and unknown ones after it, as the fields of `SlotOutcome`.
        slots_over_objective_7d: late and missed ones of the last week if they are more than the objective allows.
        changes_at: when the state changes next if no event arrives; infinity for never.
        landing: what is known about its files; None if the exporter does not look for them.
    """

    source: str
    export: str
    partner: str
    data_type: str
    frequency: str
    timezone: str
    declared: bool
    key: ExportKey | None = None
    severity: str = WARNING
    owner: str = ""
    runbook_url: str = ""
    interval: float = 0
    grace: float = 0
    max_runtime: float = 0
    objective: float = DEFAULT_OBJECTIVE
    last_initiated: float = 0
    last_completed: float = 0
    last_failed: float = 0
    last_received: float = 0
    last_duration: float = 0
    usual_duration: float = 0
    duration_buckets: tuple[int, ...] = ()
    duration_sum: float = 0
    in_progress: int = 0
    running_since: float = 0
    start_deadline: float = 0
    deadline: float = 0
    run_deadline: float = 0
    initiated: int = 0
    completed: int = 0
    failed: int = 0
    abandoned: int = 0
    slots: int = 0
    slots_late: int = 0
    slots_missed: int = 0
    slots_unknown: int = 0
    slots_missed_1d: int = 0
    slots_unknown_1d: int = 0
    slots_over_objective_7d: int = 0
    last_slots: bytes = b""
    slots_since: tuple[tuple[str, float, float], ...] = ()
    recurring: bool = False
    muted: bool = False
    muted_until: float = 0
    muted_by: str = ""
    muted_why: str = ""
    changes_at: float = float("inf")
    landing: LandingState | None = None

    @property
    def id(self) -> str:
        """`ExportKey.id`; empty without a key. Computed on demand, because a scrape does not show it."""
        return self.key.id if self.key else ""

    @property
    def recent_slots(self) -> tuple[SlotOutcome, ...]:
        """The last `exporter.domain.slot_outcomes.MAX_SLOTS` of the ``slots``, the oldest first.

        A completion before its slot is due may shorten the interval: then slots that are due earlier follow.
        Put together on demand, because a scrape does not show them.
        """
        return unpack(with_slots(self.last_slots, self.slots_since))

    @property
    def has_no_schedule(self) -> bool:
        """Whether it can never be overdue although it is not known to run only once."""
        return not self.interval and self.frequency != ONE_TIME

    def condition(self, now: float) -> str:
        """Return the most urgent of `CONDITIONS` that applies at ``now``."""
        if self.muted:
            return _MUTED
        return next((word for word, applies in _WRONG_OR_RUNNING.items() if applies(self, now)), _FINE)

    def condition_since(self, now: float) -> float:
        """Return since when the `condition` applies, in Unix seconds; 0 if that is unknown or does not matter."""
        since = _SINCE.get(self.condition(now))
        return since(self) if since else 0.0


@dataclass(frozen=True, slots=True)
class SourceState:
    """The state of one source at one instant.

    Attributes:
        events: stored events by status; ``other`` counts those beyond ten statuses.
        unknown_statuses: by status word that is not known, the arrival of its second newest event; 0 if it has one.
        configured_at: when an exporter first had the source in its configuration; 0 for never.
        last_accepted: when the newest event, duplicate or quarantined body arrived; test calls do not count.
        delay: arrival minus event time of the newest event, in signed seconds.
        suspected_offset: the UTC offset that the arrivals show, in seconds; None if none does.
        suspect: whether the arrivals contradict the configured time zone.
    """

    slug: str
    timezone: str
    events: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    test_calls: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    skewed: int = 0
    unknown_frequencies: int = 0
    unknown_statuses: dict[str, float] = field(default_factory=dict)
    configured_at: float = 0
    last_accepted: float = 0
    delay: float = 0
    suspected_offset: int | None = None
    suspect: bool = False


_FINE = "fine"
_MUTED = "muted"
_WRONG_OR_RUNNING: dict[str, Callable[[ExportState, float], bool]] = {
    "never completed": lambda state, now: 0 < state.deadline < now and not state.last_completed,
    "overdue": lambda state, now: 0 < state.deadline < now,
    "stuck": lambda state, now: 0 < state.run_deadline < now,
    "failed": lambda state, _: state.last_failed > state.last_completed,
    "not started": lambda state, now: 0 < state.start_deadline < now,
    "no schedule": lambda state, _: state.has_no_schedule,
    "running": lambda state, _: state.in_progress > 0,
}
"""When each condition other than fine and muted applies, the most urgent first."""
_SINCE: dict[str, Callable[[ExportState], float]] = {
    "never completed": lambda state: state.deadline,
    "overdue": lambda state: state.deadline,
    "stuck": lambda state: state.run_deadline,
    "failed": lambda state: state.last_failed,
    "not started": lambda state: state.start_deadline,
    "running": lambda state: state.running_since,
}
CONDITIONS = (*_WRONG_OR_RUNNING, _FINE, _MUTED)
"""The words for the condition of an export, the most urgent first."""


def urgency_key(state: ExportState, now: float) -> tuple[object, ...]:
    """Return a sort key: the most urgent condition first, then the earliest deadline."""
    deadline = state.deadline or float("inf")
    labels = (state.source, state.export, state.partner, state.frequency, state.data_type)
    return (CONDITIONS.index(state.condition(now)), deadline, *labels)
