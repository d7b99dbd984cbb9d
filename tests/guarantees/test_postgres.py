"""PostgreSQL fails under a running exporter, which says so, acknowledges nothing, and goes on by itself."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from psycopg import OperationalError

from builders import body
from exporter.ledger.sql.ledger import SqlLedger
from network import Proxy
from postgres import PASSWORD, USER, PgBouncer, Postgres
from refusals import accept, assert_refused, assert_said
from restarts import CONFIGURATION, assert_a_kill_changes_nothing
from running import Exporter, wait_until
from senders import Senders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg import Connection

pytestmark = pytest.mark.proof

STANDBYS = "SELECT sync_state FROM pg_stat_replication"


def stored(exporter: Exporter) -> list[str]:
    """The request ids of all events, in the order of their keys."""
    with closing(SqlLedger(exporter.environment["DATAEXPORT_STORE_URL"])) as ledger:
        return sorted(each.request_id for each in ledger.read(0))


def assert_well(exporter: Exporter, *request_ids: str) -> None:
    """It goes on without a restart, and everything that was acknowledged is there, once."""
    wait_until(lambda: exporter.admin("/-/ready").status_code == 200, "it to be ready")
    assert exporter.value("dataexport_store_up") == 1
    assert stored(exporter) == sorted(request_ids)
    counted = exporter.value("dataexport_webhook_events_total", source="default", status="initiated")
    assert counted == len(request_ids)
    assert "Traceback" not in exporter.log()


@contextmanager
def running(folder: Path, url: str) -> Iterator[Exporter]:
    """An exporter that has acknowledged one event; whatever happens, it tells nobody the password."""
    with Exporter(folder, environment={"DATAEXPORT_STORE_URL": url}, shipped_limits=True) as exporter:
        accept(exporter, "before")
        yield exporter
        assert PASSWORD not in exporter.log()


def test_a_server_that_is_stopped_and_started_again(tmp_path: Path) -> None:
    with Postgres() as server, running(tmp_path, server.url()) as exporter:
        for request_id, stop in (("during", server.stop), ("again", server.kill)):
            stop()
            assert_refused(exporter, request_id)
            assert_said(exporter, readable=False)
            server.start()
            accept(exporter, request_id)
        assert_well(exporter, "before", "during", "again")


def test_a_server_that_hangs(postgres: Postgres, postgres_url: str, tmp_path: Path) -> None:
    with running(tmp_path, postgres_url) as exporter:
        with postgres.paused():
            assert_refused(exporter, "during")
            assert_said(exporter, readable=False)
            assert_refused(exporter, "during")
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


def test_a_network_that_swallows_everything(postgres: Postgres, postgres_url: str, tmp_path: Path) -> None:
    with Proxy(postgres.port) as network:
        url = postgres_url.replace(f":{postgres.port}/", f":{network.port}/")
        with running(tmp_path, url) as exporter:
            with network.hanging():
                assert_refused(exporter, "during")
                assert_said(exporter, readable=False)
                assert_refused(exporter, "during")
            accept(exporter, "during")
            assert_well(exporter, "before", "during")


def take_all(server: Postgres, most: int) -> list[Connection[tuple[object, ...]]]:
    """All connections that a server gives, those of others among them."""
    taken: list[Connection[tuple[object, ...]]] = []
    while len(taken) < most:
        try:
            taken.append(server.connect())
        except OperationalError:
            mine = [each.info.backend_pid for each in taken]
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> ALL(%s)"
            taken[0].execute(end, (USER, mine))
    return taken


def test_a_server_whose_connections_are_all_taken(tmp_path: Path) -> None:
    most = 10
    settings = {"max_connections": most, "superuser_reserved_connections": 0}
    with Postgres(settings) as server, running(tmp_path, server.url()) as exporter:
        taken = take_all(server, most)
        assert_refused(exporter, "during")
        assert_said(exporter, readable=False)
        for each in taken:
            each.close()
        accept(exporter, "during")
        assert_well(exporter, "before", "during")


def follow(primary: Postgres, mode: str) -> None:
    """Wait until the standby follows, as a synchronous one or not."""
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'" if mode == "sync" else "SELECT 1")
    primary.execute("SELECT pg_reload_conf()")
    wait_until(lambda: primary.execute(STANDBYS) == [(mode,)], "the standby to follow")


def either(primary: Postgres, standby: Postgres) -> dict[str, str]:
    """The URL of whichever of the two takes writes."""
    hosts = "&".join(f"host={each.address}" for each in (primary, standby))
    return {"DATAEXPORT_STORE_URL": f"postgresql+psycopg://{USER}:{PASSWORD}@/{USER}?{hosts}"}


def test_a_standby_takes_over_with_everything_that_was_acknowledged(tmp_path: Path) -> None:
    """The exporter goes on without a restart, for it knows both addresses."""
    with Postgres() as primary, Postgres(primary=primary) as standby:
        follow(primary, "sync")
        with Exporter(tmp_path, environment=either(primary, standby), shipped_limits=True) as exporter:
            with Senders([exporter]) as senders:
                senders.wait_for(50)
                primary.kill()
                standby.promote()
                senders.wait_for(50)
            assert exporter.admin("/-/ready").status_code == 200
            kept = stored(exporter)
            assert set(senders.acknowledged) <= set(kept)
            assert len(kept) == len(set(kept))
            assert PASSWORD not in exporter.log()


def test_a_standby_that_nobody_waits_for_takes_over_without_what_it_had_not_heard(tmp_path: Path) -> None:
    """The control of the test above: what is lost is found to be lost."""
    with Postgres() as primary, Postgres(primary=primary) as standby:
        follow(primary, "async")
        with Exporter(tmp_path, environment=either(primary, standby), shipped_limits=True) as exporter:
            with Senders([exporter]) as senders:
                standby.kill()
                senders.wait_for(50)
                primary.kill()
                standby.start()
                standby.promote()
                senders.wait_for(1)
            assert not set(senders.acknowledged) <= set(stored(exporter))


def test_everything_works_through_a_pooler_that_gives_connections_to_transactions(
    postgres: Postgres, postgres_url: str, tmp_path: Path
) -> None:
    with PgBouncer(postgres.port) as pooler:
        url = postgres_url.replace(f":{postgres.port}/", f":{pooler.port}/")
        with Exporter(tmp_path, CONFIGURATION, {"DATAEXPORT_STORE_URL": url}, shipped_limits=True) as exporter:
            assert_a_kill_changes_nothing(exporter)
            pooler.kill()
            assert exporter.post(body(), "shop").status_code == 503
            assert exporter.admin("/-/ready").status_code == 503
            pooler.start()
            wait_until(lambda: exporter.post(body(), "shop").status_code == 200, "the pooler to be used again")


@pytest.mark.parametrize("where", ["no such database", "wrong password"])
def test_no_error_tells_the_password(postgres: Postgres, tmp_path: Path, where: str) -> None:
    url = {
        "no such database": postgres.url("nowhere"),
        "wrong password": postgres.url().replace(PASSWORD, f"{PASSWORD}-wrong"),
    }[where]
    exporter = Exporter(tmp_path, environment={"DATAEXPORT_STORE_URL": url})
    ended = exporter.run("serve")
    assert ended.returncode == 1, ended
    assert "DATAEXPORT_STORE_URL: cannot open postgresql+psycopg://dataexport:***@127.0.0.1:" in ended.stderr
    assert PASSWORD not in ended.stderr + ended.stdout


def test_no_command_tells_the_password(postgres_url: str, tmp_path: Path) -> None:
    with running(tmp_path, postgres_url) as exporter:
        for command, code in (("doctor", 1), ("events", 0)):  # the server of the tests does without fsync
            told = exporter.run(command)
            assert told.returncode == code, told
            assert PASSWORD not in told.stdout + told.stderr
        assert PASSWORD not in exporter.admin("/").text + exporter.scrape()
