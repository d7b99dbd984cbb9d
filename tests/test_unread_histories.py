"""After a start most of what is stored is not read, and what is then found unreadable changes nothing that is told."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import test_kept_text
from builders import DAY, at, event, received
from exporter import checkpoint, snapshot
from exporter.errors import UnreadableError
from exporter.histories import Histories
from exporter.history import History
from exporter.keeping import Keeper
from exporter.model import ExportKey, Terms
from exporter.read_model import ReadModel, Scope
from exporter.state import RECOGNISED
from test_kept_text import NOW, USUAL, Process, stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from memory_ledger import MemoryLedger

ledger = test_kept_text.ledger

ONE, TWO = (ExportKey("shop", RECOGNISED, name) for name in "12")


def promise(interval: int) -> Terms:
    return Terms(interval, 0, 0, None)


class Row:
    """A stored history."""

    def __init__(self, *, readable: bool = True) -> None:
        self.readable = readable
        self.read = 0

    def restore(self, history: History) -> None:
        self.read += 1
        if not self.readable:
            message = "made to fail"
            raise UnreadableError(message)
        history.members = 7


@pytest.fixture
def histories() -> Histories:
    return Histories(lambda _: History(promise))


def test_a_stored_history_is_there_before_it_is_read_and_read_once(histories: Histories) -> None:
    row = Row()
    histories.keep(ONE, row)
    assert ONE in histories
    assert TWO not in histories
    assert list(histories) == [ONE]
    assert len(histories) == 1
    assert row.read == 0
    assert histories[ONE].members == 7
    histories.make_all()
    assert histories[ONE] is histories.get(ONE)
    assert row.read == 1


def test_what_is_set_or_gone_is_not_read(histories: Histories) -> None:
    rows = Row(), Row()
    for key, row in zip((ONE, TWO), rows, strict=True):
        histories.keep(key, row)
    histories[ONE] = made = History(promise)
    del histories[TWO]
    histories.make_all()
    assert dict(histories) == {ONE: made}
    assert [row.read for row in rows] == [0, 0]


def test_what_could_not_be_read_is_asked_for_again(histories: Histories) -> None:
    row = Row(readable=False)
    histories.keep(ONE, row)
    for _ in range(2):
        with pytest.raises(UnreadableError):
            histories.make_all()
    row.readable = True
    histories.make_all()
    assert histories[ONE].members == 7


def made(process: Process) -> set[str]:
    """The exports whose history was made."""
    found = process.reader.exports._histories._found  # noqa: SLF001 - to ask would make them
    return {key.name for key, history in found.items() if isinstance(history, History)}


def test_a_start_makes_the_histories_of_what_changed_and_no_others(ledger: MemoryLedger) -> None:
    stopped(ledger)
    again = Process(ledger, USUAL, NOW)
    assert made(again) == set()
    ledger.append([received(event("initiated", NOW, request_id="2", partner="nightly"))])
    again.collector.refresh(NOW)
    assert made(again) == {"nightly"}
    assert again.shown() == again.expected(NOW)
    again.reader.shown()
    assert made(again) == {key.name for key in again.reader.exports.all()}


def test_what_was_not_read_is_kept_at_the_next_stop(ledger: MemoryLedger) -> None:
    stopped(ledger)
    rows = dict(ledger.folds.kept)
    Process(ledger, USUAL, NOW).stop(NOW)
    assert ledger.folds.kept == rows
    third = Process(ledger, USUAL, NOW)
    assert made(third) == set()
    assert third.shown() == third.expected(NOW)


def without_a_figure(told: list[Any]) -> None:
    told[3].pop()


def without_figures(told: list[Any]) -> None:
    told[3] = None


def with_more(told: list[Any]) -> None:
    told.append(0)


START = at("9:00", day=9)


def look(process: Process) -> None:
    process.reader.states(START)
    assert process.reader.saved is None
    assert [process.reader.refresh(), process.reader.refresh()] == [True, False]


def wait(process: Process) -> None:
    process.collector.refresh(START + DAY)
    assert process.reader.saved is None


def write(process: Process) -> None:
    process.reader.saved = None  # as if another process had written it meanwhile
    assert Keeper(process.ledger, "another", threading.Lock(), lambda: process.reader).write(START)


def prune(process: Process) -> None:
    model = ReadModel(process.ledger, Scope(process.configured.sources, process.configured.declarations, 50, DAY))
    assert model.catch_up(START).from_checkpoint
    assert model.prune(START) == 0  # no export has so many events that any would go


@pytest.mark.parametrize("ask", [look, wait, write, prune])
@pytest.mark.parametrize("damage", [without_a_figure, without_figures, with_more])
def test_a_row_whose_checksum_holds_and_whose_figures_are_none_is_survived(
    ledger: MemoryLedger, damage: Callable[[list[Any]], None], ask: Callable[[Process], None]
) -> None:
    stopped(ledger, START)
    row = checkpoint.export_row(ExportKey("shop", RECOGNISED, "1"))
    first, rest = snapshot.opened(ledger.folds.kept[row]).split("\n")
    told = json.loads(first)
    damage(told)
    ledger.folds.kept[row] = snapshot.sealed(f"{json.dumps(told)}\n{rest}")
    again = Process(ledger, USUAL, START)
    assert again.reader.saved is not None
    ask(again)
    later = START + DAY
    again.collector.refresh(later)
    assert again.shown() == again.expected(later)


def test_an_event_of_what_cannot_be_read_is_counted_once(ledger: MemoryLedger) -> None:
    stopped(ledger)
    row = checkpoint.export_row(ExportKey("shop", RECOGNISED, "1"))
    ledger.folds.kept[row] = snapshot.sealed("no json")
    again = Process(ledger, USUAL, NOW)
    ledger.append([received(event("initiated", NOW, request_id="1", partner="GCS"))])
    again.collector.refresh(NOW)
    assert again.shown() == again.expected(NOW)
    assert again.reader.saved is None
