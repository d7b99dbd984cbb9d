"""What is left of pruned events: for each export and source, the fold of what is gone."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporter.domain.errors import StoreError
from exporter.projection import serialization
from exporter.projection.fold.source_stats import SourceStats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.domain.exports import ExportKey, Source
    from exporter.ledger.contract import Ledger
    from exporter.projection.fold.history import Baseline


EXPORT_PREFIX = "export:"
SOURCE_PREFIX = "source:"


def export_row_key(key: ExportKey) -> str:
    """Under which key an export is stored."""
    return EXPORT_PREFIX + serialization.encode_key(key)


def source_row_key(slug: str) -> str:
    """Under which key a source is stored."""
    return SOURCE_PREFIX + slug


def encode_source_stats(history: SourceStats) -> str:
    """A source as it is stored."""
    return json.dumps(history.to_document(), separators=(",", ":"))


def load_baselines(
    ledger: Ledger, sources: Mapping[str, Source]
) -> tuple[dict[ExportKey, Baseline], dict[str, SourceStats]]:
    """What exports and sources begin with.

    Raises:
        StoreError: the ledger cannot be read, or one of them.
    """
    rows = ledger.checkpoints.baselines()
    histories = {slug: SourceStats() for slug in sources}
    for row, text in rows:
        slug = row.removeprefix(SOURCE_PREFIX)
        if row.startswith(SOURCE_PREFIX) and slug in sources:
            with _translate_errors(row):
                histories[slug] = _decode_source_stats(text)
    return dict(export_baselines(rows, sources)), histories


def load_baseline(ledger: Ledger, sources: Mapping[str, Source], key: ExportKey) -> Baseline | None:
    """What one export begins with; as `load_baselines`."""
    row = export_row_key(key)
    text = ledger.checkpoints.baseline(row)
    with _translate_errors(row):
        return None if text is None else serialization.decode_baseline(text, sources[key.source].zone)


def load_source_baseline(ledger: Ledger, slug: str) -> SourceStats:
    """What one source begins with; as `load_baselines`."""
    row = source_row_key(slug)
    text = ledger.checkpoints.baseline(row)
    with _translate_errors(row):
        return SourceStats() if text is None else _decode_source_stats(text)


def export_baselines(
    rows: Iterable[tuple[str, str]], sources: Mapping[str, Source]
) -> Iterator[tuple[ExportKey, Baseline]]:
    """The bases of exports of configured sources among rows; as `load_baselines`."""
    for row, text in rows:
        if row.startswith(EXPORT_PREFIX):
            with _translate_errors(row):
                key = serialization.decode_key(row.removeprefix(EXPORT_PREFIX))
                baseline = (
                    serialization.decode_baseline(text, sources[key.source].zone) if key.source in sources else None
                )
            if baseline is not None:
                yield key, baseline


def _decode_source_stats(text: str) -> SourceStats:
    return SourceStats.from_document(json.loads(text))


@contextmanager
def _translate_errors(row: str) -> Iterator[None]:
    try:
        yield
    except serialization.UNREADABLE as error:
        message = f"what the pruned events of {row} amount to cannot be read ({error}): restore a backup"
        raise StoreError(message) from error
