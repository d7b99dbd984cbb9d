"""Group commit: callers that wait at the same time share one commit."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 5_000
"""A commit that has this many items takes no further submission, so that none takes long."""


class _Submission(Generic[Item, Result]):
    """The items of one caller, and what became of them.

    Attributes:
        taken: whether a leader has taken it into a commit.
        wake: the lock that its caller waits for. It is released once: to lead, or with the outcome.
    """

    __slots__ = ("error", "items", "results", "taken", "wake")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.taken = False
        self.results: list[Result] = []
        self.error: StoreError | None = StoreError("the commit was interrupted")
        self.wake = threading.Lock()
        self.wake.acquire()


class GroupCommit(Generic[Item, Result]):
    """Gathers what its callers submit into one call of ``commit`` at a time.

    There is no commit thread. A caller that finds no commit in progress becomes the leader: it commits in its
    own thread, for itself and for every caller that waits. Callers that arrive during a commit wait; when it is
    done, the first of them leads the next one. So each caller leads at most one commit, which contains its items.

        caller A   |-- commit (A) --|
        caller B       waits........|-- commit (B, C) --|
        caller C            waits.......................|

    Args:
        commit: stores all items it is given, or raises; returns a result for each.
    """

    def __init__(self, commit: Callable[[list[Item]], list[Result]]) -> None:
        self._commit = commit
        self._waiting: deque[_Submission[Item, Result]] = deque()
        self._leading = False
        self._closed = False
        self._changed = threading.Condition()  # guards the three above; notified when a commit is done

    def append(self, items: list[Item]) -> list[Result]:
        """Commit ``items`` together with those of other waiting callers; returns when the commit is done.

        Returns:
            The results, item by item.

        Raises:
            StoreError: the commit failed, or the group commit is closed.
        """
        own: _Submission[Item, Result] = _Submission(items)
        with self._changed:
            if self._closed:
                message = "the ledger is closed"
                raise StoreError(message)
            self._waiting.append(own)
            leads, self._leading = not self._leading, True
        if not leads:
            own.wake.acquire()
        if not own.taken:
            self._lead(own)
        if own.error is not None:
            raise own.error
        return own.results

    def close(self) -> None:
        """Wait until everything submitted is committed, and refuse further items."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._leading)

    def _lead(self, own: _Submission[Item, Result]) -> None:
        """Commit the next batch, let the next caller lead, and wake those whose items were in it."""
        batch = self._take_batch()
        try:
            self._commit_together(batch)
        finally:
            with self._changed:
                following = self._waiting[0] if self._waiting else None
                self._leading = following is not None
                self._changed.notify_all()
            if following is not None:
                following.wake.release()
            for submission in batch:
                if submission is not own:
                    submission.wake.release()

    def _take_batch(self) -> list[_Submission[Item, Result]]:
        """Take the first waiting submissions; only the leader calls this."""
        batch: list[_Submission[Item, Result]] = []
        count = 0
        while self._waiting and count < MAX_BATCH:
            submission = self._waiting.popleft()
            submission.taken = True
            batch.append(submission)
            count += len(submission.items)
        return batch

    def _commit_together(self, batch: list[_Submission[Item, Result]]) -> None:
        """Commit a batch and give every submission in it its outcome."""
        try:
            results = iter(self._commit([item for submission in batch for item in submission.items]))
        except StoreError as error:
            for submission in batch:
                submission.error = error
        except Exception as error:  # noqa: BLE001 - not the store, but something in one of the submissions
            if len(batch) == 1:
                batch[0].error = StoreError(f"cannot be stored: {error!r}")
                batch[0].error.__cause__ = error
            else:
                for submission in batch:
                    self._commit_together([submission])
        else:
            for submission in batch:
                submission.results = [next(results) for _ in submission.items]
                submission.error = None
