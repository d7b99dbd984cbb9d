"""What is known about the files of an export: its checks, and the state that follows from them. Pure.

Instants are Unix seconds, 0 for never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from exporter.domain.landing import ERROR, LANDED, RESULTS, RunChecks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.domain.landing import Landing, LandingCheck, RunKey
    from exporter.domain.states import ExportState

USUAL_RUNS = 14
"""The usual size is the median of that many runs."""
MIN_USUAL_RUNS = 3
"""With fewer runs, no size is usual."""


@dataclass(frozen=True, slots=True)
class LandingState:
    """What is known about the files of an export at one instant.

    Attributes:
        result: of the newest check, one of `exporter.domain.landing.RESULTS`; empty before the first one.
        detail: where it has looked, and why that failed.
        checked_at: when it was.
        landed_at: when the newest file of the newest run that has landed was modified.
        objects, size: of the newest run that was looked for: how many files, and their bytes.
        usual_size: the median size of the runs before it, in bytes; 0 with fewer than `MIN_USUAL_RUNS`.
        due_at: by when the files of that run must be there.
        missing_since: by when the files of the newest run had to be there that completed and was looked for since
            then, if they were not there and no later run has landed; else 0.
        unannounced_at: when the newest file of the run was modified that should have completed, if its files have
            landed without a Completed event.
        failing_since: when the first of the checks was that failed one after the other until now.
        totals: the number of checks by result.
        changes_at: when the state changes next without another check or event; infinity for never.
    """

    result: str = ""
    detail: str = ""
    checked_at: float = 0
    landed_at: float = 0
    objects: int = 0
    size: int = 0
    usual_size: float = 0
    due_at: float = 0
    missing_since: float = 0
    unannounced_at: float = 0
    failing_since: float = 0
    totals: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    changes_at: float = float("inf")

    @property
    def is_bad(self) -> bool:
        """Whether the files are missing, or could not be looked for."""
        return self.result == ERROR or self.missing_since > 0

    @property
    def summary(self) -> str:
        """What is known, in a few words."""
        if not self.result:
            return "not looked for yet"
        if self.result == ERROR:
            return "could not be looked for"
        if self.missing_since:
            return "too little landed" if self.objects else "nothing landed"
        if self.unannounced_at:
            return "landed without a Completed event"
        return "landed" if self.result == LANDED else "not there yet"


class LandingHistory:
    """The checks of one export, in the order in which they were stored."""

    def __init__(self) -> None:
        self._runs: dict[RunKey, RunChecks] = {}
        self._totals = dict.fromkeys(RESULTS, 0)
        self._failing_since = 0.0
        self._last: LandingCheck | None = None

    def add(self, check: LandingCheck) -> None:
        """Add the next check."""
        self._totals[check.result] = max(self._totals[check.result], check.total)
        if check.result != ERROR:
            self._failing_since = 0.0
        elif not self._failing_since:
            self._failing_since = check.checked_at
        checks = self._runs.setdefault(check.run, RunChecks())
        checks.add(check)
        self._last = check
        if len(self._runs) > USUAL_RUNS + 2:
            del self._runs[next(iter(self._runs))]

    def checks_of(self, run: RunKey) -> RunChecks | None:
        """Return the checks of a run; None without any."""
        return self._runs.get(run)

    def state(self, state: ExportState, landing: Landing, now: float) -> LandingState:
        """Return what is known at ``now``.

        Args:
            state: the export at ``now``.
            landing: where its files land.
            now: the time.
        """
        last = self._last
        if last is None:
            return LandingState()
        answered = [checks.answered for checks in self._runs.values() if checks.answered is not None]
        answered.sort(key=lambda check: check.sequence)
        newest = answered[-1] if answered else None
        landed = [check for check in answered if check.result == LANDED]
        sizes = [check.size for check in landed if check is not newest][-USUAL_RUNS:]
        unannounced = [check for check in landed if _is_unannounced(check, state, now)]
        return LandingState(
            last.result,
            last.detail,
            last.checked_at,
            max(map(_modified, landed), default=0.0),
            newest.objects if newest else 0,
            newest.size if newest else 0,
            float(median(sizes)) if len(sizes) >= MIN_USUAL_RUNS else 0.0,
            newest.due_at if newest else 0.0,
            _missing_since(answered, landing),
            max(map(_modified, unannounced), default=0.0),
            self._failing_since,
            dict(self._totals),
            min((check.due_at + state.interval for check in unannounced), default=float("inf")),
        )


def _modified(check: LandingCheck) -> float:
    """Return when the newest file was modified; the clock of a store may be ahead."""
    return min(check.newest, check.checked_at)


def _missing_since(answered: Sequence[LandingCheck], landing: Landing) -> float:
    """Return when the files had to be there of the newest run that completed or landed; 0 if they are, or may come.

    A run whose files are not due yet decides nothing, so that an alert lasts until one has landed.
    """
    for check in reversed(answered):
        if check.result == LANDED:
            return 0.0
        due_at = check.run.completed_at + landing.within
        if check.run.completed_at and check.checked_at >= due_at:
            return due_at
    return 0.0


def _is_unannounced(check: LandingCheck, state: ExportState, now: float) -> bool:
    """Whether it is for a run that should have completed, and the next deadline has not passed yet."""
    return not check.run.completed_at and 0 < state.deadline <= check.due_at and now < check.due_at + state.interval
