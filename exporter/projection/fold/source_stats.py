"""What the events of one source say about it: counts, its clock, its delays. Pure."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from datetime import datetime
from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from exporter.domain.event_time import EVIDENCE, offset_by_arrival, suspected_offset, zone_offset
from exporter.domain.events import COMPLETED, INITIATED
from exporter.domain.exports import OTHER
from exporter.domain.frequency import parse
from exporter.domain.states import SourceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.domain.events import Event, Tally
    from exporter.domain.exports import Source

MOST_STATUSES = 10
LEAST_EVIDENCE = 3
"""How many arrivals have to agree before a configured zone is called into question."""

_status, _skewed, _frequency = attrgetter("status"), attrgetter("skewed"), attrgetter("frequency")
_arrival = attrgetter("arrived_at", "digest")


class _Arrival(NamedTuple):
    """What is kept of one of the newest events; in the order of arrival."""

    arrived_at: float
    digest: bytes
    local_time: datetime
    occurred_at: float


class SourceHistory:
    """The events of one source, folded as they come."""

    def __init__(self) -> None:
        self._events: Counter[str] = Counter({INITIATED: 0, COMPLETED: 0})
        self._skewed = 0
        self._unknown_frequencies = 0
        self._newest: list[_Arrival] = []

    def add(self, event: Event) -> None:
        """Take a further event, once."""
        known = event.status in self._events or len(self._events) < MOST_STATUSES
        self._events[event.status if known else OTHER] += 1
        self._skewed += event.skewed
        self._unknown_frequencies += not event.schedule.understood
        self._arrived([event])

    def add_all(self, events: Sequence[Event]) -> None:
        """Take further events, each once: the same as `add` of each, in a third of the time where they are many."""
        for status, count in Counter(map(_status, events)).items():
            known = status in self._events or len(self._events) < MOST_STATUSES
            self._events[status if known else OTHER] += count
        self._skewed += sum(map(_skewed, events))
        for frequency, count in Counter(map(_frequency, events)).items():
            self._unknown_frequencies += 0 if parse(frequency).understood else count
        self._arrived(nlargest(EVIDENCE, events, key=_arrival))

    def _arrived(self, events: Iterable[Event]) -> None:
        for event in events:
            insort(self._newest, _Arrival(event.arrived_at, event.digest, event.local_time, event.occurred_at))
        del self._newest[:-EVIDENCE]

    def know(self, statuses: Iterable[str]) -> None:
        """Count these words by themselves, as somebody does who has seen more events."""
        for status in statuses:
            self._events.setdefault(status, 0)

    @property
    def statuses(self) -> list[str]:
        """The words that are counted by themselves, and `OTHER` once there is a further one."""
        return list(self._events)

    def dump(self) -> dict[str, object]:
        """Everything that is known, fit for JSON."""
        newest = [
            (each.arrived_at, each.digest.hex(), each.local_time.isoformat(), each.occurred_at) for each in self._newest
        ]
        return {
            "events": dict(self._events),
            "skewed": self._skewed,
            "unknown_frequencies": self._unknown_frequencies,
            "newest": newest,
        }

    @classmethod
    def restored(cls, dumped: Mapping[str, Any]) -> SourceHistory:
        """What was dumped.

        Raises:
            KeyError, TypeError, ValueError: that is no dump.
        """
        history = cls()
        history._events.update({str(status): int(count) for status, count in dumped["events"].items()})
        history._skewed = int(dumped["skewed"])
        history._unknown_frequencies = int(dumped["unknown_frequencies"])
        history._newest = [
            _Arrival(float(arrived_at), bytes.fromhex(digest), datetime.fromisoformat(local_time), float(occurred_at))
            for arrived_at, digest, local_time, occurred_at in dumped["newest"]
        ]
        return history

    def state(self, source: Source, tallies: Iterable[Tally]) -> SourceState:
        """What is known of the source, with what the ledger counts beside its events."""
        own = [tally for tally in tallies if tally.source == source.slug]
        counts = {(tally.kind, tally.label): tally.count for tally in own}
        newest = self._newest[-1] if self._newest else None
        accepted = [tally.last_at for tally in own] + ([newest.arrived_at] if newest else [])
        suspected = suspected_offset((event.local_time, event.arrived_at) for event in self._newest)
        return SourceState(
            slug=source.slug,
            timezone=source.timezone,
            events=dict(self._events),
            duplicates=counts.get(("duplicate", ""), 0),
            test_calls=counts.get(("test_call", ""), 0),
            quarantined={label: n for (kind, label), n in counts.items() if kind == "quarantined"},
            skewed=self._skewed,
            unknown_frequencies=self._unknown_frequencies,
            last_accepted=max(accepted, default=0),
            delay=newest.arrived_at - newest.occurred_at if newest else 0,
            suspected_offset=suspected,
            suspect=self._contradicts(source),
        )

    def _contradicts(self, source: Source) -> bool:
        """Whether the newest events all agree on an offset that the configured zone does not have."""
        if source.zone is None:
            return False
        differences = [
            offset - zone_offset(event.local_time, event.arrived_at, source.zone)
            for event in self._newest
            for offset, evident in [offset_by_arrival(event.local_time, event.arrived_at)]
            if evident
        ]
        return len(differences) >= LEAST_EVIDENCE and len(set(differences)) == 1 and differences[0] != 0
