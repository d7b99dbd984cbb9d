"""A database server that is away differs from one that refuses: the former is waited for."""

from __future__ import annotations

import socket

import pytest

from exporter.domain.errors import StoreRefusedError, StoreUnreachableError
from exporter.ledger.sql.ledger import SqlLedger
from network import Proxy
from ports import free_port
from postgres import PASSWORD, USER, PgBouncer, Postgres
from running import wait_until


def test_a_server_that_is_away_differs_from_one_that_refuses(postgres_url: str) -> None:
    with pytest.raises(StoreUnreachableError, match="onnection"):
        SqlLedger(f"postgresql+psycopg://somebody@127.0.0.1:{free_port()}/dataexport")
    for wrong in (postgres_url.replace(PASSWORD, "another-password"), f"{postgres_url}_missing"):
        with pytest.raises(StoreRefusedError) as refusal:
            SqlLedger(wrong)
        assert not isinstance(refusal.value, StoreUnreachableError)


@pytest.mark.usefixtures("shipped_limits")
def test_a_server_that_accepts_and_does_not_answer_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreUnreachableError):
        SqlLedger(f"postgresql+psycopg://somebody@127.0.0.1:{silent.getsockname()[1]}/dataexport")


def test_libpq_warns_of_nothing_while_the_server_is_away(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreUnreachableError):
        SqlLedger(f"postgresql+psycopg://somebody@127.0.0.1:{free_port()}/dataexport")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("option", ["sslmode=no", "sslmodus=require"])
def test_an_option_that_libpq_refuses_is_not_waited_for(option: str) -> None:
    with pytest.raises(StoreRefusedError, match=option.partition("=")[0]) as refusal:
        SqlLedger(f"postgresql+psycopg://somebody@127.0.0.1:{free_port()}/dataexport?{option}")
    assert not isinstance(refusal.value, StoreUnreachableError)


@pytest.mark.usefixtures("shipped_limits")
def test_a_pooler_that_reports_a_server_that_is_away_differs_from_one_that_refuses() -> None:
    # It looks up users in its server, and reports after a first attempt that it cannot.
    with PgBouncer(free_port(), {"auth_user": USER}) as pooler:
        unknown_user = pooler.url().replace(USER, "somebody", 1)
        wait_until(lambda: "FATAL" in _refusal(unknown_user), "the report")
        with pytest.raises(StoreUnreachableError, match="server login has been failing"):
            SqlLedger(unknown_user)
        with pytest.raises(StoreRefusedError, match="authentication failed") as refusal:
            SqlLedger(pooler.url().replace(PASSWORD, "another-password"))
        assert not isinstance(refusal.value, StoreUnreachableError)


@pytest.mark.usefixtures("shipped_limits")
def test_a_pooler_whose_server_no_longer_answers_is_not_waited_for_without_end(
    postgres: Postgres, postgres_url: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    with Proxy(postgres.port) as server, PgBouncer(server.port) as pooler:
        SqlLedger(pooler.url(database)).close()
        with server.hanging(), pytest.raises(StoreUnreachableError, match="did not answer in time"):
            SqlLedger(pooler.url(database))


def _refusal(url: str) -> str:
    """Return why a database cannot be opened."""
    try:
        SqlLedger(url).close()
    except StoreRefusedError as error:
        return str(error)
    return ""
