"""Fixtures that several test modules use."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from commands import Store
from exporter.ledger.sql.ledger import SqlLedger
from patient import sitecustomize as patient
from postgres import PgBouncer, Postgres
from tools import PROVING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# A busy machine must not fail a test, so Hypothesis times neither an example nor its generation.
# All examples of a test share its function-scoped fixtures: a running server or a folder, which no example changes.
# The examples differ from run to run; a failure prints how to repeat it.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
    derandomize=False,
)
settings.load_profile("untimed")
if not PROVING:
    # Hypothesis parses every module of this project for constants to draw, which takes ten seconds of CPU in each
    # worker of a fresh clone. `make prove` draws them.
    providers._get_local_constants = lambda: providers._local_constants  # noqa: SLF001 - there is no setting for it

# A thread that an earlier test left may log at any time: not into the output of a command that a test looks at.
# Without the default renderer, which draws each traceback with all local variables and takes seconds for it.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
)

# A run in the background ignores them, and so would the commands that tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Only this user may read what tests write: the exporter refuses secrets in files that others can read.
os.umask(0o077)


@pytest.fixture
def shipped_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the time limits that `patient` has raised in this process, for a test of such a limit."""
    for name in patient.RAISED:
        importlib.import_module(name)
    for (module, name), limit in patient.SHIPPED.items():
        monkeypatch.setattr(sys.modules[module], name, limit)


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(in_a_folder: Path) -> Iterator[Store]:
    """Create a database in the working folder, where the commands look for it."""
    store = Store(in_a_folder)
    yield store
    store.ledger.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL server for all tests that neither stop nor configure it; skips if there is none."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """Create an empty database on that server, and drop it afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    postgres.create(name)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def migrated_database(postgres: Postgres) -> str:
    """Create a database with the tables of a ledger, and return its name."""
    postgres.create("migrated")
    SqlLedger(postgres.url("migrated")).close()
    postgres.save_rows("migrated")
    return "migrated"


@pytest.fixture
def migrated_url(postgres: Postgres, migrated_database: str) -> str:
    """Empty that database, for a test that changes only rows."""
    postgres.restore_rows(migrated_database)
    return postgres.url(migrated_database)


@pytest.fixture(scope="session")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    """Start a pgbouncer in front of that server."""
    with PgBouncer(postgres.port) as server:
        yield server


@pytest.fixture
def pooled_url(pooler: PgBouncer, migrated_url: str) -> str:
    """Return the URL of the database with the tables of a ledger through pgbouncer."""
    return pooler.url(migrated_url.rpartition("/")[2])
