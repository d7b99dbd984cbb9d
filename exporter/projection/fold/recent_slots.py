"""Counts the slots of an export that were late, missed or unknown within a day or a week. Pure.

A slot counts from the moment at which it came to be late, missed or unknown, not from the one at which the exporter
learnt of it: so a request id that gets an export of its own, a reload or a late event makes no old miss a new one.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.frequency import DAY
from exporter.domain.slots import WEEK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.slots import Verdict
    from exporter.projection.fold.runs import Runs


class RecentSlots(NamedTuple):
    """The slots of the last day and week.

    Attributes:
        missed_1d, unknown_1d: how many of the last day.
        over_objective_7d: the late and missed ones of the last week if they are more than the objective allows, else 0.
        changes_at: when one of these changes next without an event, in Unix seconds.
    """

    missed_1d: int = 0
    unknown_1d: int = 0
    over_objective_7d: int = 0
    changes_at: float = float("inf")


def recent_slots(runs: Runs, verdict: Verdict, now: float, unmuted_at: float, allowed: Allowance) -> RecentSlots:
    """Count the recent slots of an export.

    Args:
        runs: its events, folded.
        verdict: what became of the slots since then.
        now: the end of the day and of the week.
        unmuted_at: when a mute of the export ended last, or will end; slots before it are left out.
        allowed: how many of them may be late or missed.
    """
    missed_at = sorted((*runs.recent_missed_at, *verdict.missed_at))
    unknown_at = sorted((*runs.recent_unknown_at, *verdict.unknown_at))
    bad_at = sorted((*missed_at, *runs.recent_late_at))
    if not (bad_at or unknown_at) or not allowed.interval:  # the interval may have been removed since
        return RecentSlots()
    bad = _count_after(max(now - WEEK, unmuted_at), bad_at)
    known = runs.slots - runs.unknown_slots + verdict.missed
    known = min(known, int(WEEK / allowed.interval) - _count_after(now - WEEK, unknown_at))
    return RecentSlots(
        missed_1d=_count_after(max(now - DAY, unmuted_at), missed_at),
        unknown_1d=_count_after(max(now - DAY, unmuted_at), unknown_at),
        over_objective_7d=bad if bad > allowed.of(known) else 0,
        changes_at=min(
            _first_after(now - seconds, instants) + seconds
            for seconds in (DAY, WEEK)
            for instants in (bad_at, unknown_at)
        ),
    )


class Allowance(NamedTuple):
    """How many slots may be late or missed.

    Attributes:
        objective: the target share of slots on time.
        interval: seconds from one slot to the next.
    """

    objective: float
    interval: float

    def of(self, slots: int) -> float:
        """Return how many of so many slots: at least one, because a single one is for `ExportOverdue` to report."""
        return max(1, round((1 - self.objective) * slots, 3))  # rounded, since (1 - 0.9) * 20 is less than 2 here


def _count_after(begin: float, instants: Sequence[float]) -> int:
    return len(instants) - bisect_right(instants, begin)


def _first_after(begin: float, instants: Sequence[float]) -> float:
    number = bisect_right(instants, begin)
    return instants[number] if number < len(instants) else float("inf")
