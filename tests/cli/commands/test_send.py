"""`send`: one made-up event, as CleverTap would post it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from builders import vendor_clock
from commands import error_output, run
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from requests_mock import Mocker
    from requests_mock.adapter import _Matcher


pytestmark = pytest.mark.usefixtures("in_a_folder")


URL = "http://exporter.example:8080/webhooks/clevertap/shop"


@pytest.mark.usefixtures("shipped_limits")
def test_send_posts_what_clevertap_would(requests_mock: Mocker) -> None:
    requests_mock.post(URL, text='{"accepted":1}\n')
    options = ["--initiated", "--partner", "Google Cloud Storage", "--data-type", "Profiles", "--frequency", "One Time"]
    result = run("send", "--url", URL, *options, "--request-id", "1690283492", "--at", "2023-07-25T16:50:52")
    assert (result.exit_code, result.stdout) == (0, '200 {"accepted":1}\n')
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.json() == {
        "Export Request Id": 1690283492,
        "Partner": "Google Cloud Storage",
        "Type": "Profiles",
        "Status": "Initiated",
        "Frequency": "One Time",
        "Date and Time": "25/07/2023 4:50:52 PM",
    }
    assert requests_mock.last_request.headers["Content-Type"] == "application/json"
    assert "Authorization" not in requests_mock.last_request.headers
    assert requests_mock.last_request.timeout == 3


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-01-02T00:05:09", "02/01/2026 12:05:09 AM"),
        ("2026-12-31T12:00:00", "31/12/2026 12:00:00 PM"),
        ("2026-12-31T11:59:59", "31/12/2026 11:59:59 AM"),
    ],
)
def test_send_writes_the_twelve_hour_clock(requests_mock: Mocker, at: str, text: str) -> None:
    requests_mock.post(URL)
    assert run("send", "--url", URL, "--at", at).exit_code == 0
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.json()["Date and Time"] == text


def test_send_means_a_completed_event_now_unless_told_otherwise(requests_mock: Mocker) -> None:
    requests_mock.post(URL)
    before = time.time()
    assert run("send", "--url", URL, "--request-id", "a-7").exit_code == 0
    assert requests_mock.last_request is not None
    sent = requests_mock.last_request.json()
    assert (sent["Status"], sent["Export Request Id"]) == ("Completed", "a-7")
    assert sent["Date and Time"] in {vendor_clock(before + seconds) for seconds in range(60)}


def test_send_makes_the_test_call(requests_mock: Mocker) -> None:
    requests_mock.post(URL, text='{"test":true}')
    assert run("send", "--url", URL, "--test-call").stdout == '200 {"test":true}\n'
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.json()["is_test"] is True
    assert "Partner" not in requests_mock.last_request.json()


def test_send_shows_the_token_of_a_file(requests_mock: Mocker, tmp_path: Path) -> None:
    requests_mock.post(URL)
    (tmp_path / "token").write_text("secret\n", "utf-8")
    assert run("send", "--url", URL, "--token-file", str(tmp_path / "token")).exit_code == 0
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.headers["Authorization"] == "Bearer secret"


@pytest.mark.usefixtures("shipped_limits")
def test_send_fails_where_nobody_answers_in_time_or_not_with_200(requests_mock: Mocker) -> None:
    requests_mock.post(URL, exc=requests.exceptions.ReadTimeout("timed out"))
    sentence = f"error: --url {URL}: no answer within 3 s; is a firewall or a proxy in between?\n"
    assert error_output(run("send", "--url", URL, "--timezone", "UTC"), 1) == sentence
    for status, advice in (
        (401, "the token is not one of this source; give the file that tokens_file names"),
        (405, "the path is not that of a webhook; it ends in /webhooks/VENDOR/SOURCE"),
        (500, "an exporter does not answer that; check the URL and the proxy"),
    ):
        requests_mock.post(URL, status_code=status, text=f'{{"status": {status}}}')
        sentence = f"error: --url {URL}: the answer is {status}: {advice}\n"
        assert error_output(run("send", "--url", URL, "--timezone", "UTC"), 1) == sentence


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--at", "yesterday"),
        ("--at", "2026-12-31T16:50:52Z"),
        ("--url", "nonsense"),
        ("--url", "http://[::1"),
        ("--timezone", "Mars"),
        ("--admin-token-file", "missing"),
        ("--token-file", "missing"),
        ("--token-file", "binary"),
        ("--token-file", "wide"),
    ],
)
def test_send_names_the_option_that_is_wrong(tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "wide").write_text("☃", "utf-8")
    sentence = error_output(run("send", option, value), 1)
    *notes, last = sentence.splitlines()
    assert last.startswith(f"error: {option}")
    assert all(note.startswith("note: ") for note in notes)


def test_what_is_sent_arrives_at_a_running_exporter(tmp_path: Path) -> None:
    sources = '[[sources]]\nslug = "shop"\ntokens = ["the-right-token!"]\n'
    (tmp_path / "right").write_text("the-right-token!\n", "utf-8")
    with LocalExporter(tmp_path, sources) as exporter:
        options = ["send", "--timezone", "UTC", "--url", f"{exporter.webhook_url}/webhooks/clevertap/shop"]
        refused = exporter.run(*options)
        assert refused.returncode == 1
        assert "the answer is 401: the token is not one of this source" in refused.stderr
        sent = exporter.run(*options, "--token-file", "right")
        assert (sent.returncode, sent.stdout[:5]) == (0, "200 {")
        assert exporter.value("dataexport_webhook_events_total", source="shop", status="completed") == 1


ADMIN = "http://admin.example:10047"


@pytest.mark.parametrize(
    ("sources", "zone"),
    [([{"slug": "shop", "timezone": "Asia/Kolkata"}], 19800), ([{"slug": "shop", "timezone": "auto"}], 0)],
)
def test_send_writes_the_local_time_of_the_source(
    requests_mock: Mocker, tmp_path: Path, sources: list[dict[str, str]], zone: int
) -> None:
    requests_mock.post(URL)
    requests_mock.get(f"{ADMIN}/api/v1/sources", json={"sources": sources})
    (tmp_path / "token").write_text("# admin\nthe-admin-token!\n", "utf-8")
    before = time.time() + zone
    result = run("send", "--url", URL, "--admin-url", f"{ADMIN}/", "--admin-token-file", str(tmp_path / "token"))
    assert (result.exit_code, result.stderr) == (0, "")
    asked, posted = requests_mock.request_history
    assert asked.headers["Authorization"] == "Bearer the-admin-token!"
    assert posted.json()["Date and Time"] in {vendor_clock(before + seconds) for seconds in range(60)}


@pytest.mark.parametrize("answer", [{"status_code": 401}, {"text": "no JSON"}, {"json": []}, {"json": {"sources": []}}])
def test_send_says_that_it_writes_utc_where_it_cannot_ask(requests_mock: Mocker, answer: dict[str, Any]) -> None:
    requests_mock.post(URL)
    requests_mock.get(f"{ADMIN}/api/v1/sources", **answer)
    before = time.time()
    for options in (("--admin-url", ADMIN), ()):
        result = run("send", "--url", URL, *options)
        assert result.exit_code == 0
        assert "note: the event time is in UTC" in result.stderr
    given = run("send", "--url", URL, "--timezone", "Asia/Kolkata")
    assert (given.exit_code, given.stderr) == (0, "")
    assert requests_mock.last_request is not None
    sent = requests_mock.last_request.json()["Date and Time"]
    assert sent in {vendor_clock(before + 19800 + seconds) for seconds in range(60)}


def test_send_asks_a_running_exporter(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, '[[sources]]\nslug = "shop"\ntimezone = "Asia/Kolkata"\n') as exporter:
        url = f"{exporter.webhook_url}/webhooks/clevertap/shop"
        assert exporter.run("send", "--url", url, "--admin-url", exporter.admin_url).returncode == 0
        assert abs(exporter.admin("/api/v1/events").json()["events"][0]["occurred_at_seconds"] - time.time()) < 60


@pytest.mark.parametrize(
    "source",
    [
        'slug = "shop"\ntokens = ["the-right-token!"]',
        'slug = "default"\ntokens = ["the-right-token!"]\n[[sources]]\nslug = "other"\ntokens = ["another-token!!!"]',
        'slug = "shop"\nheader = "X-Export-Token"\ntokens = ["the-right-token!"]',
        'slug = "shop"\nbasic = { username = "vendor", password = "the-right-password!" }',
        'slug = "shop"',
    ],
)
def test_beside_the_exporter_address_and_credentials_are_those_of_its_configuration(
    tmp_path: Path, source: str
) -> None:
    toml = f'[server]\nadmin_tokens = ["the-admin-token!"]\n[[sources]]\ntimezone = "Asia/Kolkata"\n{source}\n'
    with LocalExporter(tmp_path, toml) as exporter:
        done = exporter.run("send", "--config", str(exporter.config_path))
        assert (done.returncode, done.stdout[:5], done.stderr) == (0, "200 {", "")
        slug = "default" if '"default"' in source else "shop"
        url = f"http://localhost:{exporter.webhook_port}/webhooks/clevertap/{slug}"
        assert exporter.run("send", "--test-call", "--url", url, "--config", str(exporter.config_path)).returncode == 0
        scrape = exporter.admin("/metrics", headers={"Authorization": "Bearer the-admin-token!"}).text
        pattern = rf'^dataexport_last_completed_timestamp_seconds\{{.*source="{slug}".*\}} (\S+)$'
        [completed] = re.findall(pattern, scrape, re.MULTILINE)
        assert abs(float(completed) - time.time()) < 60


def sent_to(address: _Matcher) -> Mapping[str, str]:
    """Return the headers of the newest request to an address."""
    assert address.last_request is not None
    return dict(address.last_request.headers)


def test_a_token_of_a_variable_is_sent_beside_the_exporter_and_nowhere_else(
    requests_mock: Mocker, tmp_path: Path
) -> None:
    variables = {"DATAEXPORT_TOKENS": "the-right-token!", "DATAEXPORT_WEBHOOK_LISTEN": "0.0.0.0:8181"}
    here = requests_mock.post("http://127.0.0.1:8181/webhooks/clevertap/default")
    elsewhere_url = URL.replace("/shop", "/default")
    elsewhere = requests_mock.post(elsewhere_url)
    assert run("send", "--timezone", "UTC", **variables).exit_code == 0
    assert sent_to(here)["Authorization"] == "Bearer the-right-token!"
    # Only a listener of this machine gets a token that was not named.
    assert run("send", "--timezone", "UTC", "--url", elsewhere_url, **variables).exit_code == 0
    assert "Authorization" not in sent_to(elsewhere)
    (tmp_path / "token").write_text("another-token!\n", "utf-8")
    assert run("send", "--timezone", "UTC", "--token-file", str(tmp_path / "token"), **variables).exit_code == 0
    assert sent_to(here)["Authorization"] == "Bearer another-token!"


def test_one_of_several_sources_has_to_be_chosen() -> None:
    sources = '[{"slug": "a"}, {"slug": "b"}]'
    sentence = error_output(run("send", DATAEXPORT_SOURCES=sources), 1)
    assert sentence == "error: --url: give the webhook of one source; the sources are a, b\n"
