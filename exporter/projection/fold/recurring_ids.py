"""Follows a request id that is not detected yet, until it recurs. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.domain.events import COMPLETED, INITIATED, RUNNING
from exporter.domain.exports import key_of_group
from exporter.projection.fold.runs import has_recurred

if TYPE_CHECKING:
    from exporter.domain.events import Event
    from exporter.domain.exports import ExportKey
    from exporter.projection.fold.history import History


class RecurringId:
    """A request id with a recurring frequency that has had one run so far; its events are in a group."""

    __slots__ = ("_completion_span", "_interval", "_start_span", "groups", "history")

    def __init__(self, history: History) -> None:
        self.history = history
        self.groups: Counter[ExportKey] = Counter()
        """How many of its events are in each group."""
        self._interval = 0
        self._start_span = self._completion_span = (0.0, 0.0)

    def count(self, event: Event) -> None:
        """Count an event, in any order, even while the history needs a rebuild."""
        self.groups[key_of_group(event)] += 1
        interval = event.schedule.interval
        self._interval = min(interval, self._interval or interval)
        if event.status == INITIATED:
            self._start_span = _widen(self._start_span, event.occurred_at)
        elif event.status == RUNNING:  # it may be a first start, but no second one
            first_start, last_start = self._start_span
            self._start_span = (min(first_start or event.occurred_at, event.occurred_at), last_start)
        elif event.status == COMPLETED:
            self._completion_span = _widen(self._completion_span, event.occurred_at)

    @property
    def has_recurred(self) -> bool:
        """Whether the id had a second run: the same as `Runs.has_recurred`, without folding the history."""
        (first_start, last_start), (first_completed, last_completed) = self._start_span, self._completion_span
        return has_recurred(self._interval, first_start, last_start, first_completed, last_completed)


def _widen(span: tuple[float, float], instant: float) -> tuple[float, float]:
    return (min(span[0] or instant, instant), max(span[1], instant))
