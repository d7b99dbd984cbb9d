"""What a start goes on from: a stored fold, and what exports begin with of whose events some were pruned.

A row of a checkpoint that cannot be read spoils all of it, and everything is folded again. A base
that cannot be read is an error, since nothing else knows what it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import Pruned
from exporter.projection import serialization
from exporter.projection.baselines import EXPORT, _source_of, exports_of, source_row
from exporter.projection.fold.exports import Exports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.domain.events import Gap
    from exporter.domain.exports import Declaration, Source
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.source_stats import SourceHistory

GAPS = "gaps"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Loaded:
    """A fold as it was stored."""

    exports: Exports
    histories: dict[str, SourceHistory]
    gaps: list[Gap]
    sequence: int
    pruned: Pruned
    revision: int


def load(
    ledger: Ledger, sources: Mapping[str, Source], declarations: Sequence[Declaration], fingerprint: str
) -> Loaded | None:
    """The fold as of the checkpoint; None where there is none, or none to be trusted.

    Raises:
        StoreError: the ledger cannot be read.
    """
    folds = ledger.folds
    head = folds.checkpoint()
    if head is None or head.fingerprint != fingerprint or not 0 < head.sequence <= ledger.last_sequence():
        return None
    try:
        rows: dict[str, str] = {}
        for page in _pages(ledger):
            rows.update(page)
        others = {row: rows.pop(row, "") for row in (GAPS, *map(source_row, sources))}
        known = rows.keys() | others
        dormant = [(key, text) for key, text in folds.bases() if key not in known]
        if folds.checkpoint() != head:
            return None  # somebody wrote it meanwhile
        gaps = serialization.gaps_of(serialization.opened(others[GAPS]))
        exports = Exports(sources, declarations, gaps, dict(exports_of(dormant, sources)))
        histories = {slug: _source_of(serialization.opened(others[source_row(slug)])) for slug in sources}
        keys = serialization.keys_of(row.removeprefix(EXPORT) for row in rows)
        for key, text in zip(keys, rows.values(), strict=True):
            serialization.restore_history(
                exports.new_history(key), serialization.opened(text), sources[key.source].zone
            )
    except serialization.UNREADABLE:
        return None
    exports.forget_ids()
    exports.changed.update(exports.all())
    exports.unsaved.clear()
    return Loaded(exports, histories, gaps, head.sequence, Pruned(head.pruned), head.revision)


def _pages(ledger: Ledger) -> Iterator[Sequence[tuple[str, str]]]:
    """All rows, some at a time."""
    after = ""
    while page := ledger.folds.rows(after, PAGE):
        after = page[-1][0]
        yield page
