"""What a source may cost: events, new exports, test calls and quarantined bytes, so that a leaked token harms no other.

The budgets are far above what a fleet sends. They are counted in this process's memory: they start anew with it,
and each replica has its own.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.domain.errors import BudgetExceededError
from exporter.domain.events import QuarantinedBody
from exporter.ledger.contract import AcceptedEvent, TestCallReceived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.settings import Limits
    from exporter.ledger.contract import Entry

MINUTE = 60.0
DAY = 86400.0
MIN_NEW_EXPORTS_FACTOR = 10
"""Times ``exports_per_source``: after a restart, every export of a source counts as new at its first event."""


@dataclass(slots=True)
class _Period:
    """What a source has used of its budgets since an instant, in monotonic seconds."""

    began_at: float
    events: int = 0
    test_calls: int = 0
    quarantined_bytes: int = 0
    exports: set[int] = field(default_factory=set)


class SourceBudgets:
    """Counts what each source uses; safe for several threads."""

    def __init__(self) -> None:
        self._minutes: dict[str, _Period] = {}
        self._days: dict[str, _Period] = {}
        self._lock = threading.Lock()

    def charge(self, source: str, entries: Iterable[Entry], limits: Limits, now: float) -> None:
        """Charge a source for a body that it sent, before the body is stored.

        A body is refused if a budget was used up before it, so that one of any size passes at the start of a period.

        Args:
            source: the slug of the source.
            entries: what the body contains.
            limits: the budgets.
            now: monotonic seconds.

        Raises:
            BudgetExceededError: a budget of the source is used up; nothing was charged.
        """
        events = test_calls = quarantined_bytes = 0
        exports = set()
        for entry in entries:
            events += 1
            if isinstance(entry, AcceptedEvent):
                exports.add(hash((entry.event.group_key, entry.event.request_id)))
            elif isinstance(entry, QuarantinedBody):
                quarantined_bytes += len(entry.body)
            else:
                test_calls += isinstance(entry, TestCallReceived)
        with self._lock:
            minute, day = _current(self._minutes, source, MINUTE, now), _current(self._days, source, DAY, now)
            most_exports = max(limits.new_exports_per_day, MIN_NEW_EXPORTS_FACTOR * limits.exports_per_source)
            _refuse(minute.events, limits.events_per_minute, "events_per_minute", minute.began_at + MINUTE - now)
            if test_calls:
                left = minute.began_at + MINUTE - now
                _refuse(minute.test_calls, limits.test_calls_per_minute, "test_calls_per_minute", left)
            left = day.began_at + DAY - now
            if quarantined_bytes:
                _refuse(day.quarantined_bytes, limits.quarantined_bytes_per_day, "quarantined_bytes_per_day", left)
            if not exports <= day.exports:
                _refuse(len(day.exports), most_exports, "new_exports_per_day", left)
            minute.events += events
            minute.test_calls += test_calls
            day.quarantined_bytes += quarantined_bytes
            day.exports |= exports


def _current(periods: dict[str, _Period], source: str, seconds: float, now: float) -> _Period:
    period = periods.get(source)
    if period is None or now - period.began_at >= seconds:
        period = periods[source] = _Period(now)
    return period


def _refuse(used: int, budget: int, setting: str, seconds_left: float) -> None:
    if used >= budget:
        message = f"this source has used up limits.{setting}, {budget}; other sources are not affected"
        raise BudgetExceededError(message, max(1, int(seconds_left) + 1))
