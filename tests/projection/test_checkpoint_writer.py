"""Which process writes the checkpoint, and when it does not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import checkpoints
from builders import accepted_event
from checkpoints import NOW, caught_up, head, overwrite, runs, states, writer_of
from exporter.domain.errors import StoreError
from exporter.projection.checkpoint_writer import CheckpointWriter
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.ledger.checkpoint_store import Checkpoint
    from exporter.ledger.contract import Ledger


ledger, short_memory = checkpoints.ledger, checkpoints.short_memory


def test_while_another_process_keeps_it_nobody_else_does(ledger: Ledger) -> None:
    ledger.record_heartbeat("other", NOW)
    other, mine = caught_up(ledger), caught_up(ledger)
    assert writer_of(ledger, other, "other").write(NOW)
    assert not writer_of(ledger, mine).write(NOW + 50)
    assert head(ledger).owner == "other"
    assert writer_of(ledger, other, "other").write(NOW + 50)
    assert writer_of(ledger, mine).write(NOW + 70)  # which was not heard of for over a minute
    assert head(ledger).owner == "me"
    assert states(caught_up(ledger)) == states(mine)


def test_the_heartbeat_of_an_owner_that_had_none_is_0(ledger: Ledger) -> None:
    assert ledger.checkpoints.owner_heartbeat() == 0
    assert writer_of(ledger, caught_up(ledger), "other").write(NOW)
    assert ledger.checkpoints.owner_heartbeat() == 0
    ledger.record_heartbeat("other", NOW)
    assert ledger.checkpoints.owner_heartbeat() == NOW


def test_who_leaves_lets_anybody_write_it_next(ledger: Ledger) -> None:
    ledger.record_heartbeat("other", NOW)
    other, mine = caught_up(ledger), caught_up(ledger)
    assert writer_of(ledger, other, "other").write(NOW, stopping=True)
    assert writer_of(ledger, mine).write(NOW)
    assert states(caught_up(ledger)) == states(mine)


def test_rows_of_two_writers_never_mix(ledger: Ledger) -> None:
    first, second = caught_up(ledger), caught_up(ledger)
    assert writer_of(ledger, first, "first").write(NOW)
    assert writer_of(ledger, second, "second").write(NOW)  # the first was never heard of
    ledger.append([accepted_event(each) for each in runs(1, first=12)])
    first.catch_up()
    assert writer_of(ledger, first, "first").write(NOW)
    again = caught_up(ledger)
    assert again.checkpoint_revision == head(ledger).revision
    assert states(again) == states(first)


class Failing(MemoryLedger):
    """A ledger whose checkpoint cannot be written after so many pages."""

    def __init__(self, pages: int) -> None:
        super().__init__()
        self.pages = pages
        write = self.checkpoints.write_rows

        def failing(
            expected_revision: int, new: Checkpoint, rows: Mapping[str, str | None], *, replace_all: bool = False
        ) -> bool:
            if not self.pages:
                message = "made to fail"
                raise StoreError(message)
            self.pages -= 1
            return write(expected_revision, new, rows, replace_all=replace_all)

        self.checkpoints.write_rows = failing  # type: ignore[method-assign]


@pytest.mark.parametrize("pages", [0, 1])
def test_a_checkpoint_that_was_not_finished_is_passed_over_and_written_again(pages: int) -> None:
    ledger = Failing(pages)
    ledger.append([accepted_event(each) for each in runs(3)])
    projector = caught_up(ledger)
    writer = writer_of(ledger, projector)
    with pytest.raises(StoreError):
        writer.write(NOW)
    assert caught_up(ledger).checkpoint_revision is None
    ledger.pages = 100
    assert writer.write(NOW)
    again = caught_up(ledger)
    assert again.checkpoint_revision == projector.checkpoint_revision
    assert states(again) == states(projector)


def test_somebody_who_was_faster_is_left_alone(ledger: Ledger) -> None:
    projector = caught_up(ledger)
    writer = writer_of(ledger, projector)
    assert writer.write(NOW)
    found = ledger.checkpoints.load_header
    ledger.append([accepted_event(each) for each in runs(1, first=12)])
    projector.catch_up()
    stale = head(ledger)
    overwrite(ledger, {})
    ledger.checkpoints.load_header = lambda: stale  # type: ignore[method-assign]
    assert not writer.write(NOW)
    assert projector.exports.not_checkpointed
    ledger.checkpoints.load_header = found  # type: ignore[method-assign]


def test_with_more_to_write_than_allowed_nothing_is_written(ledger: Ledger) -> None:
    projector = caught_up(ledger)
    assert not writer_of(ledger, projector).write(NOW, max_exports=2)
    assert ledger.checkpoints.load_header() is None
    assert writer_of(ledger, projector).write(NOW, max_exports=3)


def test_a_reader_that_was_replaced_or_is_not_done_is_not_written() -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in runs(3)])
    projectors = [caught_up(ledger), caught_up(ledger)]
    replaced = CheckpointWriter(ledger, "me", threading.Lock(), projectors.pop)
    assert not replaced.write(NOW)
    behind = caught_up(ledger)
    behind.exports.set_retirements({behind.exports.all_keys()[0]: (NOW,)})
    assert not writer_of(ledger, behind).write(NOW)
    assert ledger.checkpoints.load_header() is None
