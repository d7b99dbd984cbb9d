"""What a start goes on from: a stored fold, and what exports begin with of whose events some were pruned.

A row of a checkpoint that cannot be read spoils all of it, and everything is folded again. A base
that cannot be read is an error, since nothing else knows what it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import PruningState
from exporter.projection import serialization
from exporter.projection.baselines import EXPORT_PREFIX, _decode_source_stats, export_baselines, source_row_key
from exporter.projection.fold.exports import ExportProjection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.domain.events import Outage
    from exporter.domain.exports import Declaration, Source
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.source_stats import SourceStats

OUTAGES_KEY = "outages"
PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A fold as it was stored."""

    exports: ExportProjection
    source_stats: dict[str, SourceStats]
    outages: list[Outage]
    sequence: int
    pruning_state: PruningState
    revision: int


def load_checkpoint(
    ledger: Ledger, sources: Mapping[str, Source], declarations: Sequence[Declaration], fingerprint: str
) -> LoadedCheckpoint | None:
    """The fold as of the checkpoint; None where there is none, or none to be trusted.

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
        others = {row: rows.pop(row, "") for row in (OUTAGES_KEY, *map(source_row_key, sources))}
        seen = rows.keys() | others
        dormant = [(key, text) for key, text in store.baselines() if key not in seen]
        if store.load_header() != head:
            return None  # somebody wrote it meanwhile
        outages = serialization.decode_outages(serialization.verify_checksum(others[OUTAGES_KEY]))
        exports = ExportProjection(sources, declarations, outages, dict(export_baselines(dormant, sources)))
        histories = {
            slug: _decode_source_stats(serialization.verify_checksum(others[source_row_key(slug)])) for slug in sources
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
        exports, histories, outages, head.last_sequence, PruningState(head.pruning_revision), head.revision
    )


def _row_pages(ledger: Ledger) -> Iterator[Sequence[tuple[str, str]]]:
    """All rows, some at a time."""
    after = ""
    while page := ledger.checkpoints.read_rows(after, PAGE_SIZE):
        after = page[-1][0]
        yield page
