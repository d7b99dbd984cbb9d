"""Folds the events of one export in chronological order, whatever order they are delivered in. Pure.

A history keeps the newest events as they are, and the older ones only as the `Runs` that they
amount to::

    event time --->
    |      pruned      |         compacted         |  recent: at most 16 events |
    |------------------|---------------------------|--.--..---.--.-.--..---.--.-|
                       |                           |                            |
                 ignore_before              compacted_up_to                   newest

What `History.add` does with an event depends on where it belongs:

    =========================  ===============================================================
    the event is               then
    =========================  ===============================================================
    the newest                 it is appended, and the cached result takes one more step
    between recent events      it is inserted, and the cached result is dropped
    among compacted events     nothing: ``add`` returns False, and the caller rebuilds the
                               history from all of its events in the ledger
    among pruned events        it is ignored: those events cannot be folded again
    =========================  ===============================================================

The 17th recent event compacts the oldest 8: a late event finds at least 8 events to be inserted
between, and each event is folded into the compacted runs once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.projection.fold.runs import Runs
from exporter.projection.fold.sort_keys import SORT_KEY, EventText, intern_text, pack_sort_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import Event
    from exporter.projection.fold.rules import Rules

UNCOMPACTED_EVENTS = 16
"""How many recent events a history keeps before it compacts the older half."""
CACHE_FROM = 4
"""From how many recent events on the result is cached: 0.6 kB per export, and each event is folded once."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the oldest events of an export amount to; a history can start from it.

    Attributes:
        runs: these events, folded.
        compacted_up_to: the sort key of the last of them.
        count: how many they are.
    """

    runs: Runs
    compacted_up_to: bytes
    count: int


class History:
    """The events of one export, folded.

    Args:
        rules: what the fold depends on beside the events; its list of outages is shared, and later outages are
            appended to it.
        baseline: what the pruned events amount to.
    """

    __slots__ = (
        "_cached_runs",
        "_compacted",
        "_compacted_count",
        "_compacted_up_to",
        "_event_texts",
        "_ignore_before",
        "_outages_in_cached",
        "_sort_keys",
        "event_count",
        "pruned_count",
        "rules",
    )

    def __init__(self, rules: Rules, baseline: Baseline | None = None) -> None:
        self.rules = rules
        """A change of anything but the outages needs a `rebuild`."""
        self._compacted: Runs | None = None
        self._sort_keys: list[bytes] = []
        self._event_texts: list[EventText] = []
        self.event_count = 0
        """How many events in the ledger belong to the export, even while a rebuild is pending; set by the owner."""
        self.pruned_count = baseline.count if baseline else 0
        """How many events were pruned."""
        self._cached_runs: Runs | None = None
        """All events, folded; None if that has to be done again."""
        self._outages_in_cached = 0
        """How many outages the cached runs take into account."""
        self._start_from(baseline)

    def __len__(self) -> int:
        """The number of compacted and recent events."""
        return self._compacted_count + len(self._sort_keys)

    def add(self, event: Event) -> bool:
        """Add ``event`` at its place in the chronological order.

        Returns:
            False if the event belongs among compacted events. Then nothing was changed, and the
            caller has to `rebuild` the history from all events.
        """
        sort_key = pack_sort_key(event)
        if sort_key < self._compacted_up_to:
            return sort_key < self._ignore_before
        sort_keys = self._sort_keys
        is_newest = not sort_keys or sort_key > sort_keys[-1]
        index = len(sort_keys) if is_newest else bisect_right(sort_keys, sort_key)
        sort_keys.insert(index, sort_key)
        event_text = self._event_text(event)
        self._event_texts.insert(index, event_text)
        cached = self._valid_cache()
        if cached is not None and is_newest:
            cached.apply(sort_key, event_text, self.rules)
        else:
            self._cached_runs = None
        if len(sort_keys) > UNCOMPACTED_EVENTS:
            self._compact(UNCOMPACTED_EVENTS // 2)
        return True

    def remove(self, request_id: str, count: int) -> bool:
        """Remove the ``count`` events of a request id, or return False if some of them are compacted."""
        remaining = [
            (sort_key, event_text)
            for sort_key, event_text in zip(self._sort_keys, self._event_texts, strict=True)
            if event_text.request_id != request_id
        ]
        if len(self._sort_keys) - len(remaining) != count:
            return False
        self._sort_keys = [sort_key for sort_key, _ in remaining]
        self._event_texts = [event_text for _, event_text in remaining]
        self._cached_runs = None
        return True

    def rebuild(self, events: Iterable[Event], baseline: Baseline | None = None) -> None:
        """Fold again from all events in the ledger, in any order, and the baseline of the pruned ones."""
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
        """Record that ``count`` events were pruned in total."""
        self.event_count -= count - self.pruned_count
        self.pruned_count = count

    def fold_onto(self, events: Iterable[Event]) -> Baseline:
        """Return the baseline that this history started from, extended by the events after it.

        The history has no events of its own. The given ones are in chronological order.
        """
        runs, sort_key, count = self.runs().copy(), self._compacted_up_to, len(self)
        for event in events:
            sort_key = pack_sort_key(event)
            count += 1
            runs.apply(sort_key, self._event_text(event), self.rules)
        return Baseline(runs, sort_key, count)

    def runs(self) -> Runs:
        """Return all events, folded; valid until the next change, and not to be modified."""
        cached = self._valid_cache()
        if cached is not None:
            return cached
        runs = self._compacted.copy() if self._compacted else Runs()
        for sort_key, event_text in zip(self._sort_keys, self._event_texts, strict=True):
            runs.apply(sort_key, event_text, self.rules)
        if len(self._sort_keys) >= CACHE_FROM:
            self._cached_runs, self._outages_in_cached = runs, len(self.rules.outages)
        return runs

    @property
    def ignore_before(self) -> bytes:
        """The sort key before which events are pruned and further ones are ignored."""
        return self._ignore_before

    @property
    def outages_folded(self) -> int:
        """How many outages `runs` takes into account."""
        return len(self.rules.outages)

    def compacted_and_recent(self) -> tuple[Baseline | None, Sequence[bytes], Sequence[EventText]]:
        """Return the compacted events, and the sort keys and texts of the recent ones, to be stored."""
        compacted = None
        if self._compacted is not None:
            compacted = Baseline(self._compacted, self._compacted_up_to, self._compacted_count)
        return compacted, self._sort_keys, self._event_texts

    def restore(
        self, compacted: Baseline | None, ignore_before: bytes, sort_keys: list[bytes], event_texts: list[EventText]
    ) -> None:
        """Fill a new history with stored state; the runs of the baseline and both lists are used, not copied."""
        if compacted is not None:
            self._compacted = compacted.runs
            self._compacted_up_to = compacted.compacted_up_to
            self._compacted_count = compacted.count
        self._ignore_before, self._sort_keys, self._event_texts = ignore_before, sort_keys, event_texts

    def restore_runs(self, runs: Runs, outages_folded: int) -> None:
        """Restore the stored result of `runs`, so that a start does not fold the recent events again."""
        self._cached_runs, self._outages_in_cached = runs, outages_folded

    def first_sequence(self) -> int:
        """Return the sequence of the first event; 0 if there is none."""
        if self._cached_runs is not None:
            return self._cached_runs.first_sequence
        sequences = [SORT_KEY.unpack(sort_key)[-1] for sort_key in self._sort_keys]
        if self._compacted and self._compacted.first_sequence:
            sequences.append(self._compacted.first_sequence)
        return min(sequences, default=0)

    def compacted_after(self, instant: float) -> bool:
        """Return whether an outage that begins at ``instant`` may affect a slot that is already compacted."""
        return self._compacted is not None and self._compacted.outages_matter_until > instant

    def _valid_cache(self) -> Runs | None:
        """Return the cached runs; drop them if an outage appended since then affects them."""
        outages_folded = self._outages_in_cached
        if self._cached_runs is not None and outages_folded < len(self.rules.outages):
            if self._cached_runs.outages_matter_until > self.rules.outages[outages_folded].began_at:
                self._cached_runs = None
            self._outages_in_cached = len(self.rules.outages)
        return self._cached_runs

    def _start_from(self, baseline: Baseline | None) -> None:
        self._compacted = baseline.runs.copy() if baseline else None
        self._compacted_count = baseline.count if baseline else 0
        self._compacted_up_to = self._ignore_before = baseline.compacted_up_to if baseline else b""
        self._cached_runs = None

    def _event_text(self, event: Event) -> EventText:
        """Return the texts of an event, shared with one of the last three events if they are equal."""
        fields = event.request_id, event.partner, event.data_type, event.status, event.frequency
        for text in self._event_texts[:-4:-1]:
            if text == fields:
                return text
        return intern_text(*fields)

    def _compact(self, count: int) -> None:
        """Fold the oldest ``count`` recent events into the compacted runs."""
        if self._compacted is None:
            self._compacted = Runs()
        for sort_key, event_text in zip(self._sort_keys[:count], self._event_texts, strict=False):
            self._compacted.apply(sort_key, event_text, self.rules)
        self._compacted_up_to = self._sort_keys[count - 1]
        self._compacted_count += count
        del self._sort_keys[:count], self._event_texts[:count]
