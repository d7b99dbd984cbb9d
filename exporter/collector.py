"""From states to the text of a scrape, rendering again only what changed since the last one.

The families of exports and sources are put together here from kept pieces, and their compressed
form is kept as well. This process's own metrics are the client library's, and are put behind them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from exporter import families, gzip_parts
from exporter.families import DURATION, EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.model import OTHER, ExportState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.model import ExportKey, SourceState
    from exporter.reader import Reader

_DURATIONS = EXPORT_FAMILIES.index(DURATION)


class Collector:
    """Renders everything that a reader knows. Not safe for several threads at once.

    Args:
        reader: what is known.
        exports_per_source: how many exports of a source get series of their own.
        reasons: the reasons for quarantine, so that each has a series from the start.
    """

    def __init__(self, reader: Reader, exports_per_source: int, reasons: Iterable[str]) -> None:
        self._reader = reader
        self._limit = exports_per_source
        self._reasons = tuple(reasons)
        self._states: dict[ExportKey, ExportState] = {}
        self._lines: dict[ExportKey, tuple[str, ...]] = {}
        self._changes: list[tuple[float, ExportKey]] = []
        self._source_states: list[SourceState] = []
        self._source_lines: list[tuple[str, ...]] = []
        self._texts: dict[bool, bytes] = {}
        self._compressed: dict[bool, gzip_parts.Part] = {}
        self._overflow: set[ExportKey] = set()
        self._order: list[ExportKey] | None = None
        self._durations: dict[tuple[str, str], tuple[tuple[int, ...], float, str]] = {}
        self.series = 0
        """How many series the last scrape had of exports and sources."""
        self.dropped = 0
        """How many series fell to the limit since this was made, each once."""

    def refresh(self, now: float) -> None:
        """Find out what is new, and what changed by the time alone.

        Raises:
            StoreError: the ledger cannot be read.
        """
        exports = self._reader.exports
        if self._reader.refresh():
            exports = self._reader.exports
            self._states.clear()
            self._lines.clear()
            self._changes.clear()
            self._order = None
            exports.changed.update(exports.all())
        dirty, exports.changed = exports.changed, set()
        while self._changes and self._changes[0][0] <= now:
            dirty.add(heapq.heappop(self._changes)[1])
        for key in dirty:
            self._update(key, now)
        states = self._reader.sources()
        if dirty or states != self._source_states:
            self._source_states = states
            self._source_lines = [families.source_lines(state, self._reasons) for state in states]
            self._texts.clear()
            self._compressed.clear()

    def text(self, *, openmetrics: bool) -> bytes:
        """The families of exports and sources, as of the last `refresh`."""
        if openmetrics not in self._texts:
            self._texts[openmetrics] = self._render(openmetrics=openmetrics)
        return self._texts[openmetrics]

    def compressed(self, *, openmetrics: bool) -> gzip_parts.Part:
        """The same, compressed."""
        if openmetrics not in self._compressed:
            self._compressed[openmetrics] = gzip_parts.compress(self.text(openmetrics=openmetrics))
        return self._compressed[openmetrics]

    def _update(self, key: ExportKey, now: float) -> None:
        before = self._states.pop(key, None)
        if key not in self._reader.exports:
            self._lines.pop(key, None)
            self._order = None
            return
        state = self._reader.export(key, now)
        if before is None or _place(before) != _place(state):
            self._order = None
        self._states[key] = state
        self._lines[key] = families.export_lines(state)
        if state.changes_at < float("inf"):
            heapq.heappush(self._changes, (state.changes_at, key))

    def _render(self, *, openmetrics: bool) -> bytes:
        if self._order is None:
            self._order = sorted(self._states, key=lambda key: _place(self._states[key]))
        shown, overflow = self._shown(self._order)
        rows = [self._lines[key] for key in shown] + [families.export_lines(state) for state in overflow]
        columns: list[Iterable[str]] = list(zip(*rows, strict=True)) or [()] * len(EXPORT_FAMILIES)
        columns[_DURATIONS] = self._duration_lines([self._states[key] for key in shown] + overflow)
        columns += zip(*self._source_lines, strict=True)
        pieces: list[str] = []
        self.series = 0
        for family, column in zip(EXPORT_FAMILIES + SOURCE_FAMILIES, columns, strict=True):
            lines = "".join(column)
            self.series += lines.count("\n")
            pieces += [family.header(openmetrics=openmetrics), lines]
        return "".join(pieces).encode()

    def _duration_lines(self, states: Sequence[ExportState]) -> list[str]:
        """The histograms; groups of one source share their labels, and so their histogram."""
        counts: dict[tuple[str, str], tuple[int, ...]] = {}
        sums: dict[tuple[str, str], float] = {}
        for state in states:
            name = (state.source, state.export)
            old = counts.get(name)
            both = zip(old, state.duration_buckets, strict=True) if old else None
            counts[name] = tuple(map(sum, both)) if both else state.duration_buckets
            sums[name] = sums.get(name, 0.0) + state.duration_sum
        kept = self._durations
        self._durations = {}
        for name in sorted(counts):
            found = kept.get(name)
            if found is None or found[:2] != (counts[name], sums[name]):
                found = (counts[name], sums[name], families.duration_lines(*name, counts[name], sums[name]))
            self._durations[name] = found
        return [text for _, _, text in self._durations.values()]

    def _shown(self, order: Sequence[ExportKey]) -> tuple[Sequence[ExportKey], list[ExportState]]:
        """The exports that get series of their own, and per source one state for all the others."""
        overflow: list[ExportState] = []
        over: set[ExportKey] = set()
        for source, count in Counter(key.source for key in order).items():
            if count > self._limit:
                keys = [key for key in order if key.source == source]
                keys.sort(key=lambda key: (self._reader.exports.birth(key), key))
                over.update(keys[self._limit :])
                overflow.append(together(source, [self._states[key] for key in keys[self._limit :]]))
        for key in over - self._overflow:
            self.dropped += sum(line.count("\n") for line in self._lines[key])
        self._overflow = over
        return [key for key in order if key not in over] if over else order, overflow


def _place(state: ExportState) -> tuple[str, ...]:
    return (state.source, state.export, state.partner, state.data_type, state.frequency)


def together(source: str, states: Sequence[ExportState]) -> ExportState:
    """What is over the limit, as one export without a schedule: counts add up, the newest wins."""
    since = [state.running_since for state in states if state.running_since]
    return ExportState(
        source=source,
        export=OTHER,
        partner="",
        data_type="",
        frequency="",
        timezone=states[0].timezone,
        declared=False,
        last_initiated=max(state.last_initiated for state in states),
        last_completed=max(state.last_completed for state in states),
        last_failed=max(state.last_failed for state in states),
        last_received=max(state.last_received for state in states),
        duration_buckets=tuple(map(sum, zip(*(state.duration_buckets for state in states), strict=True))),
        duration_sum=sum(state.duration_sum for state in states),
        in_progress=sum(state.in_progress for state in states),
        running_since=min(since, default=0),
        initiated=sum(state.initiated for state in states),
        completed=sum(state.completed for state in states),
        failed=sum(state.failed for state in states),
        abandoned=sum(state.abandoned for state in states),
    )
