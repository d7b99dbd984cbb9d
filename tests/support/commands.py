"""Runs commands in the test process, and fills a database for them as an exporter would have."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

import structlog
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
    """Run a command in this process, and leave this process's logging as it was.

    Args:
        arguments: of the command line.
        environment: variables in addition to those of this process.
    """
    root, of_structlog = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    try:
        result = CliRunner(env=environment).invoke(main, arguments)
    finally:
        structlog.configure(**of_structlog)
        root.handlers, root.level = handlers, level
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def error_output(result: Result, code: int) -> str:
    """Return what a failed command wrote to standard error, which must not be a traceback.

    Args:
        result: of the command.
        code: the expected exit code.
    """
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


class Store:
    """A SQLite database with the events of one source, as an exporter would have left it."""

    def __init__(self, tmp_path: Path, timezone: str = "UTC", slug: str = "default") -> None:
        self.path = tmp_path / "dataexport.db"
        self.source = Source(slug, timezone, load_zone(timezone))
        self.ledger = SqlLedger(f"sqlite:///{self.path}")
        self._intake = Intake(self.ledger, 65536)

    def deliver(self, status: str, ago: float, request_id: object = 1700000001, **changes: object) -> None:
        """Store an event that happened and arrived ``ago`` seconds ago, with its local time in UTC."""
        moment = time.time() - ago
        self._intake.ingest(self.source, body(status, vendor_clock(moment), request_id, **changes), moment)

    def arrive(self, sent: bytes, arrived_at: float) -> None:
        """Store a body that arrived at an instant in the past."""
        self._intake.ingest(self.source, sent, arrived_at)

    def take(self, sent: bytes) -> None:
        """Store a body that arrives now."""
        self._intake.ingest(self.source, sent, time.time())


def columns(result: Result) -> list[list[str]]:
    """Return the cells of each line of a table."""
    assert result.exit_code == 0, result.output
    return [re.split(r"  +", line) for line in result.stdout.splitlines()]
