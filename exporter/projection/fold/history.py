"""The fold: the events of one export, in the order of history, become its state.

Pure: no I/O, and no clock; now is a parameter. The result depends on the set of events and not
on the order in which they were delivered. What is folded for good is compact; the newest few
events are kept beside it, so that one that comes a little late is put in its place at once.
One that is older than that asks for the export's events again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain.frequency import parse
from exporter.projection.fold.runs import Runs
from exporter.projection.fold.sort_keys import SORT_KEY, EventText, intern_text, pack_sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from exporter.domain.events import Event, Outage
    from exporter.domain.exports import Expectation

UNCOMPACTED_EVENTS = 16
"""How many of the newest events stay loose before the older half is folded for good."""
CACHE_FROM = 4
"""From so many loose events on what they amount to is kept as well: 0.6 kB an export, and each is folded once."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the events amount to that are no longer in the ledger: a history begins with it.

    Attributes:
        watermark: the mark of the last of them; what belongs before it changes nothing any more.
        count: how many they were.
    """

    runs: Runs
    compacted_up_to: bytes
    count: int


class History:
    """The events of one export, as far as they are known.

    Args:
        promises: what the export promises when its events have this interval.
        gaps: when nobody listened, in order.
        base: what it begins with.
    """

    __slots__ = (
        "_cached_runs",
        "_compacted",
        "_compacted_count",
        "_compacted_up_to",
        "_event_texts",
        "_ignore_before",
        "_outages",
        "_outages_in_cached",
        "_sort_keys",
        "event_count",
        "expectation",
        "pruned_count",
        "retirements",
    )

    def __init__(
        self,
        expectation_for: Callable[[int], Expectation],
        outages: Sequence[Outage] = (),
        baseline: Baseline | None = None,
    ) -> None:
        self.expectation = expectation_for
        """What the export promises, by the interval of its events."""
        self._outages = outages
        self._compacted: Runs | None = None
        self._sort_keys: list[bytes] = []
        self._event_texts: list[EventText] = []
        self.event_count = 0
        """How many events of the ledger are its own, also while it has to be read again; kept by its owner."""
        self.pruned_count = baseline.count if baseline else 0
        """How many events are not in the ledger any more."""
        self.retirements: Sequence[float] = ()
        """When people retired the export, in order; a change asks for `rebuild`."""
        self._cached_runs: Runs | None = None
        """What all events amount to, with so many gaps; None where that has to be folded first."""
        self._outages_in_cached = 0
        self._start_from(baseline)

    def __len__(self) -> int:
        """How many events it holds."""
        return self._compacted_count + len(self._sort_keys)

    def add(self, event: Event) -> bool:
        """Put ``event`` in its place.

        Returns:
            False, and nothing was done, where it is too old for that: give all to `rebuild`.
        """
        sort_key = pack_sort_key(event)
        if sort_key < self._compacted_up_to:
            return sort_key < self._ignore_before
        sort_keys = self._sort_keys
        at = len(sort_keys) if not sort_keys or sort_key > sort_keys[-1] else bisect_right(sort_keys, sort_key)
        sort_keys.insert(at, sort_key)
        event_text = self._event_text(event)
        self._event_texts.insert(at, event_text)
        cached = self._valid_cache()
        if cached is not None and sort_key is sort_keys[-1]:
            self._step(cached, sort_key, event_text)
        else:
            self._cached_runs = None
        if len(sort_keys) > UNCOMPACTED_EVENTS:
            self._compact(UNCOMPACTED_EVENTS // 2)
        return True

    def remove(self, request_id: str, count: int) -> bool:
        """Take the ``count`` events of a request id out, where they are all recent; else False."""
        remaining = [
            (sort_key, event_text)
            for sort_key, event_text in zip(self._sort_keys, self._event_texts, strict=True)
            if event_text[0] != request_id
        ]
        if len(self._sort_keys) - len(remaining) != count:
            return False
        self._sort_keys, self._event_texts = (
            [sort_key for sort_key, _ in remaining],
            [event_text for _, event_text in remaining],
        )
        self._cached_runs = None
        return True

    def rebuild(self, events: Iterable[Event], baseline: Baseline | None = None) -> None:
        """Start again from these events, in any order, and from what was before them."""
        self._start_from(baseline)
        if baseline:
            self.set_pruned_count(baseline.count)
        self._event_texts = []
        ordered = sorted((pack_sort_key(event), event) for event in events)
        for _, event in ordered:
            self._event_texts.append(self._event_text(event))
        self._sort_keys = [sort_key for sort_key, _ in ordered]
        ignored = bisect_left(self._sort_keys, self._ignore_before)
        del self._sort_keys[:ignored], self._event_texts[:ignored]
        if len(self._sort_keys) > UNCOMPACTED_EVENTS:
            self._compact(len(self._sort_keys) - UNCOMPACTED_EVENTS // 2)

    def set_pruned_count(self, count: int) -> None:
        """Take note that ``count`` events are not in the ledger any more."""
        self.event_count -= count - self.pruned_count
        self.pruned_count = count

    def fold_onto(self, events: Iterable[Event]) -> Baseline:
        """What a base, and nothing else, amounts to with the events after it in the order of history."""
        runs, sort_key, count = self.runs().copy(), self._compacted_up_to, len(self)
        for event in events:
            sort_key = pack_sort_key(event)
            count += 1
            self._step(runs, sort_key, self._event_text(event))
        return Baseline(runs, sort_key, count)

    def runs(self) -> Runs:
        """What all of its events amount to, until the next one; not to be changed."""
        cached = self._valid_cache()
        if cached is not None:
            return cached
        runs = self._compacted.copy() if self._compacted else Runs()
        for sort_key, event_text in zip(self._sort_keys, self._event_texts, strict=True):
            self._step(runs, sort_key, event_text)
        if len(self._sort_keys) >= CACHE_FROM:
            self._cached_runs, self._outages_in_cached = runs, len(self._outages)  # gaps are only ever added to
        return runs

    @property
    def ignore_before(self) -> bytes:
        """The mark before which an event changes nothing any more."""
        return self._ignore_before

    @property
    def outages_folded(self) -> int:
        """With how many gaps `runs` was folded."""
        return len(self._outages)

    def compacted_and_recent(self) -> tuple[Baseline | None, Sequence[bytes], Sequence[EventText]]:
        """What is folded for good, and the loose events after it, to be stored."""
        compacted = (
            None if self._compacted is None else Baseline(self._compacted, self._compacted_up_to, self._compacted_count)
        )
        return compacted, self._sort_keys, self._event_texts

    def restore(self, settled: Baseline | None, floor: bytes, marks: list[bytes], said: list[EventText]) -> None:
        """Fill a new history with stored state; the baseline's runs and both lists are used as they are, not copied."""
        if settled is not None:
            self._compacted, self._compacted_up_to, self._compacted_count = (
                settled.runs,
                settled.compacted_up_to,
                settled.count,
            )
        self._ignore_before, self._sort_keys, self._event_texts = floor, marks, said

    def restore_runs(self, runs: Runs, gaps_known: int) -> None:
        """Take stored `runs`, so that a start need not step through the loose events."""
        self._cached_runs, self._outages_in_cached = runs, gaps_known

    def first_sequence(self) -> int:
        """The place of its first event in the ledger; 0 where it has none."""
        if self._cached_runs is not None:
            return self._cached_runs.first_sequence
        sequences = [SORT_KEY.unpack(sort_key)[-1] for sort_key in self._sort_keys]
        if self._compacted and self._compacted.first_sequence:
            sequences.append(self._compacted.first_sequence)
        return min(sequences, default=0)

    def compacted_after(self, instant: float) -> bool:
        """Whether a slot that was waited for at or after ``instant`` may be folded for good."""
        return self._compacted is not None and self._compacted.counted_slot_after(instant)

    def _valid_cache(self) -> Runs | None:
        """What was folded, unless another gap would have changed it; gaps are only ever added to."""
        outages_counted = self._outages_in_cached
        if self._cached_runs is not None and outages_counted < len(self._outages):
            if self._cached_runs.counted_slot_after(self._outages[outages_counted].began_at):
                self._cached_runs = None
            self._outages_in_cached = len(self._outages)
        return self._cached_runs

    def _start_from(self, baseline: Baseline | None) -> None:
        self._compacted = baseline.runs.copy() if baseline else None
        self._compacted_count = baseline.count if baseline else 0
        self._compacted_up_to = self._ignore_before = baseline.compacted_up_to if baseline else b""
        self._cached_runs = None

    def _event_text(self, event: Event) -> EventText:
        fields = event.request_id, event.partner, event.data_type, event.status, event.frequency
        for text in self._event_texts[:-4:-1]:
            if text == fields:
                return text
        return intern_text(*fields)

    def _compact(self, count: int) -> None:
        if self._compacted is None:
            self._compacted = Runs()
        for sort_key, event_text in zip(self._sort_keys[:count], self._event_texts, strict=False):
            self._step(self._compacted, sort_key, event_text)
        self._compacted_up_to = self._sort_keys[count - 1]
        self._compacted_count += count
        del self._sort_keys[:count], self._event_texts[:count]

    def _step(self, runs: Runs, sort_key: bytes, event_text: EventText) -> None:
        runs.apply(
            sort_key,
            event_text,
            self.expectation(parse(event_text.frequency).interval),
            self._outages,
            self.retirements,
        )
