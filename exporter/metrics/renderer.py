"""Renders export and source states as the body of a scrape; each scrape re-renders only what has changed.

The text is stored in `CompressedTable`s, so an event recompresses a few small chunks. The metrics of the process
itself come from the client library and are appended to each response.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import compress
from operator import itemgetter, ne
from typing import TYPE_CHECKING

from exporter.domain.exports import GROUP_LABEL, OVERFLOW_LABEL, ExportKey
from exporter.metrics import families
from exporter.metrics.compressed_table import CompressedTable
from exporter.metrics.families import DURATION, EXPORT_COLUMNS, EXPORT_FAMILIES, SOURCE_FAMILIES
from exporter.metrics.gzip_parts import CompressedBody, PartCompressor, compression_engine
from exporter.metrics.series_limit import DurationTotals, HiddenExports, SeriesLimit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.states import ExportState, SourceState
    from exporter.metrics.compressed_table import RowKey
    from exporter.metrics.gzip_parts import Engine
    from exporter.projection.projector import Projector

EXPORT_ROWS, DURATION_ROWS, SOURCE_ROWS = 256, 16, 256
"""Rows per group: large groups compress better, small ones are faster to recompress. A histogram is many lines."""
MAX_PENDING_ROWS = 2_048
"""How many rows may wait for compression as plain text."""

MAX_DISORDER_SECONDS = 1.0
"""By how much the time of an update may be before that of the last one, since threads wait for each other."""

_COLUMNS = range(len(EXPORT_COLUMNS))
_NEVER = float("inf")
_text_order = itemgetter(*(ExportKey._fields.index(name) for name in ExportKey._fields if name != "kind"))
_DURATIONS = EXPORT_FAMILIES.index(DURATION)


@dataclass(slots=True)
class _ShownExport:
    """An export with its own series, as last rendered.

    Attributes:
        values: its `families.sample_values`.
        series: its number of series, without those of a histogram that the groups of its source share.
        changes_at: `ExportState.changes_at`.
        evaluated_at: the time by which its state was evaluated; 0 for the combined one of hidden exports.
    """

    row_key: RowKey
    severity: str
    values: Sequence[float | None] = ()
    duration_sum: float = 0
    duration_buckets: tuple[int, ...] = ()
    series: int = 0
    changes_at: float = 0
    evaluated_at: float = 0


class Renderer:
    """Renders all exports and sources of a projector. Not thread-safe.

    Args:
        projector: the source of all states.
        exports_per_source: how many exports of a source get their own series; the rest are combined into one.
        reasons: all reasons for quarantine; each has a series even if its count is 0.
        already_dropped: exports over the limit whose series were counted as dropped before.
        engine: the compression module; the fastest one installed by default.
    """

    def __init__(
        self,
        projector: Projector,
        exports_per_source: int,
        reasons: Iterable[str],
        already_dropped: Iterable[ExportKey] = (),
        engine: Engine | None = None,
    ) -> None:
        self._projector = projector
        self._limit = exports_per_source
        self._reasons = tuple(reasons)
        self._already_dropped = set(already_dropped)
        self._engine = engine or compression_engine()
        self._compressor = PartCompressor(self._engine)
        self._headers = {
            openmetrics: [
                self._compressor.compress(family.header(openmetrics=openmetrics).encode())
                for family in EXPORT_FAMILIES + SOURCE_FAMILIES
            ]
            for openmetrics in (False, True)
        }
        self._updated_at = 0.0
        self._was_rebuilt = False
        self.dropped = 0
        """How many series the limit has hidden since this renderer was created."""
        self._reset()

    def _reset(self) -> None:
        self._export_table = CompressedTable(EXPORT_ROWS, self._compressor)
        self._duration_table = CompressedTable(DURATION_ROWS, self._compressor)
        self._source_table = CompressedTable(SOURCE_ROWS, self._compressor)
        self._columns = [(self._export_table, column) for column in range(len(EXPORT_COLUMNS))]
        self._columns.insert(_DURATIONS, (self._duration_table, 0))
        self._columns += [(self._source_table, column) for column in range(len(SOURCE_FAMILIES))]
        self._shown: dict[ExportKey, _ShownExport] = {}
        self._changes_due: list[tuple[float, ExportKey]] = []
        self._limits: dict[str, SeriesLimit] = {}
        self._overflows: dict[str, HiddenExports] = {}
        self._group_durations: dict[str, DurationTotals] = {}
        """The combined histogram of the groups of each source."""
        self._shown_sources: dict[str, tuple[SourceState, tuple[str, ...]]] = {}
        """The last rendered state of each source, and its `families.source_lines`."""
        self._newly_hidden: dict[ExportKey, int] = {}
        """The exports that were hidden since the last update, with their numbers of series."""
        self._newly_shown: set[ExportKey] = set()
        """The hidden exports that ceased to be hidden since the last update."""
        self._dirty_sources: set[str] = set()
        """The sources whose hidden exports have changed since the last update."""
        self._bodies: dict[bool, CompressedBody] = {}
        self._series = 0
        """The number of series without those of shared histograms."""

    @property
    def series(self) -> int:
        """The number of series of exports and sources."""
        shared = sum(durations.exports > 0 for durations in self._group_durations.values())
        return self._series + shared * families.DURATION_SERIES

    def hidden(self) -> set[ExportKey]:
        """Return the exports over the limit, which have no series of their own."""
        return {key for overflow in self._overflows.values() for key in overflow}

    def catch_up(self) -> None:
        """Read new events; the next `update` renders them.

        Raises:
            StoreError: the store cannot be read.
        """
        self._was_rebuilt = self._projector.catch_up() or self._was_rebuilt

    def update(self, now: float) -> None:
        """Read new events and render what has changed since the last update, by an event or by the passage of time.

        Args:
            now: the current time, as a Unix timestamp in seconds.

        Raises:
            StoreError: the store cannot be read.
        """
        self.catch_up()
        if self._was_rebuilt:
            self._was_rebuilt = False
            self._already_dropped |= self.hidden()
            self._reset()
            self._projector.exports.mark_dirty(self._projector.exports.all_keys())
        dirty = self._projector.take_dirty()
        while self._changes_due and self._changes_due[0][0] <= now:
            instant, key = heapq.heappop(self._changes_due)
            if key in self._shown and self._shown[key].changes_at != instant:
                continue  # an event has changed that since
            dirty.add(key)
        if now < self._updated_at - MAX_DISORDER_SECONDS:  # the clock was ahead, and has been corrected
            dirty |= self.hidden()
            dirty.update(key for key, shown in self._shown.items() if shown.evaluated_at > now)
        self._updated_at = now
        # Sorted almost as the rows are, so that each flush touches few groups.
        for key in sorted(dirty, key=_text_order):
            self._update_export(key, now)
            if self._export_table.pending_rows >= MAX_PENDING_ROWS:
                self._flush()
        for state in self._projector.list_sources():
            self._update_source(state)
        for source in self._dirty_sources:
            self._show_overflow(source)
        self._dirty_sources.clear()
        self._count_dropped()
        self._flush()

    def body(self, *, openmetrics: bool) -> CompressedBody:
        """Return the families of exports and sources as of the last `update`."""
        body = self._bodies.get(openmetrics)
        if body is None:
            pieces, sums = [], []
            for header, (table, column) in zip(self._headers[openmetrics], self._columns, strict=True):
                pieces += [header.deflated, *table.pieces(column)]
                sums += [header.sum, table.sum(column)]
            body = self._bodies[openmetrics] = CompressedBody(self._engine, pieces, self._compressor.combine(sums))
        return body

    def _flush(self) -> None:
        if any([self._export_table.flush(), self._duration_table.flush(), self._source_table.flush()]):
            self._bodies.clear()

    def _update_export(self, key: ExportKey, now: float) -> None:
        """Show or hide an export according to the limit, and any other export whose place it takes or frees."""
        limit = self._limits.get(key.source)
        if limit is None:
            limit = self._limits[key.source] = SeriesLimit(self._limit)
        is_listed = key in self._projector
        moved = limit.add(key, self._projector.exports.first_sequence(key)) if is_listed else limit.remove(key)
        for moved_key in (*moved, key):
            if moved_key not in self._projector:
                self._hide(moved_key)
                self._drop_hidden(moved_key)
            elif limit.admits(moved_key):
                self._drop_hidden(moved_key)
                self._show(moved_key, self._projector.export_state(moved_key, now))
                self._shown[moved_key].evaluated_at = now
            else:
                self._hide(moved_key)
                self._add_hidden(moved_key, self._projector.export_state(moved_key, now))

    def _show(self, key: ExportKey, state: ExportState) -> None:
        row_key = (state.source, state.export, state.partner, state.data_type, state.frequency)
        shown = self._shown.get(key)
        if shown is not None and (shown.row_key, shown.severity) != (row_key, state.severity):
            self._hide(key)
            shown = None
        values = families.sample_values(state)
        if shown is None:
            self._export_table.put(row_key, [line.encode() for line in families.column_lines(state)])
            shown = self._shown[key] = _ShownExport(row_key, state.severity)
        else:
            changed = compress(_COLUMNS, map(ne, values, shown.values))
            self._export_table.change(shown.row_key, families.sample_lines(state, values, changed))
        shown.values = values
        if state.duration_buckets != shown.duration_buckets or state.duration_sum != shown.duration_sum:
            self._show_durations(shown, state.duration_sum, state.duration_buckets)
        series = families.export_series(state) + (0 if state.export == GROUP_LABEL else families.DURATION_SERIES)
        self._series += series - shown.series
        shown.series = series
        if state.changes_at != shown.changes_at:
            shown.changes_at = state.changes_at
            if state.changes_at != _NEVER:
                heapq.heappush(self._changes_due, (state.changes_at, key))

    def _hide(self, key: ExportKey) -> None:
        shown = self._shown.pop(key, None)
        if shown is None:
            return
        self._export_table.remove(shown.row_key)
        self._show_durations(shown, 0, ())
        self._series -= shown.series

    def _show_durations(self, shown: _ShownExport, total: float, buckets: tuple[int, ...]) -> None:
        """Render the duration histogram of an export; without buckets, remove it.

        All groups of a source share one histogram.
        """
        old_total, old_buckets = shown.duration_sum, shown.duration_buckets
        shown.duration_sum, shown.duration_buckets = total, buckets
        source, export = row_key = shown.row_key[:2]
        if export == GROUP_LABEL:
            durations = self._group_durations.setdefault(source, DurationTotals())
            if old_buckets:
                durations.subtract(old_total, old_buckets)
            if buckets:
                durations.add(total, buckets)
            total, buckets = durations.sum, durations.buckets if durations.exports else ()
        if buckets:
            self._duration_table.put(row_key, [families.duration_lines(source, export, buckets, total).encode()])
        else:
            self._duration_table.remove(row_key)

    def _add_hidden(self, key: ExportKey, state: ExportState) -> None:
        overflow = self._overflows.setdefault(key.source, HiddenExports())
        if key not in overflow:
            if key not in self._newly_shown:
                self._newly_hidden[key] = families.export_series(state)
            self._newly_shown.discard(key)
        overflow.update(key, state)
        if state.muted:
            heapq.heappush(self._changes_due, (state.muted_until, key))  # then its deadline counts
        self._dirty_sources.add(key.source)

    def _drop_hidden(self, key: ExportKey) -> None:
        overflow = self._overflows.get(key.source)
        if overflow is not None and key in overflow:
            overflow.remove(key)
            self._dirty_sources.add(key.source)
            if self._newly_hidden.pop(key, None) is None:
                self._newly_shown.add(key)

    def _show_overflow(self, source: str) -> None:
        """Show all hidden exports of a source as one."""
        key, overflow = ExportKey(source, OVERFLOW_LABEL, OVERFLOW_LABEL), self._overflows[source]
        if len(overflow):
            self._show(key, overflow.combined_state(source, self._shown_sources[source][0].timezone))
        else:
            self._hide(key)

    def _count_dropped(self) -> None:
        self.dropped += sum(series for key, series in self._newly_hidden.items() if key not in self._already_dropped)
        self._already_dropped.clear()
        self._newly_hidden.clear()
        self._newly_shown.clear()

    def _update_source(self, state: SourceState) -> None:
        previous, old_lines = self._shown_sources.get(state.slug, (None, ()))
        if previous == state:
            return
        lines = families.source_lines(state, self._reasons)
        if old_lines:
            pairs = enumerate(zip(lines, old_lines, strict=True))
            changes = {column: line.encode() for column, (line, old_line) in pairs if line != old_line}
            self._source_table.change((state.slug,), changes)
        else:
            self._source_table.put((state.slug,), [line.encode() for line in lines])
        self._series += "".join(lines).count("\n") - "".join(old_lines).count("\n")
        self._shown_sources[state.slug] = state, lines
