"""A start waits for what it needs and for nothing else: imports are most of the time that an empty ledger takes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from pathlib import Path

SHOW = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def imported(program: str) -> set[str]:
    """The top-level packages that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{SHOW}"], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


def test_serving_a_ledger_in_sqlite_needs_no_alembic_no_postgresql_and_no_client(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    opened = f"from exporter.ledger.sql.ledger import SqlLedger\nSqlLedger({url!r}).close()"
    start = f"import exporter.cli.commands.serve\n{opened}"
    assert "alembic" in imported(start)  # which makes the tables
    found = imported(start)
    assert {"sqlalchemy", "gunicorn", "flask"} <= found
    assert not {"alembic", "mako", "psycopg", "requests"} & found


ASKING = ("exports", "events", "sources", "quarantine", "mutes", "mute --export a --for 8h --why moved")
HEAVY = {"alembic", "flask", "gunicorn", "prometheus_client", "pydantic", "requests", "sqlalchemy", "structlog"}


@pytest.mark.parametrize(
    ("commands", "needed"),
    [
        (["--help", "exports --help", "mute --help"], set()),
        ([f"{command} --url http://127.0.0.1:1" for command in ASKING], {"requests"}),
        (["send --url http://exporter.invalid/webhooks/clevertap/shop"], {"requests"}),
        (["exports", "mutes"], {"pydantic", "sqlalchemy"}),
        (["healthcheck"], {"pydantic"}),
    ],
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, commands: list[str], needed: set[str]) -> None:
    """Imports are most of the time that a command takes, and of the memory that it needs beside an exporter."""
    SqlLedger(f"sqlite:///{tmp_path}/dataexport.db").close()
    runs = [f"try:\n    main({command.split()!r})\nexcept SystemExit:\n    pass" for command in commands]
    program = [f"import os\nos.chdir({str(tmp_path)!r})", "from exporter.cli.main import main", *runs]
    assert imported("\n".join(program)) & HEAVY == needed
