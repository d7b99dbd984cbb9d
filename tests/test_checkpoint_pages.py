"""A checkpoint is read page by page, the next ones ahead, by threads that take turns as often as that needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import test_checkpoint
from exporter import checkpoint
from test_checkpoint import NOW, keeper_of, known_of, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.ledger import Ledger

ledger, short_memory = test_checkpoint.ledger, test_checkpoint.short_memory


@pytest.fixture(params=[0.005, 0.00005], ids=["in python's time", "in a worker's"])
def handover(request: pytest.FixtureRequest) -> Iterator[float]:
    """After how long threads hand over to others."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield sys.getswitchinterval()
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_pages_read_ahead_are_all_there_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, page: int, handover: float
) -> None:
    known = known_of(ledger)
    assert keeper_of(ledger, known).write(NOW)
    assert len(ledger.folds.rows("", 100)) > page
    monkeypatch.setattr(checkpoint, "PAGE", page)
    again = known_of(ledger)
    assert again.saved == known.saved
    assert states(again) == states(known)
    assert sys.getswitchinterval() == handover
