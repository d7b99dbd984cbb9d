"""A fixture that runs a test on every implementation of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from databases import SQLITE_DRIVERS, new_ledger
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.ledger.contract import Ledger


@pytest.fixture(params=["memory", *SQLITE_DRIVERS, "postgresql", "pgbouncer"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    ledger: Ledger = MemoryLedger() if request.param == "memory" else new_ledger(request, tmp_path)
    yield ledger
    ledger.close()
