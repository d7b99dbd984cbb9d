"""A checkpoint is read page by page, whatever their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import checkpoints
from checkpoints import NOW, keeper_of, known_of, states
from exporter.projection import checkpoint_loader

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

ledger, short_memory = checkpoints.ledger, checkpoints.short_memory


@pytest.mark.parametrize("page", [1, 2, 3])
def test_all_pages_are_there_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    assert len(ledger.checkpoints.read_rows("", 100)) > page
    monkeypatch.setattr(checkpoint_loader, "PAGE_SIZE", page)
    again = known_of(ledger)
    assert again.checkpoint_revision == known.checkpoint_revision
    assert states(again) == states(known)
