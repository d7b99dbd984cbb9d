"""Group commit: everything that was submitted since the last commit shares the next one."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
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
        done: whether a commit that contains the items has ended.
    """

    __slots__ = ("done", "error", "items", "results")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.done = False
        self.results: list[Result] = []
        self.error: StoreError | None = StoreError("the commit was interrupted")


class GroupCommit(Generic[Item, Result]):
    """Gathers what is submitted into one call of ``commit`` at a time.

    There is no commit thread. A caller that waits for its items while no commit is in progress becomes the leader: it
    commits everything that was submitted, in its own thread. Callers that wait during a commit wait for its end; one
    whose items were not in it leads the next one.

        caller A   submits A, waits |-- commit (A) --|
        caller B          submits B, submits C, waits |-- commit (B, C, D) --|
        caller D                 submits D, waits.............................|

    Args:
        commit: stores all items it is given, or raises; returns a result for each.
    """

    def __init__(self, commit: Callable[[list[Item]], list[Result]]) -> None:
        self._commit = commit
        self._submitted: deque[_Submission[Item, Result]] = deque()
        self._leading = False
        self._closed = False
        self._changed = threading.Condition()  # guards the three above; notified when a commit has ended

    def submit(self, items: list[Item]) -> Callable[[], list[Result]]:
        """Submit items for the next commit, without waiting for it.

        Returns:
            A function that waits until the items are committed and returns their results, item by item. It raises
            `StoreError` if the commit failed. Somebody has to wait: otherwise nothing may be committed until the next
            caller does.

        Raises:
            StoreError: the group commit is closed.
        """
        submission: _Submission[Item, Result] = _Submission(items)
        with self._changed:
            if self._closed:
                message = "the store is closed"
                raise StoreError(message)
            self._submitted.append(submission)
        return partial(self._wait_for, submission)

    def close(self) -> None:
        """Commit what is submitted, wait for that, and refuse further items."""
        with self._changed:
            self._closed = True
            left = self._submitted[-1] if self._submitted else None
            self._changed.wait_for(lambda: not self._leading)
        if left is not None:
            self._wait_until_done(left)

    def _wait_for(self, own: _Submission[Item, Result]) -> list[Result]:
        self._wait_until_done(own)
        if own.error is not None:
            raise own.error
        return own.results

    def _wait_until_done(self, own: _Submission[Item, Result]) -> None:
        """Wait until a submission is done; lead commits while it is not, and nobody else does."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: own.done or not self._leading)
                if own.done:
                    return
                self._leading = True
                batch = self._take_batch()
            self._lead(batch)

    def _lead(self, batch: list[_Submission[Item, Result]]) -> None:
        """Commit a batch, and wake those who wait."""
        try:
            self._commit_together(batch)
        finally:
            with self._changed:
                for submission in batch:
                    submission.done = True
                self._leading = False
                self._changed.notify_all()

    def _take_batch(self) -> list[_Submission[Item, Result]]:
        """Take the first submissions."""
        batch: list[_Submission[Item, Result]] = []
        count = 0
        while self._submitted and count < MAX_BATCH:
            submission = self._submitted.popleft()
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
