"""Group commit: who waits shares the next commit, gets its own answers, and never waits for nothing."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from exporter.domain.errors import StoreError
from exporter.ledger.group_commit import MAX_BATCH, GroupCommit
from running import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class SlowDatabase:
    """Every commit waits until it is let through."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)
        self.group = GroupCommit(self.commit)
        self._threads = threads

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

    def append(self, items: list[int]) -> Future[list[int]]:
        """Submit items, and wait for their commit in a thread."""
        return self._threads.submit(self.group.submit(items))

    def append_together(self, *lists: list[int]) -> list[Future[list[int]]]:
        """Append lists that wait for one commit together, behind that of a 1."""
        first = self.append([1])
        assert self.began.acquire(timeout=PATIENCE_SECONDS)
        futures = [self.append(each) for each in lists]
        self.may_go.release(1000)
        assert first.result(PATIENCE_SECONDS) == [1]
        return futures


@pytest.fixture
def database() -> Iterator[SlowDatabase]:
    with ThreadPoolExecutor(16) as threads:
        made = SlowDatabase(threads)
        yield made
        made.may_go.release(1000)
        made.group.close()


def test_those_who_wait_share_the_next_commit_and_get_their_own_answers(database: SlowDatabase) -> None:
    futures = database.append_together([2, 20], [3, 30], [], [4])
    assert [each.result(PATIENCE_SECONDS) for each in futures] == [[4, 400], [9, 900], [], [16]]
    assert database.batches == [[1], [2, 20, 3, 30, 4]]


def test_a_caller_that_is_alone_commits_in_its_own_thread() -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda items: [threading.get_ident() for _ in items])
    assert group.submit([1, 2])() == [threading.get_ident()] * 2


def test_a_caller_whose_items_are_committed_leads_no_commit_for_others(database: SlowDatabase) -> None:
    """However many follow: nobody is kept from its answer to work for others."""
    full = [1] * MAX_BATCH
    first, *others = [database.group.submit(full) for _ in range(3)]
    database.may_go.release(1000)
    assert first() == full
    assert len(database.batches) == 1
    assert [each() for each in reversed(others)] == [full] * 2
    assert len(database.batches) == 3


def test_items_that_nobody_waits_for_yet_are_committed_with_those_of_whoever_waits(database: SlowDatabase) -> None:
    database.may_go.release(1000)
    early, late = database.group.submit([2]), database.group.submit([3])
    assert late() == [9]
    assert database.batches == [[2, 3]]
    assert early() == [4]
    assert database.batches == [[2, 3]]


def test_a_close_commits_what_nobody_waits_for(database: SlowDatabase) -> None:
    database.may_go.release(1000)
    left = database.group.submit([2])
    database.group.submit([3])
    database.group.close()
    assert database.batches == [[2, 3]]
    assert left() == [4]


def test_a_commit_that_fails_fails_for_all_who_waited_for_it_and_for_nobody_else(database: SlowDatabase) -> None:
    futures = database.append_together([2], [-3])
    assert [str(each.exception(PATIENCE_SECONDS)) for each in futures] == ["the disk is full"] * 2
    assert database.group.submit([5])() == [25]
    assert len(database.batches) == 3  # a store that fails is not asked again for each


def test_what_cannot_be_stored_does_not_take_others_with_it(database: SlowDatabase) -> None:
    futures = database.append_together([2], [13], [4])
    assert [futures[0].result(PATIENCE_SECONDS), futures[2].result(PATIENCE_SECONDS)] == [[4], [16]]
    with pytest.raises(StoreError, match=r"cannot be stored: UnicodeError\(13\)") as raised:
        futures[1].result(PATIENCE_SECONDS)
    assert isinstance(raised.value.__cause__, UnicodeError)


def test_submissions_that_are_committed_one_by_one_are_committed_and_answered_once_each(
    database: SlowDatabase,
) -> None:
    failing, fine, half = database.append_together([13], [2], [13, 3])
    assert fine.result(PATIENCE_SECONDS) == [4]
    assert isinstance(failing.exception(PATIENCE_SECONDS), StoreError)
    assert isinstance(half.exception(PATIENCE_SECONDS), StoreError)
    assert database.batches == [[1], [13, 2, 13, 3], [13], [2], [13, 3]]
    assert database.group.submit([5])() == [25]  # a caller that is woken twice would be an error of its leader


def test_nobody_waits_for_ever_even_where_the_leading_thread_is_told_to_end(database: SlowDatabase) -> None:
    # Either of the two may lead.
    leader, follower = sorted(
        (each.exception(PATIENCE_SECONDS) for each in database.append_together([666], [2])),
        key=lambda error: isinstance(error, StoreError),
    )
    assert isinstance(leader, SystemExit)
    assert isinstance(follower, StoreError)
    assert "interrupted" in str(follower)
    assert database.group.submit([5])() == [25]


def test_a_commit_takes_no_more_than_a_batch_but_never_parts_a_list(database: SlowDatabase) -> None:
    half = [1] * (MAX_BATCH // 2)
    futures = database.append_together(half, half, [7], [8] * (MAX_BATCH + 1), [9])
    assert [len(each.result(PATIENCE_SECONDS)) for each in futures] == [len(half), len(half), 1, MAX_BATCH + 1, 1]
    assert [len(each) for each in database.batches] == [1, MAX_BATCH, MAX_BATCH + 2, 1]


def test_a_close_waits_for_what_was_submitted_and_takes_nothing_more(database: SlowDatabase) -> None:
    futures = [database.append([n]) for n in range(2, 12)]
    closing = threading.Thread(target=database.group.close)
    closing.start()
    wait_until(lambda: database.group._closed, "it to be closed")  # noqa: SLF001 - likewise
    with pytest.raises(StoreError, match="closed"):
        database.group.submit([1])()
    assert closing.is_alive()
    database.may_go.release(1000)
    closing.join(PATIENCE_SECONDS)
    assert [each for batch in database.batches for each in batch] == [*range(2, 12)]
    assert [each.result(PATIENCE_SECONDS) for each in futures] == [[n * n] for n in range(2, 12)]


def test_what_never_began_can_be_closed_and_closed_again() -> None:
    group: GroupCommit[int, int] = GroupCommit(sorted)
    group.close()
    group.close()


def test_many_callers_at_once_are_all_answered_and_nothing_is_committed_twice() -> None:
    committed: list[int] = []

    def commit(items: list[int]) -> list[int]:
        committed.extend(items)
        return [-item for item in items]

    group: GroupCommit[int, int] = GroupCommit(commit)

    def caller(number: int) -> bool:
        own = range(number * 200, (number + 1) * 200)
        return all(group.submit([each])() == [-each] for each in own)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(caller, range(16)))
    group.close()
    assert sorted(committed) == [*range(16 * 200)]
