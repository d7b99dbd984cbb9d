"""A running exporter with a landing shows it everywhere, and one without shows nothing of it."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bucket_server import bucket_server
from builders import fields, vendor_clock
from commands import run
from exporter.cli import landing_checks
from exporter.server.landing import checker
from running import wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """
[[sources]]
slug = "default"
timezone = "UTC"

[[exports]]
name = "nightly"
match = {{ frequency = "4h" }}
{landing}"""
LANDING = 'landing = {{ url = "s3://{bucket}/a/", endpoint = "{url}", region = "us-east-1", anonymous = true }}'


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    """An exporter whose export completed just now, and left 3 files of 1500 bytes."""
    patch = pytest.MonkeyPatch()
    patch.setattr(checker, "TICK_SECONDS", 0.05)
    with bucket_server() as server:
        now = time.time()
        for number in range(3):
            server.put(f"a/{number}", 500, now)
        toml = CONFIG.format(landing=LANDING.format(bucket="exports", url=server.url))
        with LocalExporter(tmp_path_factory.mktemp("landing"), toml) as running:
            assert (
                'export="nightly",frequency="4h",partner="",result="landed",source="default"} 0.0' in running.scrape()
            )
            running.post(fields("Initiated", vendor_clock(now - 600)))
            running.post(fields("Completed", vendor_clock(now)))
            wait_until(lambda: 'result="landed",source="default"} 1.0' in running.scrape(), "the check")
            yield running
    patch.undo()


def test_the_scrape_has_what_was_found(exporter: LocalExporter) -> None:
    text = exporter.scrape()
    labels = 'data_type="",export="nightly",frequency="4h",partner="",source="default"'
    assert f"dataexport_landed_objects{{{labels}}} 3.0" in text
    assert f"dataexport_landed_bytes{{{labels}}} 1500.0" in text
    assert f"dataexport_landing_missing_since_timestamp_seconds{{{labels}}} 0.0" in text
    assert "# TYPE dataexport_landing_checks_total counter" in text


def test_the_api_has_it(exporter: LocalExporter) -> None:
    [export] = exporter.admin("/api/v1/exports").json()["exports"]
    landing = export["landing"]
    assert (landing["result"], landing["objects"], landing["size"]) == ("landed", 3, 1500)
    assert landing["detail"] == "s3://exports/a/"
    assert landing["missing_since"] is None


def test_the_pages_have_it(exporter: LocalExporter) -> None:
    [export] = exporter.admin("/api/v1/exports").json()["exports"]
    assert '<span class="note">landed</span>' in exporter.admin("/").text
    page = exporter.admin(f"/exports/{export['id']}").text
    assert "<dt>Files</dt><dd>landed; 3 files, 1.5 kB, the newest modified " in page
    assert "at <code>s3://exports/a/</code></dd>" in page
    assert "ExportNothingLanded" in page


@pytest.mark.parametrize("from_store", [True, False])
def test_the_commands_have_it(exporter: LocalExporter, *, from_store: bool) -> None:
    url = f"http://127.0.0.1:{exporter.admin_port}"
    place = ("--config", str(exporter.config_path)) if from_store else ("--url", url)
    store = {"DATAEXPORT_STORE_URL": f"sqlite:///{exporter.database}"}
    heading, row = run("exports", *place, **store).stdout.splitlines()
    assert row[heading.index("FILES") :].startswith("landed  ")
    [document] = json.loads(run("exports", "--json", *place, **store).stdout)
    assert document == exporter.admin("/api/v1/exports").json()["exports"][0]
    text = run("explain", "--export", "nightly", *place, **store).stdout
    assert "FILES           landed: 3 files with 1,500 bytes at s3://exports/a/; last looked " in text


def test_the_doctor_tries_the_landing(exporter: LocalExporter) -> None:
    store = {"DATAEXPORT_STORE_URL": f"sqlite:///{exporter.database}"}
    result = run("doctor", "--config", str(exporter.config_path), **store)
    assert "s3://exports/a/ can be listed; the run looked for has landed: 3 files with 1,500 bytes" in result.stdout


def test_the_doctor_tries_a_limited_number(exporter: LocalExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing_checks, "MAX_TRIED", 0)
    store = {"DATAEXPORT_STORE_URL": f"sqlite:///{exporter.database}"}
    output = run("doctor", "--config", str(exporter.config_path), **store).stdout
    assert "landing: 1 further exports with a landing were not tried" in output


def test_the_doctor_names_what_is_missing(exporter: LocalExporter) -> None:
    wrong = exporter.folder / "wrong.toml"
    wrong.write_text(exporter.config_path.read_text("utf-8").replace("s3://exports", "s3://elsewhere"), "utf-8")
    result = run("doctor", "--config", str(wrong), DATAEXPORT_STORE_URL=f"sqlite:///{exporter.database}")
    assert result.exit_code == 1
    assert "s3://elsewhere does not exist; correct landing.url" in result.stdout


def test_without_a_landing_there_is_no_import_no_thread_and_no_series(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)  # an import of it fails
    others = set(threading.enumerate())
    with LocalExporter(tmp_path_factory.mktemp("none"), CONFIG.format(landing="")) as running:
        assert "land" not in running.scrape()
        assert running.admin("/api/v1/exports").json()["exports"][0]["landing"] is None
        assert not {thread.name for thread in set(threading.enumerate()) - others if "landing" in thread.name}
