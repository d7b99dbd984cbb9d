"""Fixtures of several test modules."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from commands import Store
from postgres import PgBouncer, Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# A busy machine must not fail a test, so Hypothesis times neither an example nor the making of one.
# A fixture that all examples of a test share is one that no example changes: a running server, or a folder.
# The examples are other ones every time; a failure prints how to repeat it.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
    derandomize=False,
)
settings.load_profile("untimed")

# What tests write is read by nobody else: files with secrets in them are refused otherwise.
os.umask(0o077)


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own, which is `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(in_a_folder: Path) -> Iterator[Store]:
    """A database in the working folder, where the commands look for it."""
    made = Store(in_a_folder)
    yield made
    made.ledger.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for all tests that neither stop nor configure it; skips where there is none."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A new and empty database in it."""
    name = f"test_{uuid.uuid4().hex}"
    postgres.create(name)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    """A pooler before it, that gives a connection to each transaction."""
    with PgBouncer(postgres) as server:
        yield server


@pytest.fixture
def pooled_url(pooler: PgBouncer, postgres_url: str) -> str:
    """The new database, by way of the pooler."""
    return pooler.url(postgres_url.rpartition("/")[2])
