"""Folds the events of one source: counts by status, delays, and evidence of its time zone. Pure."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from datetime import datetime
from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from exporter.domain.event_time import SETTLING_EVENTS, offset_by_arrival, suspected_offset, zone_offset
from exporter.domain.events import COMPLETED, INITIATED, STATUS_WORDS
from exporter.domain.exports import OVERFLOW_LABEL
from exporter.domain.frequency import parse
from exporter.domain.states import SourceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.domain.events import DeliveryCounter, Event
    from exporter.domain.exports import Source

MAX_STATUSES = 10
"""How many statuses are counted separately; further ones are counted as `OVERFLOW_LABEL`."""
MIN_EVIDENCE = 3
"""How many of the newest arrivals must show the same offset before they contradict the configured zone."""

_status, _skewed, _frequency = attrgetter("status"), attrgetter("skewed"), attrgetter("frequency")
_arrival_order = attrgetter("arrived_at", "digest")


class _Arrival(NamedTuple):
    """One of the newest events, sortable by arrival."""

    arrived_at: float
    digest: bytes
    local_time: datetime
    occurred_at: float
    offset_in_text: bool


class SourceStats:
    """The events of one source, folded in any order."""

    def __init__(self) -> None:
        self._events: Counter[str] = Counter({INITIATED: 0, COMPLETED: 0})
        self._skewed = 0
        self._unknown_frequencies = 0
        self._newest_arrivals: list[_Arrival] = []
        self._unknown_status_arrivals: dict[str, list[float]] = {}
        """By status that is none of `STATUS_WORDS`: when its newest events arrived, at most two, in order."""

    def add(self, event: Event) -> None:
        """Fold a further event, once."""
        self._events[self._label(event.status)] += 1
        self._skewed += event.skewed
        self._unknown_frequencies += not event.schedule.is_known
        self._add_arrivals([event])
        if event.status not in STATUS_WORDS:
            self._add_unknown_status(event)

    def add_all(self, events: Sequence[Event]) -> None:
        """Fold further events, each once: as `add` for each of them, but in a third of the time for many."""
        counts = Counter(map(_status, events))
        for status, count in counts.items():
            self._events[self._label(status)] += count
        if counts.keys() - STATUS_WORDS.keys():
            for event in events:
                if event.status not in STATUS_WORDS:
                    self._add_unknown_status(event)
        self._skewed += sum(map(_skewed, events))
        for frequency, count in Counter(map(_frequency, events)).items():
            if not parse(frequency).is_known:
                self._unknown_frequencies += count
        self._add_arrivals(nlargest(SETTLING_EVENTS, events, key=_arrival_order))

    def _add_unknown_status(self, event: Event) -> None:
        arrivals = self._unknown_status_arrivals.setdefault(self._label(event.status), [])
        insort(arrivals, event.arrived_at)
        del arrivals[:-2]

    def _label(self, status: str) -> str:
        return status if status in self._events or len(self._events) < MAX_STATUSES else OVERFLOW_LABEL

    def _add_arrivals(self, events: Iterable[Event]) -> None:
        for event in events:
            arrival = _Arrival(
                event.arrived_at, event.digest, event.local_time, event.occurred_at, event.offset_in_text
            )
            insort(self._newest_arrivals, arrival)
        del self._newest_arrivals[:-SETTLING_EVENTS]

    def expect_statuses(self, statuses: Iterable[str]) -> None:
        """Count these statuses separately, because they are counted so over more events."""
        for status in statuses:
            self._events.setdefault(status, 0)

    @property
    def statuses(self) -> list[str]:
        """The statuses that are counted separately, and `OVERFLOW_LABEL` once there is a further one."""
        return list(self._events)

    def to_document(self) -> dict[str, object]:
        """Return everything as JSON types, to be stored."""
        newest = [
            (arrived_at, digest.hex(), local_time.isoformat(), occurred_at, offset_in_text)
            for arrived_at, digest, local_time, occurred_at, offset_in_text in self._newest_arrivals
        ]
        return {
            "events_by_status": dict(self._events),
            "dated_in_future": self._skewed,
            "unknown_frequencies": self._unknown_frequencies,
            "newest_arrivals": newest,
            "unknown_status_arrivals": self._unknown_status_arrivals,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SourceStats:
        """Restore the result of `to_document`.

        Raises:
            KeyError, TypeError, ValueError: the document is not such a result.
        """
        stats = cls()
        stats._events.update({str(status): int(count) for status, count in document["events_by_status"].items()})
        stats._skewed = int(document["dated_in_future"])
        stats._unknown_frequencies = int(document["unknown_frequencies"])
        stats._newest_arrivals = [
            _Arrival(
                float(arrived_at),
                bytes.fromhex(digest),
                datetime.fromisoformat(local_time),
                float(occurred_at),
                bool(offset_in_text),
            )
            for arrived_at, digest, local_time, occurred_at, offset_in_text in document["newest_arrivals"]
        ]
        stats._unknown_status_arrivals = {
            str(status): [float(arrived_at) for arrived_at in arrivals]
            for status, arrivals in document["unknown_status_arrivals"].items()
        }
        return stats

    def state(self, source: Source, counters: Iterable[DeliveryCounter], configured_at: float = 0) -> SourceState:
        """Return the state of the source, including the deliveries that the ledger only counts."""
        counters_of_source = [counter for counter in counters if counter.source == source.slug]
        counts = {(counter.kind, counter.label): counter.count for counter in counters_of_source}
        newest = self._newest_arrivals[-1] if self._newest_arrivals else None
        # Anyone may send a test call, also while the vendor sends nothing: it must not end the alert about that.
        accepted = [counter.last_arrived_at for counter in counters_of_source if counter.kind != "test_call"]
        if newest:
            accepted.append(newest.arrived_at)
        suspected = suspected_offset(self._sightings())
        return SourceState(
            slug=source.slug,
            timezone=source.timezone,
            events=dict(self._events),
            duplicates=counts.get(("duplicate", ""), 0),
            test_calls=counts.get(("test_call", ""), 0),
            quarantined={label: n for (kind, label), n in counts.items() if kind == "quarantined"},
            skewed=self._skewed,
            unknown_frequencies=self._unknown_frequencies,
            unknown_statuses={
                status: arrivals[0] if len(arrivals) > 1 else 0
                for status, arrivals in self._unknown_status_arrivals.items()
            },
            configured_at=configured_at,
            last_accepted=max(accepted, default=0),
            delay=newest.arrived_at - newest.occurred_at if newest else 0,
            suspected_offset=suspected,
            suspect=self._contradicts_zone(source),
        )

    def _sightings(self) -> list[tuple[datetime, float]]:
        """Return local time and arrival of the newest events whose text leaves the offset to the zone."""
        return [(event.local_time, event.arrived_at) for event in self._newest_arrivals if not event.offset_in_text]

    def _contradicts_zone(self, source: Source) -> bool:
        """Return whether the newest arrivals all show the same offset, and it is not that of the configured zone."""
        if source.zone is None:
            return False
        differences = [
            offset - zone_offset(local_time, arrived_at, source.zone)
            for local_time, arrived_at in self._sightings()
            for offset, evident in [offset_by_arrival(local_time, arrived_at)]
            if evident
        ]
        return len(differences) >= MIN_EVIDENCE and len(set(differences)) == 1 and differences[0] != 0
