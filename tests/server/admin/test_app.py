"""The admin listener of the real process: metrics, health, the status page, credentials, and reloading."""

from __future__ import annotations

import base64
import gzip
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from builders import HOUR, body, vendor_clock
from configurations import QUIET_NIGHTLY, SHOP
from running import PATIENCE_SECONDS, Exporter, wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What Prometheus 3 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
HOSTILE = '<script>alert("1")</script>\'&'

CONFIGURATION = f"""{SHOP}{QUIET_NIGHTLY}
owner = "data <team>"
runbook_url = "https://example.org/nightly?a=1&b=2"

[[exports]]
name = "weekly"
source = "quiet"
match = {{ request_id = 7 }}
interval = "7d"
owner = "<i>ops</i>"
"""
RELOADED = "dataexport_config_last_reload_successful"


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with LocalExporter(tmp_path_factory.mktemp("admin"), CONFIGURATION) as running:
        running.post(body(Partner=HOSTILE), "shop")
        running.post(body("Completed", "01/06/2026 1:00:00 AM"), "shop")
        yield running
        assert "Traceback" not in running.log()


def test_metrics_are_text_unless_openmetrics_is_asked_for(exporter: Exporter) -> None:
    plain = exporter.admin("/metrics", headers={"Accept": "text/plain;version=0.0.4"})
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    asked = exporter.admin("/metrics", headers={"Accept": PROMETHEUS})
    assert asked.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert asked.text.endswith("# EOF\n")
    assert "Accept" in asked.headers["Vary"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html,application/xhtml+xml;q=0.9", "text/plain"),
        ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.1", "text/plain"),
        ("application/openmetrics-text;q=0", "text/plain"),
        ("text/plain;version=1.0.0;escaping=dots", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;escaping=dots", "application/openmetrics-text"),
        ("application/openmetrics-text;version=nonsense,;;=,q", "application/openmetrics-text"),
    ],
)
def test_any_wish_is_answered_with_one_of_the_two_formats_and_the_usual_names(
    exporter: Exporter, accept: str, kind: str
) -> None:
    answer = exporter.admin("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert "\ndataexport_store_up 1.0\n" in answer.text
    assert "\ndataexport_deadline_timestamp_seconds{" in answer.text


def test_both_formats_hold_the_same_families(exporter: Exporter) -> None:
    plain = {family.name for family in parse_text(exporter.admin("/metrics", headers={"Accept": ""}).text)}
    asked = exporter.admin("/metrics", headers={"Accept": "application/openmetrics-text"}).text
    families = {family.name for family in parse_openmetrics(asked)}  # type: ignore[no-untyped-call]
    assert families == plain
    assert "dataexport_deadline_timestamp_seconds" in families
    assert "dataexport_store_up" in families
    assert "process_resident_memory_bytes" in families


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_metrics_are_compressed_where_that_is_accepted(exporter: Exporter, accept: str) -> None:
    def lines(encoding: str) -> tuple[str | None, list[str]]:
        answer = exporter.admin(
            "/metrics", headers={"Accept": accept, "Accept-Encoding": encoding}, stream=True, allow_redirects=False
        )
        raw = answer.raw.read(decode_content=False)
        encoded = answer.headers.get("Content-Encoding")
        text = (gzip.decompress(raw) if encoded == "gzip" else raw).decode()
        # Of this process's own metrics, some differ from scrape to scrape.
        return encoded, [line for line in text.splitlines() if line.startswith("#") or 'source="' in line]

    length = int(exporter.admin("/metrics", headers={"Accept-Encoding": "identity"}).headers["Content-Length"])
    assert length > 10_000
    encoded, compressed = lines("gzip")
    assert encoded == "gzip"
    for refusal in ("identity", "gzip;q=0, deflate"):
        assert lines(refusal) == (None, compressed)
    assert any('partner="Amazon S3"' in line for line in compressed)


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
def test_head_is_answered_as_get_without_the_body(exporter: Exporter, path: str) -> None:
    head, get = exporter.admin(path, "HEAD"), exporter.admin(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.content == b""
    assert get.content != b""


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/metrics/anything", "GET", 404),
        ("/metrics", "POST", 405),
        ("/-/reload", "GET", 405),
        ("/nothing", "GET", 404),
    ],
)
def test_what_is_not_there_is_a_problem_document(exporter: Exporter, path: str, method: str, code: int) -> None:
    answer = exporter.admin(path, method)
    assert answer.status_code == code
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == code


def test_declared_exports_and_silent_sources_are_there_at_zero(exporter: Exporter) -> None:
    labels = {"source": "quiet", "export": "nightly", "partner": "Amazon S3", "data_type": "", "frequency": "24h"}
    for name in ("initiated_total", "completed_total", "failed_total", "abandoned_total", "slots", "slots_missed"):
        assert exporter.value(f"dataexport_{name}", **labels) == 0
    assert exporter.value("dataexport_last_completed_timestamp_seconds", **labels) == 0
    assert exporter.value("dataexport_deadline_timestamp_seconds", **labels) != 0
    assert exporter.value("dataexport_run_duration_seconds_count", source="quiet", export="nightly") == 0
    assert exporter.value("dataexport_webhook_events_total", source="quiet", status="completed") == 0
    configured_at = exporter.value("dataexport_source_configured_timestamp_seconds", source="quiet")
    assert configured_at == pytest.approx(time.time(), abs=HOUR)
    assert exporter.value("dataexport_webhook_requests_total", source="quiet", code="200") == 0
    assert exporter.value("dataexport_webhook_auth_failures_total", source="unknown") == 0


def test_the_status_page_lists_every_export_and_escapes_what_senders_wrote(exporter: Exporter) -> None:
    page = exporter.admin("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;&#39;&amp;" in page.text
    assert '<a href="https://example.org/nightly?a=1&amp;b=2">its own</a>' in page.text
    assert "data &lt;team&gt;" in page.text
    assert "&lt;i&gt;ops&lt;/i&gt;" in page.text
    assert "/webhooks/clevertap/quiet" in page.text
    assert "never" in page.text


def test_badges_show_the_state_of_one_export_and_of_all(exporter: Exporter) -> None:
    everything = exporter.admin("/badge.svg")
    assert everything.headers["Content-Type"] == "image/svg+xml; charset=utf-8"
    assert 'aria-label="exports: ' in everything.text
    for export in exporter.admin("/api/v1/exports").json()["exports"]:
        badge = exporter.admin(f"/exports/{export['id']}/badge.svg")
        assert badge.text.count(f": {export['state']}") == 2
    assert exporter.admin("/exports/0123456789abcdef/badge.svg").status_code == 404


def test_the_status_page_names_what_was_wrong_with_a_refused_configuration(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, '[[sources]]\nslug = "shop"\n') as exporter:
        exporter.config_path.write_text('[[sources]]\nslug = "shop"\ntimezone = "<Mars>"\n', "utf-8")
        assert exporter.admin("/-/reload", "POST").status_code == 500
        page = exporter.admin("/").text
        assert "The configuration was refused" in page
        assert "&lt;Mars&gt;" in page
        exporter.config_path.write_text('[[sources]]\nslug = "shop"\n', "utf-8")
        assert exporter.admin("/-/reload", "POST").status_code == 200
        assert "The configuration was refused" not in exporter.admin("/").text


def test_the_status_page_counts_the_deliveries_that_a_source_has_rejected(tmp_path: Path) -> None:
    toml = '[[sources]]\nslug = "shop"\ntokens = ["the-first-token!"]\n[[sources]]\nslug = "other"\n'
    with LocalExporter(tmp_path, toml) as exporter:
        for _ in range(3):
            assert exporter.post(body(), "shop").status_code == 401
        assert exporter.post(body(), "other").status_code == 200
        rows = re.findall(r'<tr id="source-(\w+)">.*?<td class="number">(\d+)</td><td><code>', exporter.admin("/").text)
        assert rows == [("other", "0"), ("shop", "3")]


def test_the_status_page_names_a_clock_that_does_not_fit_its_arrivals(tmp_path: Path) -> None:
    # Texts that are on a UTC clock, again and again, though India's is configured.
    with LocalExporter(tmp_path, '[[sources]]\nslug = "shop"\ntimezone = "Asia/Kolkata"\n') as exporter:
        page = exporter.admin("/").text
        assert "No export is known yet" in page
        links = [link for link in re.findall('(?:href|src)="([^"#]+)"', page) if not link.startswith("https://")]
        assert {"./", "sources", "quarantine", "metrics"} < set(links)
        assert not [link for link in links if link.startswith("/")]  # a proxy may add a path prefix
        for number in range(3):
            exporter.post(body("Completed", vendor_clock(time.time()), number), "shop")
        assert "Arrivals suggest +00:00" in exporter.admin("/").text
        assert exporter.value("dataexport_timezone_suspect", source="shop") == 1


def test_the_status_page_names_a_group_that_several_exports_share(tmp_path: Path) -> None:
    with LocalExporter(tmp_path) as exporter:
        for number in range(7):
            assert "several exports share it" not in exporter.admin("/").text
            exporter.post(body("Completed", vendor_clock(time.time() - number * HOUR), number))
        assert "several exports share it: see doctor" in exporter.admin("/").text


def test_while_the_store_fails_the_status_page_says_so_and_not_that_no_export_is_known(tmp_path: Path) -> None:
    with LocalExporter(tmp_path) as exporter:
        exporter.database.rename(tmp_path / "aside.db")
        page = exporter.admin("/").text
        assert re.search(r"The store fails.</strong> \S+ was removed", page)
        assert "No export is known yet" not in page
        (tmp_path / "aside.db").rename(exporter.database)
        wait_until(lambda: "No export is known yet" in exporter.admin("/").text, "the store is read again")


def test_admin_credentials_guard_everything_but_health(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token-from-a-file\n", "utf-8")
    toml = """
    [server]
    admin_tokens = ["the-first-token!"]
    admin_tokens_file = ["token"]
    admin_basic = { username = "prometheus", password = "the-scrape-password" }
    """
    pair = base64.b64encode(b"prometheus:the-scrape-password").decode()
    with LocalExporter(tmp_path, toml) as exporter:
        for path, method in (("/", "GET"), ("/metrics", "GET"), ("/-/reload", "POST"), ("/nothing", "GET")):
            for shown in ({}, {"Authorization": "Bearer wrong"}):
                answer = exporter.admin(path, method, headers=shown)
                assert answer.status_code == 401
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert "Basic" in answer.headers["WWW-Authenticate"]
        for valid in ("Bearer the-first-token!", "Bearer token-from-a-file", f"Basic {pair}"):
            assert exporter.admin("/metrics", headers={"Authorization": valid}).status_code == 200
        assert exporter.admin("/-/healthy").status_code == 200
        assert exporter.admin("/-/ready").status_code == 200


def test_a_reload_takes_a_good_change_and_keeps_the_old_configuration_over_a_wrong_one(tmp_path: Path) -> None:
    before = '[[sources]]\nslug = "old"\n'
    with LocalExporter(tmp_path, before) as exporter:
        assert exporter.post(body(), "old").status_code == 200
        assert exporter.post(body(), "new").status_code == 404
        since = exporter.value("dataexport_config_last_reload_success_timestamp_seconds")

        exporter.config_path.write_text(before + '[[sources]]\nslug = "new"\ntimezone = "Mars/Olympus"\n', "utf-8")
        refused = exporter.admin("/-/reload", "POST")
        assert refused.status_code == 500
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert "sources[2].timezone" in refused.json()["detail"]
        assert exporter.value(RELOADED) == 0
        assert exporter.value("dataexport_config_last_reload_success_timestamp_seconds") == since
        assert exporter.post(body(), "old").json()["duplicates"] == 1
        assert exporter.post(body(), "new").status_code == 404

        exporter.config_path.write_text(before + '[[sources]]\nslug = "new"\n', "utf-8")
        taken = exporter.admin("/-/reload", "POST")
        assert (taken.status_code, taken.json()) == (200, {"reloaded": True})
        assert exporter.value(RELOADED) == 1
        assert exporter.value("dataexport_webhook_requests_total", source="new", code="200") == 0
        assert exporter.post(body(), "new").json()["accepted"] == 1
        # This process's own counters went on.
        assert exporter.value("dataexport_webhook_requests_total", source="old", code="200") == 2
        assert exporter.value("dataexport_webhook_requests_total", source="unknown", code="404") == 2


def test_sighup_reloads_as_well(tmp_path: Path) -> None:
    good = '[[sources]]\nslug = "shop"\n'
    with LocalExporter(tmp_path, good) as exporter:
        exporter.config_path.write_text("[sources", "utf-8")
        exporter.send_sighup()
        wait_until(lambda: exporter.value(RELOADED) == 0, "the wrong file is refused")
        declared = '[[exports]]\nname = "nightly"\nsource = "shop"\nmatch = { partner = "s3" }\ninterval = "24h"\n'
        exporter.config_path.write_text(good + declared, "utf-8")
        exporter.send_sighup()
        wait_until(lambda: exporter.value(RELOADED) == 1, "the repaired file is taken")
        assert 'export="nightly"' in exporter.scrape()
        assert exporter.post(body(), "shop").json()["accepted"] == 1


def test_a_reload_says_which_settings_wait_for_a_restart(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, '[log]\nlevel = "info"\n') as exporter:
        exporter.config_path.write_text('[log]\nlevel = "error"\n[store]\nurl = "sqlite:///other.db"\n', "utf-8")
        assert exporter.admin("/-/reload", "POST").status_code == 200
        assert "restart_needed" in exporter.log()
        assert '"settings": ["store_url", "log"]' in exporter.log()
        assert not (tmp_path / "other.db").exists()


def test_a_reload_while_the_store_is_away_keeps_the_old_configuration(tmp_path: Path) -> None:
    with LocalExporter(tmp_path) as exporter:
        away = exporter.database.rename(tmp_path / "elsewhere.db")
        refused = exporter.admin("/-/reload", "POST")
        assert refused.status_code == 500
        assert "the store does not answer" in refused.json()["detail"]
        away.rename(exporter.database)
        assert exporter.value(RELOADED) == 0
        assert exporter.admin("/-/reload", "POST").status_code == 200
        assert exporter.value(RELOADED) == 1


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/-/healthy", "/api/v1/exports", "/api/v1/exports?limit=x", "/nothing"]
)
def test_every_response_forbids_browsers_to_run_frame_guess_or_keep_it(exporter: Exporter, path: str) -> None:
    headers = exporter.admin(path).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_browsers_may_keep_the_files_of_the_pages_until_they_change(exporter: Exporter) -> None:
    files = re.findall(r'(?:href|src)="(static/[^"]+)"', exporter.admin("/").text)
    assert [name.partition("?")[0] for name in files] == [
        "static/icon-bad.svg",
        "static/style.css",
        "static/page.js",
    ]
    kinds = []
    for name in files:
        answer = exporter.admin(f"/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        kinds.append(answer.headers["Content-Type"].partition(";")[0])
    assert kinds == ["image/svg+xml", "text/css", "text/javascript"]
    assert exporter.admin("/static/other.css").status_code == 404


def test_without_a_credential_a_web_page_can_neither_read_nor_reload(exporter: Exporter) -> None:
    for path in ("/", "/metrics", "/-/ready", "/api/v1/quarantine"):
        assert exporter.admin(path, headers={"Host": "rebound.example"}).status_code == 403
        assert exporter.admin(path, headers={"Host": "localhost"}).status_code == 200
    before = exporter.value("dataexport_config_last_reload_success_timestamp_seconds")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = exporter.admin("/-/reload", "POST", headers=headers)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert exporter.value("dataexport_config_last_reload_success_timestamp_seconds") == before


def test_a_target_with_raw_or_encoded_bytes_is_no_error_of_ours(exporter: Exporter) -> None:
    assert exporter.admin("/api/v1/events?limit=%ff").status_code == 400
    with socket.create_connection(("127.0.0.1", exporter.admin_port), PATIENCE_SECONDS) as client:
        client.sendall(b"GET /api/v1/events?limit=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    for path in ("/api%2Fv1%2Fexports", "/api/v1%2fexports", "/-%2Fready"):
        assert exporter.admin(path).status_code == 404
    assert exporter.admin("/api/v1/expor%74s").status_code == 200
