"""Ledgers and pruners for the tests of retention."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, at, event
from databases import new_ledger
from exporter.projection.retention import Pruner
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.domain.events import Event
    from exporter.domain.states import ExportState
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector


RETENTION = 400 * DAY
LATE = at("0:00", day=500)


def pruner_of(ledger: Ledger, projector: Projector) -> Pruner:
    def caught_up() -> Projector:
        projector.catch_up()
        return projector

    return Pruner(ledger, threading.Lock(), caught_up)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])  # the tests of ledgers compare the drivers of SQLite
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    ledger: Ledger = MemoryLedger() if request.param == "memory" else new_ledger(request, tmp_path)
    yield ledger
    ledger.close()


def runs(days: Sequence[int], request_id: str = "one") -> list[Event]:
    return [
        event(status, at("0:00", day) + late, request_id=request_id, frequency="24h")
        for day in days
        for status, late in (("initiated", 0), ("completed", 600))
    ]


def states(projector: Projector) -> list[ExportState]:
    return projector.list_states(LATE + 12 * HOUR)


def pruned_by(ledger: Ledger, projector: Projector, now: float = LATE) -> int:
    """Prune the ledger; return how many events and quarantined bodies were removed."""
    return sum(pruner_of(ledger, projector).prune(now, RETENTION))
