"""The made-up fleet of the pictures and the browser tests."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import made_up_fleet
from builders import HOUR
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from pathlib import Path

SLOW_START = 600
"""How long a crowded machine may need, in seconds, until the exporter has started."""


def test_a_slow_start_adds_no_outage_to_the_fleet(tmp_path: Path) -> None:
    now = 1_800_000_000
    database = tmp_path / "dataexport.db"
    with closing(SqlLedger(f"sqlite:///{database}")) as ledger:
        made_up_fleet.write_heartbeats(database, now)
        ledger.record_heartbeat("started late", now + SLOW_START)
        hours_ago = [((now - outage.ended_at) / HOUR, (now - outage.began_at) / HOUR) for outage in ledger.outages()]
    assert hours_ago == [pytest.approx(made_up_fleet.OUTAGE)]
