"""Lists the single runs of an export, as the fold pairs its events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain import deadlines
from exporter.domain.events import COMPLETED, FAILED
from exporter.projection.fold.runs import Runs
from exporter.projection.fold.sort_keys import intern_text, pack_sort_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.events import Event
    from exporter.projection.fold.rules import Rules

IN_PROGRESS = "in progress"
STUCK = "stuck"
SUPERSEDED = "superseded"
"""A run that was open when the next one started, or when the export was retired."""
RUN_OUTCOMES = (COMPLETED, FAILED, IN_PROGRESS, STUCK, SUPERSEDED)
"""What can be the outcome of a run."""


@dataclass(slots=True)
class Run:
    """One run of an export.

    Attributes:
        request_id: of its events.
        outcome: one of `RUN_OUTCOMES`.
        started_at: 0 if its start is unknown.
        ended_at: 0 unless it has completed or failed.
        delay: arrival minus event time of its last event, in seconds.
        must_end_by: the run deadline; 0 unless it is in progress.
    """

    request_id: str
    outcome: str = IN_PROGRESS
    started_at: float = 0
    ended_at: float = 0
    delay: float = 0
    must_end_by: float = 0

    @property
    def duration(self) -> float:
        """Seconds from start to end; 0 if either is unknown."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else 0


def list_runs(events: Iterable[Event], rules: Rules, now: float) -> list[Run]:
    """Return the runs that the fold makes of some events of an export, the newest first.

    Each event is applied to `exporter.projection.fold.runs.Runs`, which decides; what changes there shows the run.

    Args:
        events: the newest ones, in any order. A run that started before them has an unknown start.
        rules: what the events of the export are folded by.
        now: Unix seconds.
    """
    listing = _Listing(rules)
    for sort_key, event in sorted((pack_sort_key(event), event) for event in events):
        listing.apply(sort_key, event)
    listing.judge_open_runs(now)
    return sorted(listing.runs, key=lambda run: run.ended_at or run.started_at, reverse=True)


class _Listing:
    """The runs of the events applied so far."""

    def __init__(self, rules: Rules) -> None:
        self.runs: list[Run] = []
        self._rules = rules
        self._folded = Runs()
        self._open: dict[str, Run] = {}

    def apply(self, sort_key: bytes, event: Event) -> None:
        """Apply the next event in chronological order."""
        folded, request_id = self._folded, event.request_id
        completed, failed, open_before = folded.completed, folded.failed, dict(folded.open_runs)
        is_ambiguous = request_id in folded.overlapping
        text = intern_text(request_id, event.partner, event.data_type, event.status, event.frequency)
        folded.apply(sort_key, text, self._rules)
        delay = event.arrived_at - event.occurred_at
        if folded.completed > completed or folded.failed > failed:
            run = self._open.pop(request_id, None) or self._add(Run(request_id))
            run.outcome, run.ended_at = COMPLETED if folded.completed > completed else FAILED, event.occurred_at
            run.delay = delay
            if is_ambiguous:  # two runs of the id were open, and either of them may have ended
                run.started_at = 0
        for each, start in open_before.items():
            if folded.open_runs.get(each) != start and each in self._open:
                self._open.pop(each).outcome = SUPERSEDED
        if request_id in folded.open_runs:
            if request_id not in self._open:
                self._open[request_id] = self._add(Run(request_id, started_at=folded.open_runs[request_id]))
            self._open[request_id].delay = delay

    def judge_open_runs(self, now: float) -> None:
        """Decide for each open run whether it is in progress at ``now``, in Unix seconds, stuck, or of no interest."""
        retired_at = self._rules.retirements[-1] if self._rules.retirements else 0.0
        for run in self._open.values():
            if run.started_at <= retired_at:
                run.outcome = SUPERSEDED
                continue
            expectation = self._rules.expectation_for_at(run.started_at)(self._folded.interval)
            run.must_end_by = deadlines.run_deadline_after(run.started_at, expectation, self._rules.outages)
            run.outcome = IN_PROGRESS if now <= run.must_end_by else STUCK

    def _add(self, run: Run) -> Run:
        self.runs.append(run)
        return run
