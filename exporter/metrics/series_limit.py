"""What is over the limit of exports per source: which exports that are, and what they amount to. Pure.

A flood of names must cost little: of an export that is not shown a few figures are kept and no
text, and the sums of all of them are kept up as each one changes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from fractions import Fraction
from operator import attrgetter
from typing import TYPE_CHECKING

from exporter.domain.exports import OVERFLOW_LABEL, ExportKey
from exporter.domain.states import ExportState
from exporter.projection.fold.runs import DURATION_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_NEWEST = ("last_initiated", "last_completed", "last_failed", "last_received")
_COUNTS = ("in_progress", "initiated", "completed", "failed", "abandoned")
_NEVER = -float("inf")
_FIRST_COUNT = len(_NEWEST) + 1
_FIRST_DURATION = _FIRST_COUNT + len(_COUNTS)
_newest, _counts = attrgetter(*_NEWEST), attrgetter(*_COUNTS)


class DurationTotals:
    """The durations of several exports together, the same in whatever order they came and went."""

    def __init__(self) -> None:
        self.exports = 0
        """How many they are of."""
        self.buckets = (0,) * (len(DURATION_BOUNDS) + 1)
        self._sum = Fraction()
        """Exact, so that an export that leaves takes away what it brought."""

    @property
    def sum(self) -> float:
        """In seconds, rounded once."""
        return float(self._sum)

    def add(self, sign: int, total: float, buckets: Iterable[float]) -> None:
        """Take those of a further export, with 1, or give them up as they were taken, with -1."""
        self.exports += sign
        self._sum += sign * Fraction(total)
        self.buckets = tuple(old + sign * int(more) for old, more in zip(self.buckets, buckets, strict=True))


class HiddenExports:
    """The exports of one source that have no series of their own."""

    def __init__(self) -> None:
        self._values: dict[ExportKey, array[float]] = {}
        self._counts = [0] * len(_COUNTS)
        self._newest = [_NEVER] * _FIRST_COUNT
        self._to_recompute: set[int] = set()
        """Which of the newest instants have to be found again."""
        self._durations = DurationTotals()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: ExportKey) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[ExportKey]:
        return iter(self._values)

    def update(self, key: ExportKey, state: ExportState) -> None:
        """Take an export, or what has become of it."""
        # Negative, so that the oldest start is the greatest.
        since = -state.running_since if state.running_since else _NEVER
        new = array("d", (*_newest(state), since, *_counts(state), state.duration_sum, *state.duration_buckets))
        self._replace(self._values.get(key), new)
        self._values[key] = new

    def remove(self, key: ExportKey) -> None:
        """Give up an export that is there."""
        self._replace(self._values.pop(key), None)

    def combined_state(self, source: str, timezone: str) -> ExportState:
        """All of them as one export without a schedule: counts add up, the newest wins."""
        for place in self._to_recompute:
            self._newest[place] = max((each[place] for each in self._values.values()), default=_NEVER)
        self._to_recompute.clear()
        last_initiated, last_completed, last_failed, last_received, since = self._newest
        in_progress, initiated, completed, failed, abandoned = self._counts
        return ExportState(
            source=source,
            export=OVERFLOW_LABEL,
            partner="",
            data_type="",
            frequency="",
            timezone=timezone,
            declared=False,
            last_initiated=last_initiated,
            last_completed=last_completed,
            last_failed=last_failed,
            last_received=last_received,
            in_progress=in_progress,
            initiated=initiated,
            completed=completed,
            failed=failed,
            abandoned=abandoned,
            duration_buckets=self._durations.buckets,
            duration_sum=self._durations.sum,
            running_since=0 if since == _NEVER else -since,
        )

    def _replace(self, old: array[float] | None, new: array[float] | None) -> None:
        for sign, figures in ((-1, old), (1, new)):
            if figures is not None:
                counts, (total, *buckets) = figures[_FIRST_COUNT:_FIRST_DURATION], figures[_FIRST_DURATION:]
                self._counts = [kept + sign * int(one) for kept, one in zip(self._counts, counts, strict=True)]
                self._durations.add(sign, total, buckets)
        for place in range(_FIRST_COUNT):
            before = _NEVER if old is None else old[place]
            after = _NEVER if new is None else new[place]
            if after >= self._newest[place]:
                self._newest[place] = after
                self._to_recompute.discard(place)
            elif before == self._newest[place]:
                self._to_recompute.add(place)


def combine(source: str, states: Sequence[ExportState]) -> ExportState:
    """What `HiddenExports` makes of these, at least one."""
    overflow = HiddenExports()
    for number, state in enumerate(states):
        overflow.update(ExportKey(source, OVERFLOW_LABEL, str(number)), state)
    return overflow.combined_state(source, states[0].timezone)


class SeriesLimit:
    """Which exports of one source come first, so many of them.

    Args:
        most: how many.
    """

    def __init__(self, limit: int) -> None:
        self._most = limit
        self._first_sequences: dict[ExportKey, int] = {}
        self._ranks: list[tuple[int, ExportKey]] = []
        """Births and exports, sorted; the first ``most`` are admitted."""

    def admits(self, key: ExportKey) -> bool:
        """Whether an export is among those that come first."""
        first_sequence = self._first_sequences.get(key)
        if first_sequence is None:
            return False
        return len(self._ranks) <= self._most or (first_sequence, key) < self._ranks[self._most]

    def add(self, key: ExportKey, first_sequence: int) -> set[ExportKey]:
        """Take an export, born at this place of the ledger; which others come or go for it."""
        if self._first_sequences.get(key) == first_sequence:
            return set()
        moved = self.remove(key)
        at = bisect_left(self._ranks, (first_sequence, key))
        self._ranks.insert(at, (first_sequence, key))
        self._first_sequences[key] = first_sequence
        if at < self._most < len(self._ranks):
            moved ^= {self._ranks[self._most][1]}  # one that came for what left, and goes again, has not moved
        return moved - {key}

    def remove(self, key: ExportKey) -> set[ExportKey]:
        """Give up an export, if it is there; which others come for it."""
        first_sequence = self._first_sequences.pop(key, None)
        if first_sequence is None:
            return set()
        at = bisect_left(self._ranks, (first_sequence, key))
        del self._ranks[at]
        return {self._ranks[self._most - 1][1]} if at < self._most <= len(self._ranks) else set()
