"""Group commit: what waits for a commit shares the next one."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from exporter.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 5_000
"""From how many items on a commit takes no more, so that none takes long."""


class _Submission(NamedTuple, Generic[Item, Result]):
    """Items of one caller, and the future of their answers."""

    items: list[Item]
    future: Future[list[Result]]


class GroupCommit(Generic[Item, Result]):
    """Gathers what is submitted into one call of ``commit`` at a time, in a thread of its own.

    The thread starts with the first items, and again where a fork has left it behind.

    Args:
        commit: keeps all items it is given, or raises; answers item by item.
        name: of the thread.
    """

    def __init__(self, commit: Callable[[list[Item]], list[Result]], name: str = "commit") -> None:
        self._commit = commit
        self._name = name
        self._queue: SimpleQueue[_Submission[Item, Result] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, items: list[Item]) -> Future[list[Result]]:
        """Have ``items`` committed with whatever else is waiting.

        Returns:
            A future of the answers, item by item; it cannot be cancelled. Its error is a `StoreError`.

        Raises:
            StoreError: it is closed, or the system gives no thread.
        """
        future: Future[list[Result]] = Future()
        # A running future cannot be cancelled: what was submitted is committed in any case.
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                message = "the ledger is closed"
                raise StoreError(message)
            if self._thread is None or not self._thread.is_alive():
                self._thread = self._start_thread()
            self._queue.put(_Submission(items, future))
        return future

    def _start_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, daemon=True, name=self._name)
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
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._next_batch()
            if batch:
                self._commit_batch(batch)

    def _next_batch(self) -> tuple[list[_Submission[Item, Result]], bool]:
        """What waits, as soon as there is something; and whether to go on after it."""
        batch: list[_Submission[Item, Result]] = []
        count = 0
        try:
            submission = self._queue.get()
            while submission is not None:
                batch.append(submission)
                count += len(submission.items)
                if count >= MAX_BATCH:
                    return batch, True
                submission = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _commit_batch(self, batch: list[_Submission[Item, Result]]) -> None:
        try:
            results = self._commit([item for submission in batch for item in submission.items])
        except StoreError as error:
            for submission in batch:
                submission.future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            if len(batch) > 1:
                # Not the store, but something in one of them: the others need not suffer for it.
                for submission in batch:
                    self._commit_batch([submission])
                return
            failed = StoreError(f"cannot be stored: {error!r}")
            failed.__cause__ = error
            batch[0].future.set_exception(failed)
        else:
            at = 0
            for submission in batch:
                submission.future.set_result(results[at : at + len(submission.items)])
                at += len(submission.items)
