"""Group commit: who waits shares the next commit, gets its own answers, and never waits for nothing."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from exporter.domain.errors import StoreError
from exporter.ledger.group_commit import MAX_BATCH, GroupCommit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

LONG = 60
"""Seconds that only a hang takes."""


class SlowDatabase:
    """Every commit waits until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)
        self.group = GroupCommit(self.commit)

    def commit(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.began.release()
        self.may_go.acquire()
        if any(item < 0 for item in items):
            message = "the disk is full"
            raise StoreError(message)
        if 13 in items:
            raise UnicodeError(13)
        if 666 in items:
            raise SystemExit
        return [item * item for item in items]

    def submit_together(self, *lists: list[int]) -> list[Future[list[int]]]:
        """Submit lists that wait for one commit together, behind that of a 1."""
        first = self.group.submit([1])
        self.began.acquire()
        futures = [self.group.submit(each) for each in lists]
        self.may_go.release(1000)
        assert first.result(LONG) == [1]
        return futures


@pytest.fixture
def database() -> Iterator[SlowDatabase]:
    made = SlowDatabase()
    yield made
    made.may_go.release(1000)
    made.group.close()


def test_those_who_wait_share_the_next_commit_and_get_their_own_answers(database: SlowDatabase) -> None:
    futures = database.submit_together([2, 20], [3, 30], [], [4])
    assert [each.result(LONG) for each in futures] == [[4, 400], [9, 900], [], [16]]
    assert database.batches == [[1], [2, 20, 3, 30, 4]]


def test_a_commit_that_fails_fails_for_all_who_waited_for_it_and_for_nobody_else(database: SlowDatabase) -> None:
    futures = database.submit_together([2], [-3])
    assert [str(each.exception(LONG)) for each in futures] == ["the disk is full"] * 2
    assert database.group.submit([5]).result(LONG) == [25]
    assert len(database.batches) == 3  # a store that fails is not asked again for each


def test_what_cannot_be_stored_does_not_take_others_with_it(database: SlowDatabase) -> None:
    futures = database.submit_together([2], [13], [4])
    assert [futures[0].result(LONG), futures[2].result(LONG)] == [[4], [16]]
    with pytest.raises(StoreError, match=r"cannot be stored: UnicodeError\(13\)"):
        futures[1].result(LONG)


def test_nobody_waits_for_ever_even_where_the_thread_is_told_to_end(database: SlowDatabase) -> None:
    [future] = database.submit_together([666])
    with pytest.raises(StoreError, match="SystemExit"):
        future.result(LONG)
    assert database.group.submit([5]).result(LONG) == [25]


def test_a_commit_takes_no_more_than_a_batch_but_never_parts_a_list(database: SlowDatabase) -> None:
    half = [1] * (MAX_BATCH // 2)
    futures = database.submit_together(half, half, [7], [8] * (MAX_BATCH + 1), [9])
    assert [len(each.result(LONG)) for each in futures] == [len(half), len(half), 1, MAX_BATCH + 1, 1]
    assert [len(each) for each in database.batches] == [1, MAX_BATCH, MAX_BATCH + 2, 1]


def test_a_close_commits_what_was_submitted_and_takes_nothing_more(database: SlowDatabase) -> None:
    futures = [database.group.submit([n]) for n in range(2, 12)]
    closing = threading.Thread(target=database.group.close)
    closing.start()
    database.may_go.release(1000)
    closing.join(LONG)
    assert [each.result(timeout=0) for each in futures] == [[n * n] for n in range(2, 12)]
    with pytest.raises(StoreError, match="closed"):
        database.group.submit([1])


def test_what_never_began_can_be_closed_and_closed_again() -> None:
    group: GroupCommit[int, int] = GroupCommit(sorted)
    group.close()
    group.close()


def test_submissions_that_are_committed_one_by_one_are_answered_once_each(database: SlowDatabase) -> None:
    database.group.submit([1])
    database.began.acquire()  # so that the three wait for one commit
    failing, fine, half = (database.group.submit(items) for items in ([13], [2], [13, 3]))
    database.may_go.release(1000)
    assert database.group.submit([5]).result(LONG) == [25]
    assert fine.result(LONG) == [4]
    assert isinstance(failing.exception(LONG), StoreError)
    assert isinstance(half.exception(LONG), StoreError)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_where_no_thread_can_be_had_that_is_told_and_the_next_one_tries_again() -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda items: items)
    usual = threading.stack_size(1 << 46)  # more than there is
    try:
        with pytest.raises(StoreError, match="nothing can be committed: can't start new thread"):
            group.submit([1])
    finally:
        threading.stack_size(usual)
    assert group.submit([2]).result(LONG) == [2]
    group.close()


def test_the_other_side_of_a_fork_commits_in_a_thread_of_its_own() -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda items: [-item for item in items])
    assert group.submit([1]).result(LONG) == [-1]
    child = os.fork()
    if not child:  # pragma: no cover - the child's own
        status = 1
        try:
            status = 0 if group.submit([2]).result(LONG) == [-2] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    group.close()
