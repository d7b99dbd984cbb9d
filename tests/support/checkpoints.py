"""Ledgers, projectors and checkpoint writers for the tests of checkpoints."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, SHOP, accepted_event, at, event
from databases import new_ledger
from exporter.projection import checkpoint_writer
from exporter.projection import projector as projector_module
from exporter.projection.checkpoint_writer import CheckpointWriter
from exporter.projection.fold import exports
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from exporter.domain.events import Event
    from exporter.domain.exports import Declaration, Source
    from exporter.domain.states import ExportState
    from exporter.ledger.checkpoint_store import Checkpoint
    from exporter.ledger.contract import Ledger


NOW = at("12:00")


@pytest.fixture(autouse=True)
def short_memory() -> Iterator[None]:
    """Make caches and pages so small that a few events exceed them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "MAX_CACHED_IDS", 2)
        patch.setattr(projector_module, "PAGE_SIZE", 3)
        patch.setattr(checkpoint_writer, "PAGE_SIZE", 2)
        yield


def writer_of(ledger: Ledger, projector: Projector, owner: str = "me") -> CheckpointWriter:
    return CheckpointWriter(ledger, owner, threading.Lock(), lambda: projector)


def runs(count: int, source: str = "shop", first: int = 0) -> list[Event]:
    return [
        event(status, at("0:00") + run * 4 * HOUR + late, request_id=request_id, source=source)
        for run in range(first, first + count)
        for request_id in ("one", "two", "three")
        for status, late in (("initiated", 0), ("completed", 600))
    ]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])  # the tests of ledgers compare the drivers of SQLite
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    ledger: Ledger = MemoryLedger() if request.param == "memory" else new_ledger(request, tmp_path)
    ledger.append([accepted_event(run_event) for run_event in runs(12)])
    yield ledger
    ledger.close()


def caught_up(
    ledger: Ledger, sources: Mapping[str, Source] | None = None, declarations: Sequence[Declaration] = ()
) -> Projector:
    projector = Projector(ledger, sources or {"shop": SHOP}, declarations)
    projector.catch_up()
    return projector


def states(projector: Projector) -> list[ExportState]:
    return projector.list_states(at("12:00", day=3))


def head(ledger: Ledger) -> Checkpoint:
    found = ledger.checkpoints.load_header()
    assert found is not None
    return found


def overwrite(ledger: Ledger, rows: Mapping[str, str | None], **changes: object) -> None:
    old = head(ledger)
    new = replace(old, revision=old.revision + 1, **changes)  # type: ignore[arg-type]
    assert ledger.checkpoints.write_rows(old.revision, new, rows)
