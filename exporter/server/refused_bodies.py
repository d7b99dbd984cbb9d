"""Stores the newest refused bodies in the background, so that neither a webhook nor the event loop waits for them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import StoreError
from exporter.domain.events import RefusedBody
from exporter.ledger.body_store import MAX_REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.ledger.body_store import BodyStore

MAX_BYTES = 4096
"""How many bytes of a refused body are kept."""
SECONDS_BETWEEN_WRITES = 1.0

log = structlog.get_logger()


class RefusedBodies:
    """Collects refused bodies and stores them in a thread, at most once a second.

    However many bodies are refused, a write stores at most the newest `MAX_REFUSED` of a source. A crash loses
    those of the last second; the log has their reasons.

    Args:
        store: where they are stored.
        now: the clock, in Unix seconds.
    """

    def __init__(self, store: BodyStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._pending: dict[str, deque[RefusedBody]] = {}
        self._recorded = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_loop, daemon=True, name="refused bodies")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and store what is left."""
        self._stopping.set()
        self._recorded.set()
        if self._thread.is_alive():
            self._thread.join()
        self.write()

    def record(self, source: str, status: int, detail: str, body: bytes) -> None:
        """Record a refused body; does not block.

        Args:
            source: the slug of its source.
            status: the HTTP status of the response.
            detail: which check failed.
            body: as it arrived; empty if it was not read.
        """
        refused = RefusedBody(source, self._now(), status, detail, len(body), bytes(body[:MAX_BYTES]))
        with self._lock:
            self._pending.setdefault(source, deque(maxlen=MAX_REFUSED)).append(refused)
        self._recorded.set()

    def write(self) -> None:
        """Store what was recorded since the last write."""
        self._recorded.clear()
        with self._lock:
            pending, self._pending = self._pending, {}
        try:
            for source in list(pending):  # a transaction for each, so that webhooks can commit in between
                self._store.add_refused(pending[source])
                del pending[source]
        except StoreError as error:
            bodies = sum(map(len, pending.values()))
            log.warning("refused_bodies_not_stored", bodies=bodies, error=str(error))

    def _write_loop(self) -> None:
        while not self._stopping.is_set():
            self._recorded.wait()
            self.write()
            self._stopping.wait(SECONDS_BETWEEN_WRITES)
