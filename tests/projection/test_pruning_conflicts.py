"""Which events that arrive while an export is pruned keep its events from being pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders import SHOP, accepted_event
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger
from pruned import LATE, RETENTION, pruner_of, runs

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def test_an_event_of_the_source_conflicts_up_to_the_last_pruned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = MemoryLedger()
    ledger.append([accepted_event(each) for each in runs(range(500))])
    projector = Projector(ledger, {"shop": SHOP})
    projector.catch_up()
    calls: list[tuple[float, Callable[[str, str, float], bool]]] = []

    def refuse(*arguments: Any) -> bool:  # noqa: ANN401 - those of the method
        _, sequences, _, _, conflicts_with = arguments
        stored = {event.sequence: event for event in ledger.read(0)}
        calls.append((stored[sequences[-1]].occurred_at, conflicts_with))
        return False

    monkeypatch.setattr(ledger.checkpoints, "prune", refuse)
    assert list(pruner_of(ledger, projector).prune(LATE, RETENTION)) == []
    ((last, conflicts_with),) = calls
    assert conflicts_with("shop", "another", last)
    assert not conflicts_with("shop", "another", last + 1)
    assert not conflicts_with("elsewhere", "another", last)
