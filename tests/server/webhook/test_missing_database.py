"""The webhook of the real process when its database is removed or replaced."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders import body
from problem_documents import assert_problem
from running import Exporter, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with Exporter(tmp_path_factory.mktemp("missing")) as running:
        yield running
        assert "Traceback" not in running.log()


def events(exporter: Exporter) -> float:
    return exporter.value("dataexport_webhook_events_total", source="default", status="initiated") or 0.0


def test_a_database_that_is_gone_is_said_and_nothing_is_acknowledged_until_it_is_back(exporter: Exporter) -> None:
    assert exporter.post(body(request_id=1)).status_code == 200
    stored = events(exporter)
    errors = exporter.value("dataexport_store_errors_total", operation="append") or 0.0
    away = exporter.database.rename(exporter.folder / "elsewhere.db")
    for _ in range(2):
        refused = exporter.post(body(request_id=2))
        assert_problem(refused, 503)
        assert int(refused.headers["Retry-After"]) > 0
        ready = exporter.admin("/-/ready")  # which needs no credential
        assert_problem(ready, 503)
        assert str(exporter.folder) not in refused.text + ready.text
        assert_problem(exporter.admin("/metrics"), 503)
        assert exporter.admin("/-/healthy").status_code == 200
        assert "was removed" in exporter.admin("/").text
    away.rename(exporter.database)
    assert exporter.admin("/-/ready").status_code == 200
    # The one that was refused may be there or not; delivered again it is there, once.
    assert exporter.post(body(request_id=2)).status_code == 200
    assert events(exporter) == stored + 1
    assert exporter.value("dataexport_store_errors_total", operation="append") == errors + 2
    assert exporter.value("dataexport_store_up") == 1
    assert str(exporter.folder) in exporter.log()


def test_a_database_that_another_file_took_the_place_of_has_whatever_is_acknowledged(exporter: Exporter) -> None:
    with closing(sqlite3.connect(exporter.database)) as database:
        database.execute("PRAGMA wal_checkpoint")  # or the copy would lack what is only in the log
    content = exporter.database.read_bytes()
    stored = events(exporter)
    exporter.database.unlink()
    exporter.database.write_bytes(content)
    # What may have gone into the lost file is not acknowledged; a heartbeat may have opened the new one already.
    first = exporter.post(body(request_id=3)).status_code
    assert first in {200, 503}
    wait_until(lambda: exporter.admin("/-/ready").status_code == 200, "the other file is opened")
    assert exporter.post(body(request_id=3)).json()["duplicates" if first == 200 else "accepted"] == 1
    assert events(exporter) == stored + 1
