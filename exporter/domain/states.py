"""What is known of an export and of a source at one instant, and which matters most. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.domain.exports import DEFAULT_OBJECTIVE, ExportKey

_BY_URGENCY = ("never completed", "late", "stuck", "failed", "not started", "running", "fine", "muted")


@dataclass(frozen=True, slots=True)
class ExportState:
    """Everything known of one export at one instant, as it is shown everywhere.

    Attributes:
        key: which export; None for the exports over a limit taken together.
        changes_at: when this will differ though no event arrives; infinity for never.
        duration_buckets: runs per bucket of `exporter.projection.fold.runs.DURATION_BOUNDS`, not cumulative.
    """

    source: str
    export: str
    partner: str
    data_type: str
    frequency: str
    timezone: str
    declared: bool
    key: ExportKey | None = None
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
    recurring: bool = False
    muted: bool = False
    muted_until: float = 0
    muted_by: str = ""
    muted_why: str = ""
    changes_at: float = float("inf")

    @property
    def id(self) -> str:
        """`ExportKey.id`; empty for the exports over a limit taken together."""
        return self.key.id if self.key else ""  # when it is asked for: no scrape shows it

    def condition(self, now: float) -> str:
        """One word for people: the most urgent thing that is true at ``now``."""
        checks = (
            ("muted", self.muted),
            ("never completed", 0 < self.deadline < now and not self.last_completed),
            ("late", 0 < self.deadline < now),
            ("stuck", 0 < self.run_deadline < now),
            ("failed", self.last_failed > self.last_completed),
            ("not started", 0 < self.start_deadline < now),
            ("running", self.in_progress > 0),
        )
        return next((word for word, true in checks if true), "fine")


@dataclass(frozen=True, slots=True)
class SourceState:
    """Everything known of one source at one instant.

    Attributes:
        events: stored events by status word, ``other`` past ten words.
        delay: arrival minus occurrence of the newest event, in seconds, signed.
        suspected_offset: the offset that its arrivals suggest; None where nothing does.
        suspect: whether that contradicts the configured zone.
    """

    slug: str
    timezone: str
    events: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    test_calls: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    skewed: int = 0
    unknown_frequencies: int = 0
    last_accepted: float = 0
    delay: float = 0
    suspected_offset: int | None = None
    suspect: bool = False


def urgency_key(state: ExportState, now: float) -> tuple[object, ...]:
    """A key to sort by: what is wrong first, then what is due first."""
    due = state.deadline or float("inf")
    labels = (state.source, state.export, state.partner, state.frequency, state.data_type)
    return (_BY_URGENCY.index(state.condition(now)), due, *labels)
