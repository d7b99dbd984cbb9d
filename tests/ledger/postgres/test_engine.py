"""What only PostgreSQL asks of a ledger: replicas that open at once, connections that are dropped, waits that end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

from builders import HOUR, accepted_event, at, event
from databases import compare_indexes_of
from exporter.domain.errors import StoreError, StoreRefusedError
from exporter.ledger.schema import postgres_metadata, tables_metadata
from exporter.ledger.sql.ledger import SqlLedger
from ports import free_port
from postgres import PASSWORD, USER, Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = accepted_event(event("initiated", at("0:00")))
SECOND = accepted_event(event("completed", at("0:10")))


@pytest.fixture
def ledger(postgres_url: str) -> Iterator[SqlLedger]:
    with closing(SqlLedger(postgres_url)) as made:
        yield made


def database(url: str) -> str:
    return url.rpartition("/")[2]


def test_the_migrated_tables_are_those_of_the_schema(ledger: SqlLedger, postgres_url: str) -> None:
    everything = MetaData()
    for table in (*tables_metadata.tables.values(), *postgres_metadata.tables.values()):
        table.to_metadata(everything)
    ledger.append([FIRST])
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_object": compare_indexes_of("postgresql")}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, everything) == []
    engine.dispose()


def test_replicas_that_start_at_the_same_moment_all_start(postgres_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(lambda _: SqlLedger(postgres_url), range(8)))
    assert len({each.ledger_id() for each in ledgers}) == 1
    for each in ledgers:
        each.close()


def test_a_reader_of_two_writers_passes_nothing_by(postgres_url: str) -> None:
    """Both deliver the same, too, so that some of what each inserts is there already."""
    done = threading.Event()
    with closing(SqlLedger(postgres_url)) as one, closing(SqlLedger(postgres_url)) as other:

        def deliver(ledger: SqlLedger, name: str) -> list[bool]:
            new = []
            for n in range(60):
                both, own = (event("initiated", at("0:00") + n * HOUR, request_id=each) for each in ("both", name))
                new += ledger.append([accepted_event(both), accepted_event(own)])
            return new

        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(deliver, one, "one"), pool.submit(deliver, other, "other")]
            answers[0].add_done_callback(lambda _: answers[1].add_done_callback(lambda _: done.set()))
            tail = one.read(0)
            while not done.is_set():
                tail += one.read(tail[-1].sequence if tail else 0)
            tail += one.read(tail[-1].sequence)
        assert [each.sequence for each in tail] == list(range(1, 181))
        assert tail == other.read(0)
        assert sum(map(sum, (each.result() for each in answers))) == 180
        assert one.delivery_counters()[0].count == 60


def test_a_connection_that_was_dropped_is_replaced_unseen(
    ledger: SqlLedger, postgres: Postgres, postgres_url: str
) -> None:
    ledger.append([FIRST])
    ended = postgres.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", database(postgres_url)
    )
    assert (True,) in ended
    assert ledger.append([SECOND]) == [True]
    assert len(ledger.read(0)) == 2


@pytest.mark.usefixtures("shipped_limits")
def test_a_server_that_does_not_answer_is_an_error_and_then_none(ledger: SqlLedger, postgres: Postgres) -> None:
    ledger.append([FIRST])
    with postgres.paused():
        for _ in range(2):  # over a connection that is there, and over a new one
            with pytest.raises(StoreError, match=r"did not answer in time|timeout expired"):
                ledger.append([SECOND])
    assert ledger.append([SECOND]) in ([True], [False])
    assert len(ledger.read(0)) == 2


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_store_every_name_is_refused(postgres: Postgres, encoding: str) -> None:
    name = f"test_{encoding.lower()}"
    postgres.create(name, encoding)
    try:
        with pytest.raises(StoreRefusedError) as refusal:
            SqlLedger(postgres.url(name))
    finally:
        postgres.drop(name)
    assert str(refusal.value) == (
        f"store.url: the database has the encoding {encoding}; create it with UTF8, as createdb --encoding=UTF8"
        " --template=template0 does"
    )


@pytest.mark.usefixtures("shipped_limits")
def test_a_lock_that_somebody_holds_is_an_error_that_keeps_nothing(
    ledger: SqlLedger, postgres: Postgres, postgres_url: str
) -> None:
    with postgres.connect(database(postgres_url)) as other, other.transaction():
        other.execute("SELECT * FROM sequence_heads FOR UPDATE")
        with pytest.raises(StoreError, match="timeout"):
            ledger.append([FIRST])
    assert ledger.read(0) == []
    assert ledger.append([FIRST]) == [True]


def test_it_says_what_may_lose_events(ledger: SqlLedger) -> None:
    """The server of the tests does without fsync."""
    wrong = [text for fine, text in ledger.checks() if not fine]
    assert wrong == ["PostgreSQL: fsync = off, without which what was acknowledged may be lost"]
    assert any("synchronous standbys: none" in text for _, text in ledger.checks())


def test_of_several_addresses_the_one_that_takes_writes_is_used(postgres: Postgres, postgres_url: str) -> None:
    hosts = f"host=127.0.0.1:{free_port()}&host={postgres.address}"
    with closing(SqlLedger(f"postgresql+psycopg://{USER}:{PASSWORD}@/{database(postgres_url)}?{hosts}")) as ledger:
        assert ledger.append([FIRST]) == [True]


@pytest.mark.parametrize(
    "wrong",
    [
        f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{{port}}/{USER}",
        f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{{port}}/{USER}?no_such_option=1",
        f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:port/{USER}",
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_the_password(wrong: str) -> None:
    with pytest.raises(StoreRefusedError, match=r"store\.url") as refused:
        SqlLedger(wrong.format(port=free_port()))
    assert PASSWORD not in str(refused.value)
