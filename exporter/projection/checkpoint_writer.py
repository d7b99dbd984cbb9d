"""Writing the checkpoint: what changed since the last one, a page at a time, and by one process only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.ledger.checkpoint_store import Checkpoint
from exporter.projection import baselines, checkpoint_loader, serialization

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from exporter.domain.exports import ExportKey
    from exporter.ledger.checkpoint_store import CheckpointStore
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

PAGE_SIZE = 200
"""How many exports are put into words at a time, so that no scrape waits for long."""
OWNER_TIMEOUT = 60.0
"""Seconds after which the owner of a checkpoint that is not heard of is taken to be gone."""


class CheckpointWriter:
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
        state_lock: AbstractContextManager[object],
        current_projector: Callable[[], Projector],
    ) -> None:
        self._store: CheckpointStore = ledger.checkpoints
        self._owner = owner
        self._state_lock = state_lock
        self._current_projector = current_projector
        self.other_configuration = False

    def write(self, now: float, *, max_exports: float = float("inf"), stopping: bool = False) -> bool:
        """Write what is not yet in the checkpoint.

        While more than a page of it is written, the checkpoint is marked as one not to be trusted.

        Args:
            now: the instant, to tell whether another process that keeps it is there.
            max_exports: with more exports than that to write, nothing is written.
            stopping: whether anybody may write it next.

        Returns:
            Whether the checkpoint is now this one; another process may keep it, or was faster.

        Raises:
            StoreError: it could not be written.
        """
        head = self._store.load_header()
        revision = head.revision if head else 0
        with self._state_lock:
            projector = self._current_projector()
            self.other_configuration = False
            replace_all = head is None or projector.checkpoint_revision != revision
            if (
                replace_all
                and head
                and head.owner != self._owner
                and now - self._store.owner_heartbeat() <= OWNER_TIMEOUT
            ):
                self.other_configuration = serialization.is_other_configuration(head.fingerprint, projector.fingerprint)
                return False
            if replace_all:
                projector.exports.mark_not_checkpointed(projector.exports.all_keys())
            if len(projector.exports.not_checkpointed) > max_exports:
                return False
        done = False
        while not done:
            with self._state_lock:
                if self._current_projector() is not projector or projector.exports.needs_rebuild:
                    return False
                keys, rows, new = self.next_page(projector, revision + 1, "" if stopping else self._owner)
                done = bool(new.fingerprint)
            written = False
            try:
                written = self._store.write_rows(revision, new, rows, replace_all=replace_all)
            finally:
                with self._state_lock:
                    if written:
                        projector.checkpoint_revision = new.revision
                    else:
                        projector.exports.mark_not_checkpointed(keys)
            if not written:
                return False
            revision, replace_all = new.revision, False
        return True

    def next_page(
        self, projector: Projector, revision: int, owner: str
    ) -> tuple[list[ExportKey], dict[str, str | None], Checkpoint]:
        """The next exports to write, as rows; with the last ones all that is said of the whole."""
        exports = projector.exports
        keys = exports.take_not_checkpointed(PAGE_SIZE)
        rows: dict[str, str | None] = {}
        for key in keys:
            history = exports.history(key)
            text = None if history is None else serialization.with_checksum(serialization.encode_history(history))
            rows[baselines.export_row_key(key)] = text
        if exports.not_checkpointed:
            return keys, rows, Checkpoint(revision, 0, "", projector.pruning_state.revision, owner)
        for slug, source in projector.source_stats.items():
            rows[baselines.source_row_key(slug)] = serialization.with_checksum(baselines.encode_source_stats(source))
        rows[checkpoint_loader.OUTAGES_KEY] = serialization.with_checksum(
            serialization.encode_outages(projector.outages)
        )
        new = Checkpoint(revision, projector.sequence, projector.fingerprint, projector.pruning_state.revision, owner)
        return keys, rows, new
