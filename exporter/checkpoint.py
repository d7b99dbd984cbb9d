"""What a start goes on from: a stored fold, and what exports begin with of whose events some were pruned.

A row of a checkpoint that cannot be read spoils all of it, and everything is folded again. A base
that cannot be read is an error, since nothing else knows what it says.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import snapshot
from exporter.attribution import Exports
from exporter.domain.errors import StoreError
from exporter.ledger.checkpoint_store import Pruned
from exporter.source_history import SourceHistory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.domain.events import Gap
    from exporter.domain.exports import Declaration, ExportKey, Source
    from exporter.history import Base
    from exporter.ledger.contract import Ledger

GAPS = "gaps"
EXPORT = "export "
SOURCE = "source "
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


def export_row(key: ExportKey) -> str:
    """Under which key an export is stored."""
    return EXPORT + snapshot.key_text(key)


def source_row(slug: str) -> str:
    """Under which key a source is stored."""
    return SOURCE + slug


def source_text(history: SourceHistory) -> str:
    """A source as it is stored."""
    return json.dumps(history.dump(), separators=(",", ":"))


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
        gaps = snapshot.gaps_of(snapshot.opened(others[GAPS]))
        exports = Exports(sources, declarations, gaps, dict(exports_of(dormant, sources)))
        histories = {slug: _source_of(snapshot.opened(others[source_row(slug)])) for slug in sources}
        keys = snapshot.keys_of(row.removeprefix(EXPORT) for row in rows)
        for key, text in zip(keys, rows.values(), strict=True):
            snapshot.restore_history(exports.new_history(key), snapshot.opened(text), sources[key.source].zone)
    except snapshot.UNREADABLE:
        return None
    exports.forget_ids()
    exports.changed.update(exports.all())
    exports.unsaved.clear()
    return Loaded(exports, histories, gaps, head.sequence, Pruned(head.pruned), head.revision)


def bases(ledger: Ledger, sources: Mapping[str, Source]) -> tuple[dict[ExportKey, Base], dict[str, SourceHistory]]:
    """What exports and sources begin with.

    Raises:
        StoreError: the ledger cannot be read, or one of them.
    """
    found = ledger.folds.bases()
    histories = {slug: SourceHistory() for slug in sources}
    for row, text in found:
        slug = row.removeprefix(SOURCE)
        if row.startswith(SOURCE) and slug in sources:
            with _told(row):
                histories[slug] = _source_of(text)
    return dict(exports_of(found, sources)), histories


def base_of(ledger: Ledger, sources: Mapping[str, Source], key: ExportKey) -> Base | None:
    """What one export begins with; as `bases`."""
    row = export_row(key)
    text = ledger.folds.base(row)
    with _told(row):
        return None if text is None else snapshot.base_of(text, sources[key.source].zone)


def source_base(ledger: Ledger, slug: str) -> SourceHistory:
    """What one source begins with; as `bases`."""
    row = source_row(slug)
    text = ledger.folds.base(row)
    with _told(row):
        return SourceHistory() if text is None else _source_of(text)


def exports_of(rows: Iterable[tuple[str, str]], sources: Mapping[str, Source]) -> Iterator[tuple[ExportKey, Base]]:
    """The bases of exports of configured sources among rows; as `bases`."""
    for row, text in rows:
        if row.startswith(EXPORT):
            with _told(row):
                key = snapshot.key_of(row.removeprefix(EXPORT))
                base = snapshot.base_of(text, sources[key.source].zone) if key.source in sources else None
            if base is not None:
                yield key, base


def _pages(ledger: Ledger) -> Iterator[Sequence[tuple[str, str]]]:
    """All rows, some at a time."""
    after = ""
    while page := ledger.folds.rows(after, PAGE):
        after = page[-1][0]
        yield page


def _source_of(text: str) -> SourceHistory:
    return SourceHistory.restored(json.loads(text))


@contextmanager
def _told(row: str) -> Iterator[None]:
    try:
        yield
    except snapshot.UNREADABLE as error:
        message = f"what the pruned events of {row} amount to cannot be read ({error}): restore a backup"
        raise StoreError(message) from error
