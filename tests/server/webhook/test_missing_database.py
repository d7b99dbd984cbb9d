"""The webhook of the real process when its database is removed or replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import body
from problem_documents import assert_problem
from running import Exporter, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_database_that_is_gone_is_said_and_nothing_is_acknowledged_until_it_is_back(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        assert exporter.post(body(request_id=1)).status_code == 200
        away = exporter.database.rename(tmp_path / "elsewhere.db")
        for _ in range(2):
            refused = exporter.post(body(request_id=2))
            assert_problem(refused, 503)
            assert int(refused.headers["Retry-After"]) > 0
            ready = exporter.admin("/-/ready")  # which needs no credential
            assert_problem(ready, 503)
            assert str(tmp_path) not in refused.text + ready.text
            assert_problem(exporter.admin("/metrics"), 503)
            assert exporter.admin("/-/healthy").status_code == 200
            assert "was removed" in exporter.admin("/").text
        away.rename(exporter.database)
        assert exporter.admin("/-/ready").status_code == 200
        # The one that was refused may be there or not; delivered again it is there, once.
        assert exporter.post(body(request_id=2)).status_code == 200
        assert exporter.value("dataexport_webhook_events_total", source="default", status="initiated") == 2
        assert exporter.value("dataexport_store_errors_total", operation="append") == 2
        assert exporter.value("dataexport_store_up") == 1
        assert str(tmp_path) in exporter.log()
        assert "Traceback" not in exporter.log()


def test_a_database_that_another_file_took_the_place_of_has_whatever_is_acknowledged(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        content = exporter.database.read_bytes()
        exporter.database.unlink()
        exporter.database.write_bytes(content)
        # What may have gone into the lost file is not acknowledged; a heartbeat may have opened the new one already.
        first = exporter.post(body()).status_code
        assert first in {200, 503}
        wait_until(lambda: exporter.admin("/-/ready").status_code == 200, "the other file is opened")
        assert exporter.post(body()).json()["duplicates" if first == 200 else "accepted"] == 1
        assert exporter.value("dataexport_webhook_events_total", source="default", status="initiated") == 1
