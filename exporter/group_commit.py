"""Group commit: what waits for a commit shares the next one."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH = 5_000
"""From how many items on a commit takes no more, so that none takes long."""


class _Ticket(Generic[Item, Answer]):
    """One caller's items, and where the answers go."""

    __slots__ = ("future", "items")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.future: Future[list[Answer]] = Future()
        # A future that runs cannot be cancelled: what was handed over is committed all the same.
        self.future.set_running_or_notify_cancel()


class GroupCommit(Generic[Item, Answer]):
    """Gathers what is submitted into one call of ``commit`` at a time, in a thread of its own.

    The thread starts with the first items, and again where a fork has left it behind.

    Args:
        commit: keeps all items it is given, or raises; answers item by item.
        name: of the thread.
    """

    def __init__(self, commit: Callable[[list[Item]], list[Answer]], name: str = "commit") -> None:
        self._commit = commit
        self._name = name
        self._waiting: SimpleQueue[_Ticket[Item, Answer] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, items: list[Item]) -> Future[list[Answer]]:
        """Have ``items`` committed with whatever else is waiting.

        Returns:
            A future of the answers, item by item; it cannot be cancelled. Its error is a `StoreError`.

        Raises:
            StoreError: it is closed.
        """
        ticket: _Ticket[Item, Answer] = _Ticket(items)
        with self._lock:
            if self._closed:
                message = "the ledger is closed"
                raise StoreError(message)
            self._waiting.put(ticket)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, daemon=True, name=self._name)
                self._thread.start()
        return ticket.future

    def close(self) -> None:
        """Commit what was submitted, and take nothing more."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _work(self) -> None:
        more = True
        while more:
            batch, more = self._gather()
            if batch:
                self._keep(batch)

    def _gather(self) -> tuple[list[_Ticket[Item, Answer]], bool]:
        """What waits, as soon as there is something; and whether to go on after it."""
        batch: list[_Ticket[Item, Answer]] = []
        count = 0
        try:
            ticket = self._waiting.get()
            while ticket is not None:
                batch.append(ticket)
                count += len(ticket.items)
                if count >= BATCH:
                    return batch, True
                ticket = self._waiting.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _keep(self, batch: list[_Ticket[Item, Answer]]) -> None:
        try:
            answers = self._commit([item for ticket in batch for item in ticket.items])
        except StoreError as error:
            for ticket in batch:
                ticket.future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            if len(batch) > 1:
                # Not the store, but something in one of them: the others need not suffer for it.
                for ticket in batch:
                    self._keep([ticket])
                return
            failed = StoreError(f"cannot be stored: {error!r}")
            failed.__cause__ = error
            batch[0].future.set_exception(failed)
        else:
            at = 0
            for ticket in batch:
                ticket.future.set_result(answers[at : at + len(ticket.items)])
                at += len(ticket.items)
