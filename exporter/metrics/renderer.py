"""From states to the text of a scrape, rendering again only what changed since the last one.

The families of exports and sources are kept compressed, in parts small enough that an event costs
a few of them. This process's own metrics are the client library's, and are put behind them.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import compress
from operator import itemgetter, ne
from typing import TYPE_CHECKING

from exporter.domain.exports import ANY, OTHER, ExportKey
from exporter.metrics import families
from exporter.metrics.compressed_table import Sheet
from exporter.metrics.families import DURATION, EXPORT_COLUMNS, EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.gzip_parts import Body, Press, engine
from exporter.metrics.series_limit import Durations, Limit, Overflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.states import ExportState, SourceState
    from exporter.metrics.compressed_table import Place
    from exporter.metrics.gzip_parts import Engine
    from exporter.projection.projector import Reader

EXPORT_ROWS, DURATION_ROWS, SOURCE_ROWS = 256, 16, 256
"""Rows of a block: more compress better, fewer are sooner compressed again. A histogram has many lines."""
BATCH = 2_048
"""How many rows may wait as plain text."""

_COLUMNS = range(len(EXPORT_COLUMNS))
_NEVER = float("inf")
_in_the_text = itemgetter(*(ExportKey._fields.index(name) for name in ExportKey._fields if name != "kind"))
_DURATIONS = EXPORT_FAMILIES.index(DURATION)


@dataclass(slots=True)
class _Shown:
    """An export with series of its own, as it stands in the text."""

    place: Place
    figures: Sequence[float] = ()
    duration_sum: float = 0
    duration_buckets: tuple[int, ...] = ()
    series: int = 0
    changes_at: float = 0


class Collector:
    """Renders everything that a reader knows. Not safe for several threads at once.

    Args:
        reader: what is known.
        exports_per_source: how many exports of a source get series of their own.
        reasons: the reasons for quarantine, so that each has a series from the start.
        counted: exports over the limit that are not to be counted as dropped another time.
        by: what compresses.
    """

    def __init__(
        self,
        reader: Reader,
        exports_per_source: int,
        reasons: Iterable[str],
        counted: Iterable[ExportKey] = (),
        by: Engine | None = None,
    ) -> None:
        self._reader = reader
        self._limit = exports_per_source
        self._reasons = tuple(reasons)
        self._counted = set(counted)
        self._engine = by or engine()
        self._press = press = Press(self._engine)
        self._headers = {
            openmetrics: [
                press.compress(family.header(openmetrics=openmetrics).encode())
                for family in EXPORT_FAMILIES + SOURCE_FAMILIES
            ]
            for openmetrics in (False, True)
        }
        self.dropped = 0
        """How many series fell to the limit since this was made, each once."""
        self._forget()

    def _forget(self) -> None:
        self._exports = Sheet(EXPORT_ROWS, self._press)
        self._durations = Sheet(DURATION_ROWS, self._press)
        self._sources = Sheet(SOURCE_ROWS, self._press)
        self._columns = [(self._exports, column) for column in range(len(EXPORT_COLUMNS))]
        self._columns.insert(_DURATIONS, (self._durations, 0))
        self._columns += [(self._sources, column) for column in range(len(SOURCE_FAMILIES))]
        self._shown: dict[ExportKey, _Shown] = {}
        self._changes: list[tuple[float, ExportKey]] = []
        self._limits: dict[str, Limit] = {}
        self._overflows: dict[str, Overflow] = {}
        self._shared: dict[str, Durations] = {}
        """The histogram of the groups of each source."""
        self._source_states: dict[str, tuple[SourceState, int]] = {}
        self._fell: dict[ExportKey, int] = {}
        self._rose: set[ExportKey] = set()
        self._stirred: set[str] = set()
        """Sources whose exports over the limit changed."""
        self._bodies: dict[bool, Body] = {}
        self._series = 0
        """All but those of the histograms that are shared."""

    @property
    def series(self) -> int:
        """How many series there are of exports and sources."""
        shared = sum(durations.exports > 0 for durations in self._shared.values())
        return self._series + shared * families.DURATION_SERIES

    def hidden(self) -> set[ExportKey]:
        """The exports that have no series of their own."""
        return {key for overflow in self._overflows.values() for key in overflow}

    def refresh(self, now: float) -> None:
        """Find out what is new, and what changed by the time alone.

        Raises:
            StoreError: the ledger cannot be read.
        """
        if self._reader.refresh():
            self._counted |= self.hidden()
            self._forget()
            self._reader.exports.changed.update(self._reader.exports.all())
        exports = self._reader.exports
        dirty, exports.changed = exports.changed, set()
        while self._changes and self._changes[0][0] <= now:
            instant, key = heapq.heappop(self._changes)
            if key in self._shown and self._shown[key].changes_at == instant:
                dirty.add(key)
        # Nearly in the order of the text, so that what waits together stands together.
        for key in sorted(dirty, key=_in_the_text):
            self._take(key, now)
            if self._exports.waiting >= BATCH:
                self._settle()
        for state in self._reader.sources():
            self._take_source(state)
        for source in self._stirred:
            self._show_overflow(source)
        self._stirred.clear()
        self._count_dropped()
        self._settle()

    def body(self, *, openmetrics: bool) -> Body:
        """The families of exports and sources, as of the last `refresh`."""
        body = self._bodies.get(openmetrics)
        if body is None:
            pieces, sums = [], []
            for header, (sheet, column) in zip(self._headers[openmetrics], self._columns, strict=True):
                pieces += [header.deflated, *sheet.pieces(column)]
                sums += [header.sum, sheet.sum(column)]
            body = self._bodies[openmetrics] = Body(self._engine, pieces, self._press.combine(sums))
        return body

    def _settle(self) -> None:
        if any([self._exports.settle(), self._durations.settle(), self._sources.settle()]):
            self._bodies.clear()

    def _take(self, key: ExportKey, now: float) -> None:
        """Put an export on its side of the limit, and those that change sides for it."""
        limit = self._limits.get(key.source)
        if limit is None:
            limit = self._limits[key.source] = Limit(self._limit)
        there = key in self._reader
        moved = limit.put(key, self._reader.exports.birth(key)) if there else limit.drop(key)
        if there and not moved and key in self._shown and limit.admits(key):
            self._show(key, self._reader.export(key, now))  # what mostly happens, and the same as below
            return
        for each in (*moved, key):
            if each not in self._reader:
                self._hide(each)
                self._drop_hidden(each)
            elif limit.admits(each):
                self._drop_hidden(each)
                self._show(each, self._reader.export(each, now))
            else:
                self._hide(each)
                self._keep_hidden(each, self._reader.export(each, now))

    def _show(self, key: ExportKey, state: ExportState) -> None:
        place = (state.source, state.export, state.partner, state.data_type, state.frequency)
        shown = self._shown.get(key)
        if shown is not None and shown.place != place:
            self._hide(key)
            shown = None
        figures = families.export_figures(state)
        if shown is None:
            self._exports.put(place, [line.encode() for line in families.column_lines(state)])
            shown = self._shown[key] = _Shown(place)
        else:
            changed = compress(_COLUMNS, map(ne, figures, shown.figures))
            self._exports.change(shown.place, families.figure_lines(state, figures, changed))
        shown.figures = figures
        if state.duration_buckets != shown.duration_buckets or state.duration_sum != shown.duration_sum:
            self._show_durations(shown, state.duration_sum, state.duration_buckets)
        series = families.export_series(state) + (0 if state.export == ANY else families.DURATION_SERIES)
        self._series += series - shown.series
        shown.series = series
        if state.changes_at != shown.changes_at:
            shown.changes_at = state.changes_at
            if state.changes_at != _NEVER:
                heapq.heappush(self._changes, (state.changes_at, key))

    def _hide(self, key: ExportKey) -> None:
        shown = self._shown.pop(key, None)
        if shown is None:
            return
        self._exports.remove(shown.place)
        self._show_durations(shown, 0, ())
        self._series -= shown.series

    def _show_durations(self, shown: _Shown, total: float, buckets: tuple[int, ...]) -> None:
        """Show the histogram of an export, of which groups of one source have one together; none without buckets."""
        old = shown.duration_sum, shown.duration_buckets
        shown.duration_sum, shown.duration_buckets = total, buckets
        source, export = place = shown.place[:2]
        if export == ANY:
            durations = self._shared.setdefault(source, Durations())
            for sign, (given, counts) in ((-1, old), (1, (total, buckets))):
                if counts:
                    durations.change(sign, given, counts)
            total, buckets = durations.sum, durations.buckets if durations.exports else ()
        if buckets:
            self._durations.put(place, [families.duration_lines(source, export, buckets, total).encode()])
        else:
            self._durations.remove(place)

    def _keep_hidden(self, key: ExportKey, state: ExportState) -> None:
        overflow = self._overflows.setdefault(key.source, Overflow())
        if key not in overflow:
            if key not in self._rose:
                self._fell[key] = families.export_series(state)
            self._rose.discard(key)
        overflow.put(key, state)
        self._stirred.add(key.source)

    def _drop_hidden(self, key: ExportKey) -> None:
        overflow = self._overflows.get(key.source)
        if overflow is not None and key in overflow:
            overflow.drop(key)
            self._stirred.add(key.source)
            if self._fell.pop(key, None) is None:
                self._rose.add(key)

    def _show_overflow(self, source: str) -> None:
        """Show all exports of a source that are over the limit as one."""
        key, overflow = ExportKey(source, OTHER, OTHER), self._overflows[source]
        if len(overflow):
            self._show(key, overflow.state(source, self._source_states[source][0].timezone))
        else:
            self._hide(key)

    def _count_dropped(self) -> None:
        self.dropped += sum(series for key, series in self._fell.items() if key not in self._counted)
        self._counted.clear()
        self._fell.clear()
        self._rose.clear()

    def _take_source(self, state: SourceState) -> None:
        known, series = self._source_states.get(state.slug, (None, 0))
        if known == state:
            return
        lines = families.source_lines(state, self._reasons)
        self._sources.put((state.slug,), [line.encode() for line in lines])
        self._series -= series
        series = sum(line.count("\n") for line in lines)
        self._series += series
        self._source_states[state.slug] = (state, series)
