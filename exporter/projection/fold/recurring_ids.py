"""A request id that may be recognised: one with a recurring frequency that comes back for another run. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.domain.events import COMPLETED, INITIATED
from exporter.domain.exports import group_key
from exporter.projection.fold.runs import came_back

if TYPE_CHECKING:
    from exporter.domain.events import Event
    from exporter.domain.exports import ExportKey
    from exporter.projection.fold.history import History


class RequestId:
    """A request id with a recurring frequency that has not come back yet."""

    __slots__ = ("_completed", "_interval", "_started", "groups", "history")

    def __init__(self, history: History) -> None:
        self.history = history
        self.groups: Counter[ExportKey] = Counter()
        """How many of its events stand in which group."""
        self._interval = 0
        self._started = self._completed = (0.0, 0.0)

    def note(self, event: Event) -> None:
        """Take note of an event, in any order, also where the history has to be read again."""
        self.groups[group_key(event)] += 1
        self._interval = min(event.schedule.interval, self._interval or event.schedule.interval)
        if event.status == INITIATED:
            self._started = _widened(self._started, event.occurred_at)
        elif event.status == COMPLETED:
            self._completed = _widened(self._completed, event.occurred_at)

    @property
    def came_back(self) -> bool:
        """The same as `Runs.came_back`, without a fold."""
        (first_start, last_start), (first_completed, last_completed) = self._started, self._completed
        return came_back(self._interval, first_start, last_start, first_completed, last_completed)


def _widened(span: tuple[float, float], instant: float) -> tuple[float, float]:
    return (min(span[0] or instant, instant), max(span[1], instant))
