"""TLS to PostgreSQL, as ``sslmode`` of ``store.url`` asks for it, with a server that has a self-signed certificate."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

import certificates
from builders import accepted_event, at, event
from exporter.domain.errors import StoreRefusedError, StoreUnreachableError
from exporter.ledger.sql.ledger import SqlLedger
from postgres import PASSWORD, USER
from running import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres import Postgres

FIRST = accepted_event(event("initiated", at("0:00")))


@pytest.fixture(scope="module")
def certificate(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the server a certificate for loopback, which is its own root."""
    certificate, key = certificates.make(tmp_path_factory.mktemp("tls"), "server")
    for path in (certificate, key):
        copy = postgres.folder / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        owner = postgres.folder.stat()
        os.chown(copy, owner.st_uid, owner.st_gid)
    switch(postgres, ssl_cert_file=str(postgres.folder / certificate.name))
    switch(postgres, ssl_key_file=str(postgres.folder / key.name))
    return certificate


@pytest.fixture
def root(postgres: Postgres, certificate: Path) -> Iterator[Path]:
    """Switch TLS of the server on, and return the root that verifies its certificate."""
    switch(postgres, ssl="on")
    yield certificate
    switch(postgres, ssl="off")


def switch(postgres: Postgres, **settings: str) -> None:
    """Change settings of the running server."""
    for name, value in settings.items():
        postgres.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        postgres.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda name=name, value=value: postgres.execute("SELECT current_setting(%s)", name) == [(value,)],  # type: ignore[misc]
            f"{name} = {value}",
        )


def connections_by_tls(postgres: Postgres, url: str) -> set[object]:
    """Whether the connections of the exporter to a database are encrypted."""
    database = url.rpartition("/")[2].partition("?")[0]
    rows = postgres.execute(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        "WHERE datname = %s AND application_name = 'dataexport-exporter'",
        database,
    )
    return {encrypted for (encrypted,) in rows}


@pytest.mark.parametrize(
    "query", ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-full&sslrootcert={root}"]
)
def test_events_are_stored_over_an_encrypted_connection(
    postgres: Postgres, postgres_url: str, root: Path, query: str
) -> None:
    with closing(SqlLedger(postgres_url + query.format(root=root))) as ledger:
        assert ledger.append([FIRST]) == [True]
        assert connections_by_tls(postgres, postgres_url) == {True}


def test_without_tls_on_the_server_the_default_of_libpq_is_clear_text(postgres: Postgres, postgres_url: str) -> None:
    with closing(SqlLedger(postgres_url)) as ledger:
        ledger.append([FIRST])
        assert connections_by_tls(postgres, postgres_url) == {False}


WRONG = {
    "another host name": "?host=db.example&hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={root}",
    "another authority": "?sslmode=verify-full&sslrootcert={folder}/other.pem",
    "no root": "?sslmode=verify-ca&sslrootcert={folder}/missing.pem",
}


@pytest.mark.parametrize("query", WRONG.values(), ids=WRONG)
def test_a_server_that_cannot_be_verified_is_refused_and_not_waited_for(
    postgres_url: str, root: Path, tmp_path: Path, query: str
) -> None:
    certificates.make(tmp_path, "other")
    with pytest.raises(
        StoreRefusedError, match="the server answers, but not with the TLS that sslmode asks for"
    ) as found:
        SqlLedger(postgres_url + query.format(root=root, folder=tmp_path))
    assert not isinstance(found.value, StoreUnreachableError)
    assert PASSWORD not in str(found.value)


def test_a_server_without_tls_is_refused_if_it_is_required(postgres_url: str) -> None:
    with pytest.raises(StoreRefusedError, match="not with the TLS that sslmode asks for") as found:
        SqlLedger(f"{postgres_url}?sslmode=require")
    assert not isinstance(found.value, StoreUnreachableError)


def test_tables_are_in_the_schema_that_the_role_has_by_default(postgres: Postgres, postgres_url: str) -> None:
    """``search_path`` of the role names another schema than public."""
    database = postgres_url.rpartition("/")[2]
    role = f"role_{database}"
    with postgres.connect(database) as connection:
        for statement in (
            "CREATE ROLE {role} LOGIN PASSWORD {password}",
            "CREATE SCHEMA exports AUTHORIZATION {role}",
            "ALTER ROLE {role} SET search_path = exports",
        ):
            named = sql.SQL(statement).format(role=sql.Identifier(role), password=sql.Literal(PASSWORD))
            connection.execute(named)
    url = postgres_url.replace(f"//{USER}:", f"//{role}:")
    for new in (True, False):
        with closing(SqlLedger(url)) as ledger:
            assert ledger.append([FIRST]) == [new]
    with postgres.connect(database) as connection:
        rows = connection.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'events'").fetchall()
        assert rows == [("exports",)]
        connection.execute(sql.SQL("ALTER ROLE {} SET search_path = missing").format(sql.Identifier(role)))
    with pytest.raises(StoreRefusedError, match="schema") as found:
        SqlLedger(url)
    assert PASSWORD not in str(found.value)
    with postgres.connect(database) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))
