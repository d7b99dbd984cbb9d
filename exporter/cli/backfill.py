"""The history as OpenMetrics with timestamps, for ``promtool tsdb create-blocks-from openmetrics``.

Folds the ledger again in the order of arrival, and tells for every instant what a scrape at that
instant would have shown, with the configuration as it is now. A sample stands at every step, so
that no query finds a hole, and at the whole second after every change. There is none in a time in
which no exporter was there to be scraped.

What the ledger counts and does not keep, duplicates and test calls, has no history and is left
out, as is what the process knew of itself.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from exporter.domain.errors import ExporterError
from exporter.domain.events import DeliveryCounter
from exporter.ledger.contract import PAGE_SIZE
from exporter.metrics import families
from exporter.metrics.families import DUPLICATES, DURATION, EXPORT_FAMILIES, SOURCE_FAMILIES, TEST_CALLS
from exporter.metrics.series_limit import combine
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from exporter.domain.events import Event, Outage, QuarantinedBody
    from exporter.domain.exports import Declaration, ExportKey, Selection, Source
    from exporter.domain.states import ExportState
    from exporter.ledger.contract import Ledger
    from exporter.metrics.text_format import Family

    _Row = tuple[str, ExportKey | str | None]
    """A source, and of its exports one, or None for all over the limit, or empty for the source itself."""

WITHOUT_HISTORY = (DUPLICATES, TEST_CALLS)
"""Families without a history."""

FAMILIES = tuple(family for family in EXPORT_FAMILIES + SOURCE_FAMILIES if family not in WITHOUT_HISTORY)

_ALL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class BackfillInput:
    """What the samples are worked out from.

    Attributes:
        exports_per_source: how many exports of a source have series of their own.
        reasons: the reasons for quarantine, so that each has a series from the start.
    """

    ledger: Ledger
    sources: Mapping[str, Source]
    declarations: Sequence[Declaration]
    exports_per_source: int
    reasons: tuple[str, ...]


class Backfill:
    """The samples of a span of time: first `fold`, then the `text` of each of `FAMILIES`.

    Args:
        knowledge: what they are worked out from.
        since: the first instant in Unix seconds; None for the first arrival in the ledger.
        until: the last instant.
        step: seconds between two samples of a series that does not change.

    Raises:
        ExporterError: the ledger is empty, or the span is.
        StoreError: the ledger cannot be read.
    """

    def __init__(self, given: BackfillInput, since: float | None, until: float, step: int) -> None:
        ledger = given.ledger
        self._input = given
        self._limit = given.exports_per_source
        self._events = sorted(_all_events(ledger), key=lambda each: (each.arrived_at, each.sequence))
        self._quarantined = sorted(ledger.quarantine(_ALL), key=lambda each: each.arrived_at)
        self._outages = ledger.outages()
        self._declared_at = ledger.declaration_times()
        arrivals = [each[0].arrived_at for each in (self._events, self._quarantined) if each]
        if since is None and not arrivals:
            message = "store.url: the ledger is empty, so there is no history to tell"
            raise ExporterError(message)
        self.since = math.ceil(min(arrivals) if since is None else since)
        self.until = math.floor(until)
        if self.since > self.until:
            message = f"the span ends before it begins: from {self.since} to {self.until}, in Unix seconds"
            raise ExporterError(message)
        self._grid = self._regular(step)
        self._stamps = [f"{second}\n" for second in self._grid]
        self._past = _PastExports(given)
        self._source_histories = {slug: SourceStats() for slug in given.sources}
        self._tallies: dict[tuple[str, str], DeliveryCounter] = {}
        self._due: list[tuple[int, ExportKey]] = []
        self._states: dict[str, dict[ExportKey, ExportState]] = {slug: {} for slug in given.sources}
        self._shown: dict[str, dict[ExportKey | None, ExportState]] = {slug: {} for slug in given.sources}
        self._lines: dict[_Row, tuple[str, ...]] = {}
        self._changes: dict[str, dict[str, list[tuple[int, str]]]] = {family.name: {} for family in FAMILIES}
        self.samples = 0
        """How many were told."""

    @property
    def series(self) -> int:
        """How many series were found; a histogram counts as one."""
        return sum(map(len, self._changes.values()))

    def fold(self) -> Iterator[int]:
        """Fold the ledger; yields every second at which something changes."""
        second: int | None = self.since
        events = quarantined = outages = 0
        dirty_sources = set(self._source_histories)
        while second is not None and second <= self.until:
            known, outages = outages, bisect_right(self._outages, float(second), key=lambda outage: outage.ended_at)
            upto = bisect_right(self._events, float(second), lo=events, key=lambda event: event.arrived_at)
            new_events, events = self._events[events:upto], upto
            upto = bisect_right(self._quarantined, float(second), lo=quarantined, key=lambda each: each.arrived_at)
            refused, quarantined = self._quarantined[quarantined:upto], upto
            dirty: set[ExportKey] = set()
            if outages > known:
                # A time in which nobody listened changes what was missed, once it is over.
                self._past = _PastExports(self._input, self._outages[:outages], self._past.events)
                dirty.update(*self._states.values())
            dirty |= self._past.add(new_events)
            while self._due and self._due[0][0] <= second:
                dirty.add(heapq.heappop(self._due)[1])
            self._take_exports(dirty, second)
            self._take_sources(dirty_sources | self._count(new_events, refused), second)
            dirty_sources = set()
            yield second
            ahead = [
                *(each.arrived_at for each in self._events[events : events + 1]),
                *(each.arrived_at for each in self._quarantined[quarantined : quarantined + 1]),
                *(outage.ended_at for outage in self._outages[outages : outages + 1]),
                *(at for at, _ in self._due[:1]),
            ]
            second = math.ceil(min(ahead)) if ahead else None

    def text(self, family: Family) -> Iterator[str]:
        """The samples of a family in pieces, its header first."""
        yield family.header(openmetrics=True)
        changes = self._changes[family.name]
        for head in sorted(changes):
            for (began, value), (ended, _) in pairwise([*changes[head], (self.until + 1, "")]):
                if not value:
                    continue
                stamps = self._between(began, ended)
                places = value.splitlines()
                self.samples += len(stamps) * len(places)
                # All lines of an instant stand together, each with the instant behind it.
                parts = [f"{place} " for place in places]
                yield "".join([stamp.join((*parts, "")) for stamp in stamps])

    def _regular(self, step: int) -> list[int]:
        """The seconds at which every series has a sample."""
        regular = {self.since, *range(-(-self.since // step) * step, self.until + 1, step)}
        regular |= {
            math.ceil(outage.ended_at) for outage in self._outages if self.since <= outage.ended_at <= self.until
        }
        return sorted(second for second in regular if not self._is_in_outage(second))

    def _is_in_outage(self, second: int) -> bool:
        after = bisect_right(self._outages, float(second), key=lambda outage: outage.ended_at)
        return after < len(self._outages) and self._outages[after].began_at < second

    def _between(self, began: int, ended: int) -> list[str]:
        """The stamps of a value that holds from one second until before another."""
        first = bisect_left(self._grid, began)
        stamps = self._stamps[first : bisect_left(self._grid, ended, lo=first)]
        on_the_grid = first < len(self._grid) and self._grid[first] == began
        return stamps if on_the_grid or self._is_in_outage(began) else [f"{began}\n", *stamps]

    def _count(self, events: Sequence[Event], quarantined: Sequence[QuarantinedBody]) -> set[str]:
        """Count for the sources; which of them that concerns."""
        for event in events:
            if event.source in self._source_histories:
                self._source_histories[event.source].add(event)
        for each in quarantined:
            key = (each.source, each.reason)
            count = self._tallies[key].count if key in self._tallies else 0
            self._tallies[key] = DeliveryCounter(each.source, "quarantined", each.reason, count + 1, each.arrived_at)
        named = {each.source for each in events} | {each.source for each in quarantined}
        return named & set(self._source_histories)

    def _take_sources(self, slugs: Iterable[str], second: int) -> None:
        for slug in slugs:
            state = self._source_histories[slug].state(self._input.sources[slug], self._tallies.values())
            lines = families.source_lines(state, self._input.reasons)
            self._replace((slug, ""), lines, SOURCE_FAMILIES, second)

    def _take_exports(self, dirty: Collection[ExportKey], second: int) -> None:
        for key in dirty:
            states = self._states[key.source]
            states.pop(key, None)
            if key in self._past.exports:
                since = self._declared_at.get((key.source, key.name), self.since)
                states[key] = self._past.exports.state(key, second, since)
                if states[key].changes_at < math.inf:
                    heapq.heappush(self._due, (max(second + 1, math.ceil(states[key].changes_at)), key))
        for slug in {key.source for key in dirty}:
            self._show(slug, {key for key in dirty if key.source == slug}, second)

    def _show(self, slug: str, dirty: Iterable[ExportKey], second: int) -> None:
        """Note what of a source's exports a scrape shows now."""
        states, shown = self._states[slug], self._shown[slug]
        over = sorted(states, key=lambda key: (self._past.exports.first_sequence(key), key))[self._limit :]
        now: dict[ExportKey | None, ExportState] = {key: states[key] for key in dirty if key in states}
        concerned: set[ExportKey | None] = set(dirty)
        if over or None in shown:
            now = {key: states[key] for key in states.keys() - over}
            now |= {None: combine(slug, [states[key] for key in over])} if over else {}
            concerned = {*shown, *now}
        names = set()
        for row in concerned:
            old, new = shown.pop(row, None), now.get(row)
            if new is not None:
                shown[row] = new
            lines = families.export_lines(new) if new else ("",) * len(EXPORT_FAMILIES)
            self._replace((slug, row), lines, EXPORT_FAMILIES, second)
            names |= {each.export for each in (old, new) if each}
        for name in names:
            self._show_durations(slug, name, second)

    def _show_durations(self, slug: str, name: str, second: int) -> None:
        """Note the histogram that the exports of a source with this label have together."""
        own = [state for state in self._shown[slug].values() if state.export == name]
        counts = tuple(map(sum, zip(*(state.duration_buckets for state in own), strict=True)))
        total = sum(state.duration_sum for state in own)
        text = families.duration_lines(slug, name, counts, total) if own else ""
        changes = self._changes[DURATION.name].setdefault(f"{slug} {name}", [])
        if text != (changes[-1][1] if changes else ""):
            changes.append((second, text))

    def _replace(self, row: _Row, lines: Sequence[str], kinds: Sequence[Family], second: int) -> None:
        """Note the series of an export or of a source as they are now."""
        before = self._lines.get(row, ("",) * len(kinds))
        self._lines[row] = tuple(lines)
        for family, old, new in zip(kinds, before, lines, strict=True):
            if old == new or family in WITHOUT_HISTORY:
                continue
            changes, olds, news = self._changes[family.name], _by_head(old), _by_head(new)
            for head in {**olds, **news}:
                if olds.get(head) != news.get(head):
                    changes.setdefault(head, []).append((second, news.get(head, "")))


class _PastExports:
    """The exports as folded from the events that had arrived, which it keeps at hand for a rebuild."""

    def __init__(self, given: BackfillInput, outages: Sequence[Outage] = (), events: Iterable[Event] = ()) -> None:
        self.exports = ExportProjection(given.sources, given.declarations, outages)
        self.events: list[Event] = []
        self._by: dict[tuple[str, str | None, str | None], list[Event]] = defaultdict(list)
        self._fold(events)

    def add(self, events: Iterable[Event]) -> set[ExportKey]:
        """Take further events; the exports that changed since this was last called."""
        self._fold(events)
        return self.exports.take_dirty()

    def _fold(self, events: Iterable[Event]) -> None:
        added = list(events)
        self.events += added
        for event in added:
            for which in ((event.request_id, None), (None, event.group_key), (None, None)):
                self._by[event.source, *which].append(event)
        self.exports.apply(added)
        while self.exports.needs_rebuild:
            key = min(self.exports.needs_rebuild)
            self.exports.rebuild(key, self._select(self.exports.selection(key)))

    def _select(self, selection: Selection) -> Iterator[Event]:
        which = (selection.request_id, None) if selection.request_id is not None else (None, selection.group_key)
        return filter(selection.matches, self._by[selection.source, *which])


def _all_events(ledger: Ledger) -> Iterator[Event]:
    after = 0
    while page := ledger.read(after, PAGE_SIZE):
        yield from page
        after = page[-1].sequence


def _by_head(text: str) -> dict[str, str]:
    """The lines of a text without their line ends, by everything before the value."""
    return {line.rpartition(" ")[0]: line for line in text.splitlines()}
