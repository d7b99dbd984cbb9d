"""A start waits for what it needs and for nothing else: imports are most of the time that an empty ledger takes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

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


def test_a_command_is_imported_only_where_it_is_named(tmp_path: Path) -> None:
    SqlLedger(f"sqlite:///{tmp_path}/ledger.db").close()
    found = imported("from exporter.cli.main import main\nmain(['rules', '--help'], standalone_mode=False)")
    assert "prometheus_client" in found
    assert not {"flask", "gunicorn", "requests"} & found


def test_the_health_check_imports_no_database_and_no_server() -> None:
    """It runs every 30 s, beside an exporter that may have 96 MB for both."""
    found = imported("import exporter.cli.main, exporter.cli.commands.healthcheck")
    assert not {"sqlalchemy", "gunicorn", "flask", "requests", "structlog"} & found
