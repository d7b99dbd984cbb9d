"""A checkpoint is read page by page, whatever their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import checkpoints
from checkpoints import NOW, caught_up, states, writer_of
from exporter.projection import checkpoint_loader

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

ledger, short_memory = checkpoints.ledger, checkpoints.short_memory


@pytest.mark.parametrize("page", [1, 2, 3])
def test_all_pages_are_there_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    projector = caught_up(ledger)
    assert writer_of(ledger, projector).write(NOW)
    assert len(ledger.checkpoints.read_rows("", 100)) > page
    monkeypatch.setattr(checkpoint_loader, "PAGE_SIZE", page)
    again = caught_up(ledger)
    assert again.checkpoint_revision == projector.checkpoint_revision
    assert states(again) == states(projector)
