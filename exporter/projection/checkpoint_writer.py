"""Writes the checkpoint: what changed since the last one, in pages, and from one process only."""

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
"""How many exports are encoded under the lock at a time, so that no scrape waits for long."""
OWNER_TIMEOUT = 60.0
"""Seconds without a heartbeat after which another process takes over the checkpoint."""


class CheckpointWriter:
    """Writes the checkpoint of a projector beside the ledger.

    Args:
        ledger: the ledger, with its checkpoint store.
        owner: the name under which this process sends heartbeats.
        state_lock: held during every access to the projector.
        current_projector: returns the projector, which a reload replaces; called under the lock.

    Attributes:
        other_configuration: whether the process that owns the checkpoint has another configuration
            or release, as of the last `write`.
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
        """Write what differs from the checkpoint, in pages.

        The checkpoint is invalid from the first page until the last one is written.

        =============================================  =================================================
        the stored checkpoint                          is
        =============================================  =================================================
        does not exist                                 written whole
        is the last one written by this process        updated
        is of a process without a recent heartbeat     replaced whole
        is of a process with a recent heartbeat        left alone
        =============================================  =================================================

        Args:
            now: the instant with which the heartbeat of the owner is compared.
            max_exports: nothing is written if more exports than this differ.
            stopping: whether this process is about to stop, so that any other may take over at once.

        Returns:
            Whether the checkpoint is up to date; False if nothing or not everything was written.

        Raises:
            StoreError: the ledger cannot be written.
        """
        head = self._store.load_header()
        revision = head.revision if head else 0
        with self._state_lock:
            projector = self._current_projector()
            self.other_configuration = False
            replace_all = head is None or projector.checkpoint_revision != revision
            if replace_all and head and self._has_living_owner(head, now):
                self.other_configuration = serialization.is_other_configuration(head.fingerprint, projector.fingerprint)
                return False
            if replace_all:
                projector.exports.mark_none_checkpointed()
            if len(projector.exports.not_checkpointed) > max_exports:
                return False
        done = False
        while not done:
            with self._state_lock:
                if self._current_projector() is not projector or projector.exports.needs_rebuild:
                    return False
                keys, rows, header = self._next_page(projector, revision + 1, "" if stopping else self._owner)
                done = bool(header.fingerprint)
            written = False
            try:
                written = self._store.write_rows(revision, header, rows, replace_all=replace_all)
            finally:
                with self._state_lock:
                    if written:
                        projector.checkpoint_revision = header.revision
                    else:
                        projector.exports.mark_not_checkpointed(keys)
            if not written:
                return False
            revision, replace_all = header.revision, False
        return True

    def _has_living_owner(self, head: Checkpoint, now: float) -> bool:
        return head.owner != self._owner and abs(now - self._store.owner_heartbeat()) <= OWNER_TIMEOUT

    def _next_page(
        self, projector: Projector, revision: int, owner: str
    ) -> tuple[list[ExportKey], dict[str, str | None], Checkpoint]:
        """Return the next exports to write, their rows, and the header to write with them.

        Only the last page has a header that makes the checkpoint valid: one with a fingerprint.
        """
        exports = projector.exports
        keys = exports.take_not_checkpointed(PAGE_SIZE)
        rows: dict[str, str | None] = {}
        for key in keys:
            history = exports.history(key)
            text = None if history is None else serialization.with_checksum(serialization.encode_history(history))
            rows[baselines.export_row_key(key)] = text
        if exports.not_checkpointed:
            return keys, rows, Checkpoint(revision, 0, "", projector.pruning_state.revision, owner)
        for slug, source_stats in projector.source_stats.items():
            text = baselines.encode_source_stats(source_stats)
            rows[baselines.source_row_key(slug)] = serialization.with_checksum(text)
        rows[checkpoint_loader.OUTAGES_KEY] = serialization.with_checksum(
            serialization.encode_outages(projector.outages)
        )
        pruning_revision = projector.pruning_state.revision
        return keys, rows, Checkpoint(revision, projector.sequence, projector.fingerprint, pruning_revision, owner)
