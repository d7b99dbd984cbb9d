"""Loads a checkpoint, so that a start folds only newer events.

If one row of the checkpoint is damaged, the whole checkpoint is ignored and all events are folded
again. A damaged baseline is an error instead: its events are pruned, so nothing can replace it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import PruningState
from exporter.projection import serialization
from exporter.projection.baselines import EXPORT_PREFIX, decode_source_stats, export_baselines, source_row_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import ExportKey, Source
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.exports import ExportProjection
    from exporter.projection.fold.history import Baseline
    from exporter.projection.fold.source_stats import SourceStats

OUTAGES_KEY = "outages"
PAGE_SIZE = 1000
"""How many rows are read at a time."""


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """The projection as of a checkpoint."""

    exports: ExportProjection
    source_stats: dict[str, SourceStats]
    outages: list[Outage]
    sequence: int
    pruning_state: PruningState
    revision: int


def load_checkpoint(
    ledger: Ledger,
    sources: Mapping[str, Source],
    create_exports: Callable[[Sequence[Outage], Mapping[ExportKey, Baseline]], ExportProjection],
    fingerprint: str,
) -> LoadedCheckpoint | None:
    """Load the checkpoint of a ledger.

    Args:
        ledger: the ledger.
        sources: the configured sources by slug.
        create_exports: called with outages and baselines; returns the exports with no events.
        fingerprint: of the configuration and the release.

    Returns:
        The projection as of the checkpoint; None if there is no checkpoint, or it is unfinished,
        damaged, or written with another configuration or release (``fingerprint``).

    Raises:
        StoreError: the ledger cannot be read.
    """
    store = ledger.checkpoints
    head = store.load_header()
    if head is None or head.fingerprint != fingerprint or not 0 < head.last_sequence <= ledger.last_sequence():
        return None
    try:
        rows: dict[str, str] = {}
        for page in _row_pages(ledger):
            rows.update(page)
        other_rows = {row: rows.pop(row, "") for row in (OUTAGES_KEY, *map(source_row_key, sources))}
        # An export in the checkpoint includes its baseline.
        checkpointed = rows.keys() | other_rows
        other_baselines = [(key, text) for key, text in store.baselines() if key not in checkpointed]
        if store.load_header() != head:
            return None  # another process wrote it during the read
        outages = serialization.decode_outages(serialization.verify_checksum(other_rows[OUTAGES_KEY]))
        exports = create_exports(outages, dict(export_baselines(other_baselines, sources)))
        source_stats = {
            slug: decode_source_stats(serialization.verify_checksum(other_rows[source_row_key(slug)]))
            for slug in sources
        }
        keys = serialization.decode_keys(row.removeprefix(EXPORT_PREFIX) for row in rows)
        for key, text in zip(keys, rows.values(), strict=True):
            serialization.restore_history(
                exports.new_history(key), serialization.verify_checksum(text), sources[key.source].zone
            )
    except serialization.UNREADABLE:
        return None
    exports.finish_restore()
    return LoadedCheckpoint(
        exports, source_stats, outages, head.last_sequence, PruningState(head.pruning_revision), head.revision
    )


def _row_pages(ledger: Ledger) -> Iterator[Sequence[tuple[str, str]]]:
    """Yield the rows of the checkpoint in pages."""
    after = ""
    while page := ledger.checkpoints.read_rows(after, PAGE_SIZE):
        after = page[-1][0]
        yield page
