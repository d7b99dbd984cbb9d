"""What is left of pruned events: for each export and source, the fold of what is gone."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporter.domain.errors import StoreError
from exporter.projection import serialization
from exporter.projection.fold.source_stats import SourceHistory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.domain.exports import ExportKey, Source
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.history import Base


EXPORT = "export "
SOURCE = "source "


def export_row(key: ExportKey) -> str:
    """Under which key an export is stored."""
    return EXPORT + serialization.key_text(key)


def source_row(slug: str) -> str:
    """Under which key a source is stored."""
    return SOURCE + slug


def source_text(history: SourceHistory) -> str:
    """A source as it is stored."""
    return json.dumps(history.dump(), separators=(",", ":"))


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
        return None if text is None else serialization.base_of(text, sources[key.source].zone)


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
                key = serialization.key_of(row.removeprefix(EXPORT))
                base = serialization.base_of(text, sources[key.source].zone) if key.source in sources else None
            if base is not None:
                yield key, base


def _source_of(text: str) -> SourceHistory:
    return SourceHistory.restored(json.loads(text))


@contextmanager
def _told(row: str) -> Iterator[None]:
    try:
        yield
    except serialization.UNREADABLE as error:
        message = f"what the pruned events of {row} amount to cannot be read ({error}): restore a backup"
        raise StoreError(message) from error
