"""Writes historical metrics as OpenMetrics with timestamps, for ``promtool tsdb create-blocks-from openmetrics``.

`Backfill` folds the ledger again in order of arrival and computes what a scrape at each instant
would have shown with today's configuration. Every series has a sample at each step, so that
queries find no holes, and at the first whole second after each change. During outages there are
none, because no exporter was running to be scraped.

Duplicates and test calls are left out, because the ledger only counts them; so are the metrics of
the exporter's process.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.domain.errors import ExporterError
from exporter.domain.events import DeliveryCounter
from exporter.domain.exports import key_of_source
from exporter.domain.landing import Landings
from exporter.domain.landing_history import LandingHistory
from exporter.ledger.contract import PAGE_SIZE
from exporter.metrics import families
from exporter.metrics.families import DUPLICATES, DURATION, EXPORT_FAMILIES, SOURCE_FAMILIES, TEST_CALLS
from exporter.metrics.landing_families import LANDING_FAMILIES, landing_lines
from exporter.metrics.series_limit import combine
from exporter.projection.fold.exports import ExportProjection
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from exporter.domain.events import Event, Outage, QuarantinedBody
    from exporter.domain.exports import Declaration, ExportKey, Selection, Source
    from exporter.domain.landing import LandingCheck
    from exporter.domain.states import ExportState
    from exporter.domain.terms import TermsChange
    from exporter.ledger.contract import Ledger
    from exporter.metrics.text_format import Family

WITHOUT_HISTORY = (DUPLICATES, TEST_CALLS)
"""Families whose past values the ledger does not have."""

FAMILIES = tuple(family for family in EXPORT_FAMILIES + SOURCE_FAMILIES if family not in WITHOUT_HISTORY)

_NO_LIMIT = 2**31 - 1

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class BackfillInput:
    """The ledger and the configuration that the samples are computed from.

    Attributes:
        exports_per_source: how many exports of a source get their own series; the others share one.
        reasons: every reason for quarantine; each has a series from the start.
        landings: where the files of exports land; the checks of others are left out.
    """

    ledger: Ledger
    sources: Mapping[str, Source]
    declarations: Sequence[Declaration]
    exports_per_source: int
    reasons: tuple[str, ...]
    landings: Landings = field(default_factory=Landings)


class Backfill:
    """The samples of a period: call `fold` to the end, then `text` for each of `families`.

    Args:
        inputs: what the samples are computed from.
        since: the first instant in Unix seconds; None for the first arrival in the ledger.
        until: the last instant in Unix seconds.
        step: seconds between two samples of a series that does not change.

    Raises:
        ExporterError: the ledger is empty, or the period ends before it begins.
        StoreError: the ledger cannot be read.
    """

    def __init__(self, inputs: BackfillInput, since: float | None, until: float, step: int) -> None:
        ledger = inputs.ledger
        self._inputs = inputs
        self._events = sorted(_all_events(ledger), key=lambda event: (event.arrived_at, event.sequence))
        self._quarantined = sorted(ledger.quarantine(_NO_LIMIT), key=lambda body: body.arrived_at)
        self._outages = ledger.outages()
        first_arrivals = [items[0].arrived_at for items in (self._events, self._quarantined) if items]
        if since is None and not first_arrivals:
            message = "store.url: the store is empty, so there is no history to write"
            raise ExporterError(message)
        self.since = math.ceil(min(first_arrivals) if since is None else since)
        self.until = math.floor(until)
        if self.since > self.until:
            message = f"the span ends before it begins: from {self.since} to {self.until}, in Unix seconds"
            raise ExporterError(message)
        self._regular_seconds = self._list_regular_seconds(step)
        declared = ((declaration.match.source, declaration.name) for declaration in inputs.declarations)
        self._declared_at = dict.fromkeys(declared, float(self.since)) | dict(ledger.declaration_times())
        self._regular_timestamps = [f"{second}\n" for second in self._regular_seconds]
        self._projection = _InMemoryProjection(inputs, self._declared_at, ledger.declared_terms())
        self._source_stats = {slug: SourceStats() for slug in inputs.sources}
        self._quarantine_counters: dict[tuple[str, str], DeliveryCounter] = {}
        self._scheduled: list[tuple[int, ExportKey]] = []
        """A heap of the seconds at which the state of an export changes without an event."""
        self._states: dict[str, dict[ExportKey, ExportState]] = {slug: {} for slug in inputs.sources}
        self._shown: dict[str, dict[ExportKey | None, ExportState]] = {slug: {} for slug in inputs.sources}
        """The exports that have series, by source; None for all over the limit together."""
        self._export_lines: dict[tuple[str, ExportKey | None], Sequence[str]] = {}
        self._source_lines: dict[str, Sequence[str]] = {}
        self._landing_histories: defaultdict[str, LandingHistory] = defaultdict(LandingHistory)
        """By `ExportKey.id`."""
        self._keys_with_landing: dict[str, ExportKey] = {}
        self._landing_lines: dict[ExportKey, Sequence[str]] = {}
        self._changes: dict[str, dict[str, list[tuple[int, str]]]] = {family.name: {} for family in self.families}
        """By family and series: from which second on which lines are shown; an empty text ends the series."""
        self.samples = 0
        """How many samples `text` has yielded."""

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that have a history: `FAMILIES`, and those of files if landings are configured."""
        return FAMILIES + LANDING_FAMILIES if self._inputs.landings else FAMILIES

    @property
    def series(self) -> int:
        """How many series there are; a histogram counts as one."""
        return sum(map(len, self._changes.values()))

    def fold(self) -> Iterator[int]:
        """Fold the ledger once; yields every second at which something changes."""
        events = _Cursor(self._events, lambda event: event.arrived_at)
        quarantined = _Cursor(self._quarantined, lambda body: body.arrived_at)
        outages = _Cursor(self._outages, lambda outage: outage.ended_at)
        checks = _Cursor(self._list_checks(), lambda check: check.checked_at)
        second = self.since
        dirty_sources = set(self._source_stats)
        while True:
            dirty: set[ExportKey] = set()
            if outages.take_until(second):
                # An outage changes the missed slots of every export once it is over.
                past_outages = self._outages[: outages.position]
                self._projection = self._projection.with_outages(past_outages)
                dirty.update(*self._states.values())
            new_events = events.take_until(second)
            dirty |= self._projection.add(new_events)
            while self._scheduled and self._scheduled[0][0] <= second:
                dirty.add(heapq.heappop(self._scheduled)[1])
            for check in checks.take_until(second):
                self._landing_histories[check.export_id].add(check)
                if check.export_id in self._keys_with_landing:
                    dirty.add(self._keys_with_landing[check.export_id])
            self._update_exports(dirty, second)
            dirty_sources |= self._count_arrivals(new_events, quarantined.take_until(second))
            self._update_sources(dirty_sources, second)
            dirty_sources = set()
            yield second
            cursors = (events, quarantined, outages, checks)
            next_change = min(self._next_scheduled(), *(cursor.next_time for cursor in cursors))
            if next_change > self.until:
                return
            second = math.ceil(next_change)

    def text(self, family: Family) -> Iterator[str]:
        """Yield the header of a family, then its samples in pieces."""
        yield family.header(openmetrics=True)
        changes = self._changes[family.name]
        for series in sorted(changes):
            for (began, lines), (ended, _) in pairwise([*changes[series], (self.until + 1, "")]):
                if not lines:
                    continue
                timestamps = self._timestamps_between(began, ended)
                prefixes = [f"{line} " for line in lines.splitlines()]
                self.samples += len(timestamps) * len(prefixes)
                # OpenMetrics wants the lines of a histogram grouped by timestamp; each line ends with it.
                yield "".join([timestamp.join((*prefixes, "")) for timestamp in timestamps])

    def _list_checks(self) -> list[LandingCheck]:
        if not self._inputs.landings:
            return []
        return sorted(self._inputs.ledger.landings.read(0), key=lambda check: (check.checked_at, check.sequence))

    def _list_regular_seconds(self, step: int) -> list[int]:
        """Return the seconds at which every series has a sample: all steps, and the ends of outages."""
        first_step = math.ceil(self.since / step) * step
        seconds = {self.since, *range(first_step, self.until + 1, step)}
        seconds |= {
            math.ceil(outage.ended_at) for outage in self._outages if self.since <= outage.ended_at <= self.until
        }
        return sorted(second for second in seconds if not self._is_in_outage(second))

    def _is_in_outage(self, second: int) -> bool:
        index = bisect_right(self._outages, float(second), key=lambda outage: outage.ended_at)
        return index < len(self._outages) and self._outages[index].began_at < second

    def _timestamps_between(self, began: int, ended: int) -> list[str]:
        """Return the timestamps of a value that is shown from ``began`` until before ``ended``."""
        first = bisect_left(self._regular_seconds, began)
        timestamps = self._regular_timestamps[first : bisect_left(self._regular_seconds, ended, lo=first)]
        is_regular = first < len(self._regular_seconds) and self._regular_seconds[first] == began
        return timestamps if is_regular or self._is_in_outage(began) else [f"{began}\n", *timestamps]

    def _next_scheduled(self) -> float:
        return self._scheduled[0][0] if self._scheduled else math.inf

    def _count_arrivals(self, events: Sequence[Event], quarantined: Sequence[QuarantinedBody]) -> set[str]:
        """Count arrivals for their sources, and return the configured sources among these."""
        for event in events:
            if event.source in self._source_stats:
                self._source_stats[event.source].add(event)
        for body in quarantined:
            key = (body.source, body.reason)
            count = self._quarantine_counters[key].count if key in self._quarantine_counters else 0
            self._quarantine_counters[key] = DeliveryCounter(
                body.source, "quarantined", body.reason, count + 1, body.arrived_at
            )
        slugs = {event.source for event in events} | {body.source for body in quarantined}
        return slugs & set(self._source_stats)

    def _update_sources(self, slugs: Iterable[str], second: int) -> None:
        for slug in slugs:
            configured_at = self._declared_at.get(key_of_source(slug), 0)
            state = self._source_stats[slug].state(
                self._inputs.sources[slug], self._quarantine_counters.values(), configured_at
            )
            lines = families.source_lines(state, self._inputs.reasons)
            self._record_changes(SOURCE_FAMILIES, self._source_lines.get(slug), lines, second)
            self._source_lines[slug] = lines

    def _update_exports(self, dirty: Collection[ExportKey], second: int) -> None:
        """Evaluate the exports that may have changed, and record what a scrape shows of them now."""
        exports = self._projection.exports
        for key in dirty:
            states = self._states[key.source]
            states.pop(key, None)
            if key in exports:
                states[key] = exports.state(key, second)
                if states[key].changes_at < math.inf:
                    heapq.heappush(self._scheduled, (max(second + 1, math.ceil(states[key].changes_at)), key))
        for slug in {key.source for key in dirty}:
            self._update_shown(slug, {key for key in dirty if key.source == slug}, second)

    def _update_shown(self, slug: str, dirty: Iterable[ExportKey], second: int) -> None:
        """Record what a scrape shows of the exports of a source.

        An export keeps its own series while it is among the first `exports_per_source` by first
        event; all others are combined under the key None.
        """
        exports, states, shown = self._projection.exports, self._states[slug], self._shown[slug]
        by_age = sorted(states, key=lambda key: (exports.first_sequence(key), key))
        over_limit = by_age[self._inputs.exports_per_source :]
        current: dict[ExportKey | None, ExportState] = {key: states[key] for key in dirty if key in states}
        changed: set[ExportKey | None] = set(dirty)
        if over_limit or None in shown:
            # Any export may have crossed the limit, and each of those over it changes the combined one.
            current = {key: states[key] for key in states.keys() - over_limit}
            current |= {None: combine(slug, [states[key] for key in over_limit])} if over_limit else {}
            changed = {*shown, *current}
        labels = set()
        for key in changed:
            old, new = shown.pop(key, None), current.get(key)
            if key is not None:
                self._update_landing(key, new, second)
            if new is not None:
                shown[key] = new
            lines = families.export_lines(new) if new else ("",) * len(EXPORT_FAMILIES)
            self._record_changes(EXPORT_FAMILIES, self._export_lines.get((slug, key)), lines, second)
            self._export_lines[slug, key] = lines
            labels |= {state.export for state in (old, new) if state}
        for label in labels:
            self._update_durations(slug, label, second)

    def _update_landing(self, key: ExportKey, state: ExportState | None, second: int) -> None:
        """Record what a scrape shows of the files of an export; ``state`` is None if it has no series."""
        landing = self._inputs.landings.of(key)
        if landing is None:
            return
        lines: Sequence[str] = ("",) * len(LANDING_FAMILIES)
        if state is not None:
            self._keys_with_landing[key.id] = key
            known = self._landing_histories[key.id].state(state, landing, second)
            lines = landing_lines(state, known)
            if known.changes_at < math.inf:
                heapq.heappush(self._scheduled, (max(second + 1, math.ceil(known.changes_at)), key))
        self._record_changes(LANDING_FAMILIES, self._landing_lines.get(key), lines, second)
        self._landing_lines[key] = lines

    def _update_durations(self, slug: str, label: str, second: int) -> None:
        """Record the histogram that the exports of a source with the same ``export`` label share."""
        states = [state for state in self._shown[slug].values() if state.export == label]
        counts = tuple(map(sum, zip(*(state.duration_buckets for state in states), strict=True)))
        total = sum(state.duration_sum for state in states)
        lines = families.duration_lines(slug, label, counts, total) if states else ""
        changes = self._changes[DURATION.name].setdefault(f"{slug} {label}", [])
        if lines != (changes[-1][1] if changes else ""):
            changes.append((second, lines))

    def _record_changes(
        self, kinds: Sequence[Family], old_lines: Sequence[str] | None, new_lines: Sequence[str], second: int
    ) -> None:
        """Record the series whose line differs; ``old_lines`` and ``new_lines`` have one text for each family."""
        for family, old, new in zip(kinds, old_lines or ("",) * len(kinds), new_lines, strict=True):
            if old == new or family in WITHOUT_HISTORY:
                continue
            old_by_series, new_by_series = _lines_by_series(old), _lines_by_series(new)
            for series in {**old_by_series, **new_by_series}:
                line = new_by_series.get(series, "")
                if old_by_series.get(series, "") != line:
                    self._changes[family.name].setdefault(series, []).append((second, line))


class _Cursor(Generic[Item]):
    """Hands out items in order of time; ``items`` are sorted by it."""

    def __init__(self, items: Sequence[Item], time_of: Callable[[Item], float]) -> None:
        self._items = items
        self._time_of = time_of
        self.position = 0

    def take_until(self, second: int) -> Sequence[Item]:
        """Return the items up to and including ``second`` that were not returned before."""
        start = self.position
        self.position = bisect_right(self._items, float(second), lo=start, key=self._time_of)
        return self._items[start : self.position]

    @property
    def next_time(self) -> float:
        """When the next item is due; infinity after the last one."""
        return self._time_of(self._items[self.position]) if self.position < len(self._items) else math.inf


class _InMemoryProjection:
    """The exports as of the events added so far, with those events in memory for rebuilds."""

    def __init__(
        self,
        inputs: BackfillInput,
        declared_at: Mapping[tuple[str, str], float],
        terms: Mapping[tuple[str, str], Sequence[TermsChange]],
        outages: Sequence[Outage] = (),
        events: Iterable[Event] = (),
    ) -> None:
        self._inputs, self._declared_at, self._terms = inputs, declared_at, terms
        self.exports = ExportProjection(
            inputs.sources, inputs.declarations, outages, declared_at=declared_at, terms=terms
        )
        self.events: list[Event] = []
        self._index: dict[tuple[str, str | None, str | None], list[Event]] = defaultdict(list)
        """By source and request id, by source and group, and by source alone."""
        self._fold(events)

    def with_outages(self, outages: Sequence[Outage]) -> _InMemoryProjection:
        """Return a projection of the same events with other outages."""
        return _InMemoryProjection(self._inputs, self._declared_at, self._terms, outages, self.events)

    def add(self, events: Iterable[Event]) -> set[ExportKey]:
        """Fold further events, and return the exports that changed since the last call."""
        self._fold(events)
        return self.exports.take_dirty()

    def _fold(self, events: Iterable[Event]) -> None:
        added = list(events)
        self.events += added
        for event in added:
            for criteria in ((event.request_id, None), (None, event.group_key), (None, None)):
                self._index[event.source, *criteria].append(event)
        self.exports.apply(added)
        while self.exports.needs_rebuild:
            key = min(self.exports.needs_rebuild)
            self.exports.rebuild(key, self._select(self.exports.selection(key)))

    def _select(self, selection: Selection) -> Iterator[Event]:
        criteria = (selection.request_id, None) if selection.request_id is not None else (None, selection.group_key)
        return filter(selection.matches, self._index[selection.source, *criteria])


def _all_events(ledger: Ledger) -> Iterator[Event]:
    after = 0
    while page := ledger.read(after, PAGE_SIZE):
        yield from page
        after = page[-1].sequence


def _lines_by_series(text: str) -> dict[str, str]:
    """Return the lines of ``text`` by their name and labels, which are everything before the value."""
    return {line.rpartition(" ")[0]: line for line in text.splitlines()}
