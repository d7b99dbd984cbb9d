"""Limits the exports of a source that get their own series, and combines the others into one. Pure.

A flood of export names must cost little, so an export over the limit has a few numbers in memory and no text, and the
combined state is updated in place.
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from operator import add, attrgetter, sub
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.exports import OVERFLOW_LABEL, SEVERITIES, WARNING, ExportKey
from exporter.domain.states import ExportState
from exporter.projection.fold.runs import DURATION_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NEVER = -float("inf")
_latest_times = attrgetter("last_initiated", "last_completed", "last_failed", "last_received")
_counts = attrgetter("in_progress", "initiated", "completed", "failed", "abandoned")


class DurationTotals:
    """The combined duration histogram of several exports; the order of additions and subtractions does not matter."""

    def __init__(self) -> None:
        self.exports = 0
        """The number of exports."""
        self.buckets = (0,) * (len(DURATION_BOUNDS) + 1)
        """The number of runs per bucket, not cumulative."""
        self._sum = Fraction()
        """Exact, because subtracting rounded sums would leave a remainder."""

    @property
    def sum(self) -> float:
        """The sum of the durations, in seconds."""
        return float(self._sum)

    def add(self, total: float, buckets: Sequence[int]) -> None:
        """Add the durations of one export."""
        self.exports += 1
        self._sum += Fraction(total)
        self.buckets = tuple(map(add, self.buckets, buckets))

    def subtract(self, total: float, buckets: Sequence[int]) -> None:
        """Subtract the durations of one export, as they were added."""
        self.exports -= 1
        self._sum -= Fraction(total)
        self.buckets = tuple(map(sub, self.buckets, buckets))


class _HiddenExport(NamedTuple):
    """What the combined state needs of one export.

    Attributes:
        maxima: of which the combined state has the greatest: the latest times, and negated the start of the oldest run
            in progress, the deadline, and the place of the severity in `SEVERITIES`; the last two only if it may be
            overdue.
        counts: of which the combined state has the sums.
    """

    maxima: tuple[float, ...]
    counts: tuple[int, ...]
    duration_sum: float
    duration_buckets: tuple[int, ...]


_NONE = _HiddenExport((_NEVER,) * 7, (0,) * 5, 0, ())


class HiddenExports:
    """The exports of one source that have no series of their own."""

    def __init__(self) -> None:
        self._exports: dict[ExportKey, _HiddenExport] = {}
        self._maxima = list(_NONE.maxima)
        self._outdated_maxima: set[int] = set()
        """Indexes of maxima that are to be recomputed, because the export that had the greatest value lost it."""
        self._counts = _NONE.counts
        self._durations = DurationTotals()

    def __len__(self) -> int:
        return len(self._exports)

    def __contains__(self, key: ExportKey) -> bool:
        return key in self._exports

    def __iter__(self) -> Iterator[ExportKey]:
        return iter(self._exports)

    def update(self, key: ExportKey, state: ExportState) -> None:
        """Add an export, or replace its state."""
        running_since = -state.running_since if state.running_since else _NEVER
        deadline = severity = _NEVER
        if state.deadline and not state.muted:
            deadline, severity = -state.deadline, -SEVERITIES.index(state.severity)
        maxima = (*_latest_times(state), running_since, deadline, severity)
        export = _HiddenExport(maxima, _counts(state), state.duration_sum, state.duration_buckets)
        self._replace(self._exports.get(key, _NONE), export)
        self._exports[key] = export

    def remove(self, key: ExportKey) -> None:
        """Remove an export."""
        self._replace(self._exports.pop(key), _NONE)

    def combined_state(self, source: str, timezone: str) -> ExportState:
        """Return all exports as one: counts are added, the latest times are kept, and the earliest deadline.

        So it is overdue if any of them is; its severity is the gravest of those that may be.
        """
        for index in self._outdated_maxima:
            self._maxima[index] = max((export.maxima[index] for export in self._exports.values()), default=_NEVER)
        self._outdated_maxima.clear()
        last_initiated, last_completed, last_failed, last_received, running_since, deadline, severity = self._maxima
        in_progress, initiated, completed, failed, abandoned = self._counts
        return ExportState(
            source=source,
            export=OVERFLOW_LABEL,
            partner="",
            data_type="",
            frequency="",
            timezone=timezone,
            declared=False,
            severity=WARNING if severity == _NEVER else SEVERITIES[-int(severity)],
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
            running_since=0 if running_since == _NEVER else -running_since,
            deadline=0 if deadline == _NEVER else -deadline,
        )

    def _replace(self, old: _HiddenExport, new: _HiddenExport) -> None:
        self._counts = tuple(
            total - before + after for total, before, after in zip(self._counts, old.counts, new.counts, strict=True)
        )
        if old.duration_buckets:
            self._durations.subtract(old.duration_sum, old.duration_buckets)
        if new.duration_buckets:
            self._durations.add(new.duration_sum, new.duration_buckets)
        for index, (before, after) in enumerate(zip(old.maxima, new.maxima, strict=True)):
            if after >= self._maxima[index]:
                self._maxima[index] = after
                self._outdated_maxima.discard(index)
            elif before == self._maxima[index]:
                self._outdated_maxima.add(index)


def combine(source: str, states: Sequence[ExportState]) -> ExportState:
    """Return several exports, at least one, as one: see `HiddenExports.combined_state`."""
    hidden = HiddenExports()
    for number, state in enumerate(states):
        hidden.update(ExportKey(source, OVERFLOW_LABEL, str(number)), state)
    return hidden.combined_state(source, states[0].timezone)


class SeriesLimit:
    """Decides which exports of one source get their own series: those whose first events were stored first.

    Args:
        limit: the number of exports with their own series.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._first_sequences: dict[ExportKey, int] = {}
        self._ranks: list[tuple[int, ExportKey]] = []
        """First sequence numbers and exports, sorted; the first ``limit`` are admitted."""

    def admits(self, key: ExportKey) -> bool:
        """Whether an export gets its own series."""
        first_sequence = self._first_sequences.get(key)
        if first_sequence is None:
            return False
        return len(self._ranks) <= self._limit or (first_sequence, key) < self._ranks[self._limit]

    def add(self, key: ExportKey, first_sequence: int) -> set[ExportKey]:
        """Add an export, or move it.

        Args:
            key: the export.
            first_sequence: the sequence number of its first event.

        Returns:
            The other exports that are newly admitted or no longer admitted.
        """
        if self._first_sequences.get(key) == first_sequence:
            return set()
        moved = self.remove(key)
        rank = bisect_left(self._ranks, (first_sequence, key))
        self._ranks.insert(rank, (first_sequence, key))
        self._first_sequences[key] = first_sequence
        if rank < self._limit < len(self._ranks):
            moved ^= {self._ranks[self._limit][1]}  # unless it was admitted by the removal above
        return moved - {key}

    def remove(self, key: ExportKey) -> set[ExportKey]:
        """Remove an export, if there is one with this key.

        Returns:
            The export that is newly admitted, if any.
        """
        first_sequence = self._first_sequences.pop(key, None)
        if first_sequence is None:
            return set()
        rank = bisect_left(self._ranks, (first_sequence, key))
        del self._ranks[rank]
        return {self._ranks[self._limit - 1][1]} if rank < self._limit <= len(self._ranks) else set()
