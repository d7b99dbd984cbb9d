"""Writing the checkpoint: what changed since the last one, a page at a time, and by one process only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import Checkpoint
from exporter.projection import baselines, checkpoint_loader, serialization

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from exporter.domain.exports import ExportKey
    from exporter.ledger.checkpoint_store import Folds
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Reader

PAGE = 200
"""How many exports are put into words at a time, so that no scrape waits for long."""
SILENT_AFTER = 60.0
"""Seconds after which the owner of a checkpoint that is not heard of is taken to be gone."""


class Keeper:
    """Writes the checkpoint of what a reader knows.

    Args:
        ledger: beside which it is kept.
        owner: the heartbeat of this process.
        knowing: a lock; the reader is only looked at while it is held.
        reader: the reader of the moment.

    Attributes:
        differs: whether the process that keeps the checkpoint has another configuration, or is of
            another release, as far as the newest `write` saw.
    """

    def __init__(
        self,
        ledger: Ledger,
        owner: str,
        knowing: AbstractContextManager[object],
        reader: Callable[[], Reader],
    ) -> None:
        self._folds: Folds = ledger.folds
        self._owner = owner
        self._knowing = knowing
        self._reader = reader
        self.differs = False

    def write(self, now: float, *, most: float = float("inf"), leaving: bool = False) -> bool:
        """Write what is not yet in the checkpoint.

        While more than a page of it is written, the checkpoint is marked as one not to be trusted.

        Args:
            now: the instant, to tell whether another process that keeps it is there.
            most: with more exports than that to write, nothing is written.
            leaving: whether anybody may write it next.

        Returns:
            Whether the checkpoint is now this one; another process may keep it, or was faster.

        Raises:
            StoreError: it could not be written.
        """
        head = self._folds.checkpoint()
        revision = head.revision if head else 0
        with self._knowing:
            reader = self._reader()
            self.differs = False
            anew = head is None or reader.saved != revision
            if anew and head and head.owner != self._owner and now - self._folds.owner_seen() <= SILENT_AFTER:
                self.differs = serialization.differ(head.fingerprint, reader.fingerprint)
                return False
            if anew:
                reader.exports.unsaved = set(reader.exports.all())
            if len(reader.exports.unsaved) > most:
                return False
        done = False
        while not done:
            with self._knowing:
                if self._reader() is not reader or reader.exports.stale:
                    return False
                keys, rows, new = self._page(reader, revision + 1, "" if leaving else self._owner)
                done = bool(new.fingerprint)
            written = False
            try:
                written = self._folds.write(revision, new, rows, anew=anew)
            finally:
                with self._knowing:
                    if written:
                        reader.saved = new.revision
                    else:
                        reader.exports.unsaved.update(keys)
            if not written:
                return False
            revision, anew = new.revision, False
        return True

    def _page(
        self, reader: Reader, revision: int, owner: str
    ) -> tuple[list[ExportKey], dict[str, str | None], Checkpoint]:
        """The next exports to write, as rows; with the last ones all that is said of the whole."""
        exports = reader.exports
        keys = [exports.unsaved.pop() for _ in range(min(PAGE, len(exports.unsaved)))]
        rows: dict[str, str | None] = {}
        for key in keys:
            history = exports.history(key)
            text = None if history is None else serialization.sealed(serialization.history_text(history))
            rows[baselines.export_row(key)] = text
        if exports.unsaved:
            return keys, rows, Checkpoint(revision, 0, "", reader.pruned.revision, owner)
        for slug, source in reader.histories.items():
            rows[baselines.source_row(slug)] = serialization.sealed(baselines.source_text(source))
        rows[checkpoint_loader.GAPS] = serialization.sealed(serialization.gaps_text(reader.gaps))
        new = Checkpoint(revision, reader.sequence, reader.fingerprint, reader.pruned.revision, owner)
        return keys, rows, new
