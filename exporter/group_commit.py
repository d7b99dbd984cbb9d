"""Group commit: what waits for a commit shares the next one."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH = 5_000
"""From how many items on a commit takes no more, so that none takes long."""


class Ticket(ABC, Generic[Item, Answer]):
    """Items of one caller, and what becomes of them.

    Attributes:
        answers: item by item, once they are kept.
        error: why they are not.
    """

    __slots__ = ("answers", "error", "items")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.answers: list[Answer] = []
        self.error: StoreError | None = None

    @abstractmethod
    def settle(self) -> None:
        """Tell the caller, once one of both is there; in the thread that commits, so that it has to be short."""


class _Promise(Ticket[Item, Answer]):
    """What is told in a future."""

    __slots__ = ("future",)

    def __init__(self, items: list[Item]) -> None:
        super().__init__(items)
        self.future: Future[list[Answer]] = Future()
        # A future that runs cannot be cancelled: what was handed over is committed all the same.
        self.future.set_running_or_notify_cancel()

    def settle(self) -> None:
        if self.error is None:
            self.future.set_result(self.answers)
        else:
            self.future.set_exception(self.error)


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
        self._waiting: SimpleQueue[Ticket[Item, Answer] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, items: list[Item]) -> Future[list[Answer]]:
        """Have ``items`` committed with whatever else is waiting.

        Returns:
            A future of the answers, item by item; it cannot be cancelled. Its error is a `StoreError`.

        Raises:
            StoreError: it is closed, or the system gives no thread.
        """
        promise: _Promise[Item, Answer] = _Promise(items)
        self.hand_over([promise])
        return promise.future

    def hand_over(self, tickets: Iterable[Ticket[Item, Answer]]) -> None:
        """Have the items of all these committed; each is settled once.

        Raises:
            StoreError: it is closed, or the system gives no thread; none of them is committed then.
        """
        with self._lock:
            if self._closed:
                message = "the ledger is closed"
                raise StoreError(message)
            if self._thread is None or not self._thread.is_alive():
                self._thread = self._started()
            for ticket in tickets:
                self._waiting.put(ticket)

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, daemon=True, name=self._name)
        try:
            thread.start()
        except RuntimeError as error:
            message = f"nothing can be committed: {error}"
            raise StoreError(message) from error
        return thread

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

    def _gather(self) -> tuple[list[Ticket[Item, Answer]], bool]:
        """What waits, as soon as there is something; and whether to go on after it."""
        batch: list[Ticket[Item, Answer]] = []
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

    def _keep(self, batch: list[Ticket[Item, Answer]]) -> None:
        try:
            answers = self._commit([item for ticket in batch for item in ticket.items])
        except StoreError as error:
            for ticket in batch:
                ticket.error = error
                _tell(ticket)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            if len(batch) > 1:
                # Not the store, but something in one of them: the others need not suffer for it.
                for ticket in batch:
                    self._keep([ticket])
                return
            failed = StoreError(f"cannot be stored: {error!r}")
            failed.__cause__ = error
            batch[0].error = failed
            _tell(batch[0])
        else:
            at = 0
            for ticket in batch:
                ticket.answers = answers[at : at + len(ticket.items)]
                at += len(ticket.items)
                _tell(ticket)


def _tell(ticket: Ticket[Item, Answer]) -> None:
    try:
        ticket.settle()
    except Exception:
        log.exception("whoever waited for a commit cannot be told of it")  # and the others need not suffer for it
