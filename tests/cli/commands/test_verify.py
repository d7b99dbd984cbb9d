"""`verify`: every way in which the public way to a source can be wrong has a line that says what to do."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import requests

import certificates
from commands import error_output, run
from exporter.cli.http_client import explain
from monitoring import Receiver, started, wait_for
from ports import free_port
from running import PATIENCE_SECONDS
from running_here import LocalExporter
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from requests_mock import Mocker

TOKEN = "the-right-token!"
ADMIN_TOKEN = "the-admin-token!"
URL = "http://localhost:1/webhooks/clevertap/shop"
TOML = """
[server]
admin_tokens = ["the-admin-token!"]
tls_certificate_file = "shop.pem"
tls_key_file = "shop.key"

[[sources]]
slug = "shop"
tokens = ["the-right-token!"]

[[sources]]
slug = "plain"
basic = { username = "vendor", password = "the-right-password!" }

[[sources]]
slug = "header"
header = "X-Export-Token"
tokens = ["another-right-token!"]
"""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    folder = tmp_path_factory.mktemp("exporter")
    certificates.make(folder, "shop", days=90)
    for name, token in {
        "token": TOKEN,
        "admin": ADMIN_TOKEN,
        "header": "another-right-token!",
        "password": "the-right-password!",
    }.items():
        (folder / name).write_text(f"{token}\n", "utf-8")
    with LocalExporter(folder, TOML) as running:
        yield running


@pytest.fixture
def public(exporter: LocalExporter, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the webhook, whose certificate is trusted."""
    monkeypatch.setitem(exporter.environment, "REQUESTS_CA_BUNDLE", str(exporter.folder / "shop.pem"))
    return f"https://localhost:{exporter.webhook_port}/webhooks/clevertap"


def verified(exporter: LocalExporter, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code of the command, and its lines."""
    done = exporter.run("verify", *arguments)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_public_way_without_a_fault_is_ok_in_every_line(exporter: LocalExporter, public: str) -> None:
    admin = ("--admin-url", exporter.admin_url, "--admin-token-file", "admin")
    code, lines = verified(exporter, f"{public}/shop", "--token-file", "token", *admin)
    assert code == 0
    assert [line.partition(":")[0] for line in lines] == [
        f"ok   {check}" for check in ("name", "certificate", "test call", "wrong token", "metrics", "counted")
    ]
    assert lines[1].startswith("ok   certificate: valid, expires in 89 d")


@pytest.mark.parametrize(
    ("slug", "options"),
    [
        ("plain", ("--token-file", "password", "--user", "vendor")),
        ("header", ("--token-file", "header", "--header", "X-Export-Token")),
    ],
)
def test_basic_and_another_header_are_tried_like_a_token(
    exporter: LocalExporter, public: str, slug: str, options: tuple[str, ...]
) -> None:
    code, lines = verified(exporter, f"{public}/{slug}", *options)
    assert (code, lines[2][:15], lines[3]) == (0, "ok   test call:", "ok   wrong token: 401")


def test_a_path_without_a_source_ends_the_verification(exporter: LocalExporter, public: str) -> None:
    code, lines = verified(exporter, f"{public}/nowhere", "--token-file", "token")
    assert code == 1
    assert lines[-1].startswith("BAD  test call: the answer is 404: there is no such source; correct the path, or the")


def test_a_certificate_that_nobody_trusts_ends_the_verification(exporter: LocalExporter) -> None:
    url = f"https://localhost:{exporter.webhook_port}/webhooks/clevertap/shop"
    code, lines = verified(exporter, url, "--token-file", "token")
    assert code == 1
    assert lines[1:] == ["BAD  certificate: the certificate is self-signed; get one from a public authority"]


def test_a_certificate_that_expires_soon_is_no_reason_to_stop(
    tmp_path: Path, exporter: LocalExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, _ = certificates.make(tmp_path, "shop", days=2)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with LocalExporter(tmp_path, TOML) as other:
        (tmp_path / "token").write_text(TOKEN, "utf-8")
        url = f"https://localhost:{other.webhook_port}/webhooks/clevertap/shop"
        admin = ("--admin-url", exporter.admin_url, "--admin-token-file", str(exporter.folder / "admin"))
        code, lines = verified(other, url, "--token-file", "token", *admin)
    assert code == 1
    assert lines[1] == "BAD  certificate: valid, expires in 1 d 23 h; renew it now"
    assert lines[2].startswith("ok   test call: 200 in ")
    assert lines[-1].startswith(f"BAD  counted: not by the exporter at {exporter.admin_url}; the URL leads to another")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("https://no-such-name.invalid/webhooks/clevertap/shop", "name: no-such-name.invalid cannot be resolved"),
        ("https://127.0.0.1:1/webhooks/clevertap/shop", "certificate: the connection was refused: nothing listens"),
        ("http://127.0.0.1:1/webhooks/clevertap/shop", "test call: the connection was refused: nothing listens"),
    ],
)
def test_what_cannot_be_reached_ends_the_verification(url: str, line: str) -> None:
    result = run("verify", url)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith(f"BAD  {line}")


def test_tls_at_a_port_without_it_is_recognised(exporter: LocalExporter) -> None:
    result = run("verify", f"https://127.0.0.1:{exporter.admin_port}/webhooks/clevertap/shop")
    assert "BAD  certificate: no TLS is spoken there; is it https:// at a port for http://?" in result.stdout
    result = run("verify", f"http://127.0.0.1:{exporter.webhook_port}/webhooks/clevertap/shop")
    assert "BAD  test call: the connection was cut without an answer; is it http:// at a port for" in result.stdout


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"status_code": 301, "headers": {"Location": "https://x/"}}, "redirect: the answer is 301 to https://x/, "),
        ({"status_code": 401}, "test call: the answer is 401: the token is not one of this source; give"),
        ({"status_code": 502}, "test call: the answer is 502: the proxy does not reach the exporter; check"),
        (
            {"status_code": 418},
            "test call: the answer is 418: an exporter does not answer that; check the URL and the proxy",
        ),
        ({"text": "<html>"}, "test call: the answer is 200, but not that of an exporter; correct the URL"),
        ({"json": []}, "test call: the answer is 200, but not that of an exporter; correct the URL"),
        ({"exc": requests.ReadTimeout}, "test call: no answer within 3 s; is a firewall or a proxy in between?"),
    ],
)
@pytest.mark.usefixtures("shipped_limits")
def test_an_answer_that_is_not_the_right_one_has_advice(
    requests_mock: Mocker, answer: dict[str, Any], line: str
) -> None:
    requests_mock.post(URL, **answer)
    result = run("verify", URL)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith(f"BAD  {line}")


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ({"status_code": 429}, "BAD  wrong token: 429, too many were sent from here; wait a minute"),
        ({"json": {"test": True}}, "BAD  wrong token: it is accepted, so anybody can send; set tokens_file"),
        ({"status_code": 403}, "BAD  wrong token: the answer is 403 instead of 401; check the proxy"),
        ({"exc": requests.ReadTimeout}, "BAD  wrong token: no answer within 3 s; is a firewall or a proxy in between?"),
    ],
)
@pytest.mark.usefixtures("shipped_limits")
def test_a_wrong_token_has_to_be_refused(
    requests_mock: Mocker, tmp_path: Path, second: dict[str, Any], line: str
) -> None:
    (tmp_path / "token").write_text(TOKEN, "utf-8")
    requests_mock.post(URL, [{"json": {"test": True}}, second])
    requests_mock.get("http://localhost:1/metrics", status_code=404)
    result = run("verify", URL, "--token-file", str(tmp_path / "token"))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [line, "ok   metrics: not public (404)"]
    first, wrong, _ = requests_mock.request_history
    assert first.headers["Authorization"] == f"Bearer {TOKEN}"
    assert wrong.headers["Authorization"] not in {first.headers["Authorization"], ""}


def test_a_source_on_loopback_may_be_without_a_credential(requests_mock: Mocker) -> None:
    requests_mock.post(URL, json={"test": True})
    requests_mock.get("http://localhost:1/metrics", status_code=404)
    result = run("verify", URL)
    assert (result.exit_code, result.stdout.splitlines()[-2][:26]) == (0, "ok   wrong token: accepted")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"text": "dataexport_up 1"}, "BAD  metrics: http://localhost:1/metrics answers 200; publish only the webhook"),
        ({"status_code": 401}, "BAD  metrics: http://localhost:1/metrics answers 401; publish only the webhook"),
        ({"exc": requests.ReadTimeout}, "BAD  metrics: no answer within 10 s"),
        ({"text": "hello"}, "ok   metrics: not public (200)"),
    ],
)
@pytest.mark.usefixtures("shipped_limits")
def test_the_metrics_must_not_be_public(requests_mock: Mocker, answer: dict[str, Any], line: str) -> None:
    requests_mock.post(URL, json={"test": True})
    requests_mock.get("http://localhost:1/metrics", **answer)
    assert run("verify", URL).stdout.splitlines()[-1].startswith(line)


def test_plain_http_is_no_way_for_a_token(requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.7", 80))])
    url = "http://shop.example/webhooks/clevertap/shop"
    requests_mock.post(url, [{"json": {"test": True}}, {"status_code": 401}])
    requests_mock.get("http://shop.example/metrics", status_code=404)
    lines = run("verify", url).stdout.splitlines()
    assert lines[0] == "ok   name: shop.example is 192.0.2.7"
    assert lines[1].startswith("BAD  certificate: none, because the URL is http://; the token is sent in clear text")


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ({"status_code": 401}, "the answer is 401, not the sources; give --admin-token-file, and "),
        ({"text": "hello"}, "the answer is 200, not the sources; correct it"),
        ({"exc": requests.ReadTimeout}, "no answer within 10 s"),
    ],
)
@pytest.mark.usefixtures("shipped_limits")
def test_an_admin_listener_that_does_not_answer_is_named(
    requests_mock: Mocker, answer: dict[str, Any], advice: str
) -> None:
    requests_mock.get("http://admin.example/api/v1/sources", **answer)
    result = run("verify", URL, "--admin-url", "http://admin.example/")
    assert (result.exit_code, result.stderr[:42]) == (1, "error: --admin-url http://admin.example/: ")
    assert advice in result.stderr


def test_wrong_usage_is_refused(tmp_path: Path) -> None:
    assert "give the URL of a webhook, or --alertmanager" in error_output(run("verify"), 2)
    for url in ("shop.example/webhooks", "ftp://x/", "https:///webhooks"):
        assert f"error: {url}: that is not a URL; give one such as https://" in error_output(run("verify", url), 1)
    assert "--token-file" in error_output(run("verify", URL, "--token-file", str(tmp_path / "none")), 1)
    (tmp_path / "two").write_text("a\nb\n", "utf-8")
    options = ("--user", "x", "--token-file", str(tmp_path / "two"))
    assert "has more than one line" in error_output(run("verify", URL, *options), 1)


def test_every_reason_against_a_certificate_has_advice() -> None:
    error = ssl.SSLCertVerificationError()
    for code, reason in {10: "has expired; renew it", 62: "is for another name", 1: "is not valid"}.items():
        error.verify_code = code
        assert explain(requests.exceptions.SSLError(error), 3).startswith(f"the certificate {reason}")
    assert explain(requests.exceptions.InvalidURL("x"), 3).startswith("that is not a URL")


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Receiver]]:
    """A real Alertmanager with a receiver for pages."""
    folder = tmp_path_factory.mktemp("alertmanager")
    url = f"http://127.0.0.1:{free_port()}"
    with Receiver() as receiver:
        (folder / "alertmanager.yaml").write_text(
            "route: {receiver: ticket, group_wait: 0s, routes: [{matchers: ['severity = critical'], receiver: page}]}\n"
            f"receivers: [{{name: ticket}}, {{name: page, webhook_configs: [{{url: 'http://{receiver.address}/page'}}]}}]"
            "\n",
            "utf-8",
        )
        command = [
            tool("alertmanager"),
            "--config.file=alertmanager.yaml",
            "--storage.path=data",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        with started("alertmanager", command, folder, url):
            yield url, receiver


def test_a_test_page_arrives_and_a_silenced_one_is_named(alertmanager: tuple[str, Receiver]) -> None:
    url, receiver = alertmanager
    result = run("verify", "--alertmanager", f"{url}/", "--runbook-url", "https://wiki.example/r")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("ok   alert: ExportTestPage goes to page; see it arrive within group_wait")
    wait_for(lambda: receiver.of("/page", "firing"), "the page arrives")
    [alert] = receiver.of("/page", "firing")[0]["alerts"]
    assert alert["labels"] == {"alertname": "ExportTestPage", "job": "dataexport", "severity": "critical"}
    assert alert["annotations"]["runbook_url"] == "https://wiki.example/r/ExportTestPage.md"

    silence = {
        "matchers": [{"name": "alertname", "value": "ExportTestPage", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z",
        "createdBy": "test",
        "comment": "test",
    }
    made = requests.post(f"{url}/api/v2/silences", json=silence, timeout=PATIENCE_SECONDS)
    assert made.status_code == 200, made.text

    def suppressed() -> bool:
        return run("verify", "--alertmanager", url).stdout.startswith("BAD  alert: suppressed by ")

    wait_for(suppressed, "the alert is silenced")


def test_an_alert_may_take_a_moment_to_be_processed(requests_mock: Mocker) -> None:
    status = {"state": "active", "silencedBy": [], "inhibitedBy": []}
    answers = [[], [{"status": {"state": "unprocessed"}}], [{"status": status, "receivers": [{"name": "page"}]}]]
    requests_mock.post("http://am.example/api/v2/alerts")
    requests_mock.get("http://am.example/api/v2/alerts", [{"json": answer} for answer in answers])
    result = run("verify", "--alertmanager", "http://am.example")
    assert (result.exit_code, result.stdout[:40]) == (0, "ok   alert: ExportTestPage goes to page; s"[:40])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"status_code": 404}, "the answer is 404; give the base URL of Alertmanager, such as"),
        ({"exc": requests.ReadTimeout}, "no answer within 10 s"),
        ({"json": [{"status": {"state": "unprocessed"}}]}, "the alert was not processed within 0 s; see its log"),
    ],
)
@pytest.mark.usefixtures("shipped_limits")
def test_an_alertmanager_that_does_not_process_the_alert_is_named(
    requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setattr("exporter.cli.alertmanager.ROUTING_SECONDS", 0)
    requests_mock.post("http://am.example/api/v2/alerts")
    requests_mock.get("http://am.example/api/v2/alerts", **answer)
    stderr = error_output(run("verify", "--alertmanager", "http://am.example"), 1)
    assert stderr.startswith(f"error: --alertmanager http://am.example: {sentence}")
