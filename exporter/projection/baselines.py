"""Reads baselines: for each export and source, the fold of its pruned events, from which its history continues."""

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
    """Return the key under which a row of an export is stored."""
    return EXPORT_PREFIX + serialization.encode_key(key)


def source_row_key(slug: str) -> str:
    """Return the key under which a row of a source is stored."""
    return SOURCE_PREFIX + slug


def encode_source_stats(stats: SourceStats) -> str:
    """Encode the statistics of a source as stored text."""
    return json.dumps(stats.to_document(), separators=(",", ":"))


def decode_source_stats(text: str) -> SourceStats:
    """Decode what `encode_source_stats` encoded; an error is one of `serialization.UNREADABLE`."""
    return SourceStats.from_document(json.loads(text))


def load_baselines(
    ledger: Ledger, sources: Mapping[str, Source]
) -> tuple[dict[ExportKey, Baseline], dict[str, SourceStats]]:
    """Return the baselines of the exports of configured sources, and of these sources.

    Raises:
        StoreError: the ledger, or a baseline in it, cannot be read.
    """
    rows = ledger.checkpoints.baselines()
    stats = {slug: SourceStats() for slug in sources}
    for row, text in rows:
        slug = row.removeprefix(SOURCE_PREFIX)
        if row.startswith(SOURCE_PREFIX) and slug in sources:
            with _translate_errors(row):
                stats[slug] = decode_source_stats(text)
    return dict(export_baselines(rows, sources)), stats


def load_baseline(ledger: Ledger, sources: Mapping[str, Source], key: ExportKey) -> Baseline | None:
    """Return the baseline of an export, None if it has none; errors as for `load_baselines`."""
    row = export_row_key(key)
    text = ledger.checkpoints.baseline(row)
    with _translate_errors(row):
        return None if text is None else serialization.decode_baseline(text, sources[key.source].zone)


def load_source_baseline(ledger: Ledger, slug: str) -> SourceStats:
    """Return the baseline of a source, empty if it has none; errors as for `load_baselines`."""
    row = source_row_key(slug)
    text = ledger.checkpoints.baseline(row)
    with _translate_errors(row):
        return SourceStats() if text is None else decode_source_stats(text)


def export_baselines(
    rows: Iterable[tuple[str, str]], sources: Mapping[str, Source]
) -> Iterator[tuple[ExportKey, Baseline]]:
    """Yield the baselines of exports of configured sources among rows; errors as for `load_baselines`."""
    for row, text in rows:
        if row.startswith(EXPORT_PREFIX):
            with _translate_errors(row):
                key = serialization.decode_key(row.removeprefix(EXPORT_PREFIX))
                baseline = (
                    serialization.decode_baseline(text, sources[key.source].zone) if key.source in sources else None
                )
            if baseline is not None:
                yield key, baseline


@contextmanager
def _translate_errors(row: str) -> Iterator[None]:
    try:
        yield
    except serialization.UNREADABLE as error:
        message = f"what the pruned events of {row} amount to cannot be read ({error}): restore a backup"
        raise StoreError(message) from error
