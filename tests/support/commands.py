"""The command line as tests call it, and a database as an exporter would have left it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from click.testing import CliRunner

from builders import body, vendor_clock
from exporter.cli.main import main
from exporter.domain.event_time import load_zone
from exporter.domain.exports import Source
from exporter.ingest.intake import Intake
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, arguments)


def said(result: Result, code: int) -> str:
    """What is on standard error of a command that failed, and never a traceback."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


class Store:
    """A database as an exporter would have left it."""

    def __init__(self, tmp_path: Path, timezone: str = "UTC", slug: str = "default") -> None:
        self.path = tmp_path / "dataexport.db"
        self.source = Source(slug, timezone, load_zone(timezone))
        self.ledger = SqlLedger(f"sqlite:///{self.path}")
        self._intake = Intake(self.ledger, 65536)

    def deliver(self, status: str, ago: float, request_id: object = 1700000001, **changes: object) -> None:
        """A body whose text is on a UTC clock, and that arrives as it happens."""
        moment = time.time() - ago
        self._intake.ingest(self.source, body(status, vendor_clock(moment), request_id, **changes), moment)

    def arrive(self, sent: bytes, arrived_at: float) -> None:
        """A body that came at a time of old."""
        self._intake.ingest(self.source, sent, arrived_at)

    def take(self, sent: bytes) -> None:
        self._intake.ingest(self.source, sent, time.time())


def columns(result: Result) -> list[list[str]]:
    """The cells of a table, by line."""
    assert result.exit_code == 0, result.output
    return [re.split(r"  +", line) for line in result.stdout.splitlines()]
