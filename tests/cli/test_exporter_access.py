"""Commands print the same whether they ask a running exporter or read its store, and explain what does not answer."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from builders import DAY, HOUR, body, vendor_clock
from commands import error_output, run
from exporter import __version__
from exporter.cli import remote_exporter
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from requests_mock import Mocker

TOML = """
[server]
admin_tokens = ["the-admin-token!"]
admin_basic = { username = "oncall", password = "the-admin-password!" }

[[sources]]
slug = "shop"
timezone = "UTC"
severity = "critical"

[[sources]]
slug = "other"
timezone = "UTC"

[[exports]]
name = "nightly"
source = "shop"
match = { partner = "Amazon S3", data_type = "events", frequency = "24h" }
owner = "data-platform"

[[exports]]
name = "ads"
source = "shop"
match = { partner = "Mixpanel", frequency = "24h" }
owner = "growth"

[[exports]]
name = "muted"
source = "other"
match = { request_id = "7" }
muted_until = 2999-01-01T00:00:00Z
"""
URL = "http://exporter.example:10047"
WHY = ("--by", "Ann", "--why", "moved")
READS = [
    ("exports",),
    ("exports", "--state", "never completed"),
    ("exports", "--source", "shop"),
    ("exports", "--owner", "Data-Platform"),
    ("exports", "--owner", ""),
    ("explain", "--export", "nightly"),
    ("explain", "--partner", "Azure"),
    ("events",),
    ("events", "--source", "shop", "--limit", "2"),
    ("events", "--source", "other"),
    ("sources",),
    ("quarantine",),
    ("quarantine", "--limit", "1"),
    ("quarantine", "--refused"),
    ("mutes",),
]
REFUSALS = [
    ("events", "--source", "nowhere"),
    ("exports", "--source", "nowhere"),
    ("quarantine", "--source", "nowhere"),
    ("explain", "--export", "none"),
    ("explain", "--source", "shop"),
    ("replay", "--quarantine", "--source", "nowhere"),
    ("mute", "--export", "none", "--for", "1h", *WHY),
    ("mute", "--source", "shop", "--for", "1h", *WHY),
    ("unmute", "--export", "nightly", *WHY),
    ("unmute", "--export", "muted", *WHY),
    ("unmute", "--export", "none", *WHY),
    ("retire", "--export", "nightly", *WHY),
    ("retire", "--undo", "--export", "nightly", *WHY),
    ("retire", "--all", "--export", "nightly", *WHY),
]
ACTS = [
    ("mute", "--partner", "Azure", "--for", "8h", *WHY),
    ("mute", "--partner", "Azure", "--until", "2999-01-01T00:00Z", *WHY),
    ("mute", "--partner", "Azure", "--until", "monday", *WHY),
    ("mutes",),
    ("exports",),
    ("explain", "--partner", "Azure"),
    ("unmute", "--partner", "Azure", *WHY),
    ("retire", "--partner", "Azure", *WHY),
    ("mutes",),
    ("exports",),
    ("retire", "--undo", "--partner", "Azure", *WHY),
    ("retire", "--all", "--source", "shop", "--dry-run", *WHY),
    ("retire", "--all", "--source", "shop", *WHY),
    ("retire", "--undo", "--partner", "Azure", *WHY),
    ("retire", "--undo", "--partner", "Google Cloud Storage", *WHY),
    ("replay", "--quarantine", "--dry-run"),
    ("replay", "--quarantine", "--source", "shop", "--reason", "missing_key"),
    ("mutes",),
]


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    folder = tmp_path_factory.mktemp("exporter")
    (folder / "admin").write_text("the-admin-token!\n", "utf-8")
    with LocalExporter(folder, TOML) as running:
        now = time.time()
        for sent, source in (
            (body("Initiated", vendor_clock(now - 3 * DAY), 1), "shop"),
            (body("Initiated", vendor_clock(now - 2 * DAY), 3, Partner="Azure", Frequency="Daily"), "shop"),
            (body("Completed", vendor_clock(now - 2 * DAY + HOUR), 3, Partner="Azure", Frequency="Daily"), "shop"),
            (body("Completed", vendor_clock(now - DAY), 4, Partner="Google Cloud Storage", Frequency="Daily"), "shop"),
            (body("Completed", vendor_clock(now - 2 * DAY), 9, Partner="Mixpanel", Frequency="Daily"), "shop"),
            (body("Completed", vendor_clock(now - DAY), 7), "other"),
            (b"{}", "shop"),
            (b'{"other": 1}', "shop"),
            (b"no JSON", "shop"),
        ):
            assert running.post(sent, source).status_code in {200, 400}
        running.admin("/metrics", headers={"Authorization": "Bearer the-admin-token!"})
        yield running


def both_ways(exporter: LocalExporter, *arguments: str) -> list[tuple[int, str, str]]:
    """Return the exit code and both outputs of a command, from the running exporter and from its store."""
    remote = ("--url", exporter.admin_url, "--token-file", "admin")
    results = [exporter.run(*arguments, *place) for place in (remote, ("--config", str(exporter.config_path)))]
    return [(result.returncode, result.stdout, result.stderr) for result in results]


def without_times(text: str) -> str:
    """Replace what differs from one second to the next, or by the exporter."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\d+ (d|h|min|s)\b( \d+ (h|min|s)\b)?", "AGE", text)
    return re.sub(r" +", " ", text)


@pytest.mark.parametrize("output", [(), ("--json",), ("--jsonl",)])
@pytest.mark.parametrize("command", READS)
def test_a_command_that_reads_prints_the_same_both_ways(
    exporter: LocalExporter, command: tuple[str, ...], output: tuple[str, ...]
) -> None:
    if (command[0], output) == ("explain", ("--jsonl",)):
        return  # it is no list
    remote, local = both_ways(exporter, *command, *output)
    assert remote[0] == 0, remote
    if not output:
        assert without_times(remote[1]) == without_times(local[1])
        return
    assert remote == local
    if output == ("--jsonl",):
        assert all(isinstance(json.loads(line), dict) for line in remote[1].splitlines())
    else:
        assert isinstance(json.loads(remote[1]), dict if command[0] == "explain" else list)


@pytest.mark.parametrize("command", REFUSALS)
def test_a_command_that_is_refused_says_the_same_both_ways(exporter: LocalExporter, command: tuple[str, ...]) -> None:
    remote, local = both_ways(exporter, *command)
    assert remote[0] > 0
    assert remote == local


def test_decisions_have_the_same_effect_both_ways(exporter: LocalExporter, tmp_path: Path) -> None:
    with LocalExporter(tmp_path, TOML) as other:
        (tmp_path / "admin").write_text("the-admin-token!\n", "utf-8")
        for sent in reversed(exporter.admin("/api/v1/events", headers=ADMIN).json()["events"]):
            local_time = vendor_clock(sent["occurred_at_seconds"])
            frequency = "Daily" if sent["frequency"] == "24h" else "Every 4 hours"
            changes = {"Partner": sent["partner"], "Frequency": frequency}
            assert other.post(body(sent["status"], local_time, sent["request_id"], **changes), sent["source"]).ok
        for quarantined in (b"{}", b'{"other": 1}'):
            assert other.post(quarantined, "shop").ok
        remote = ("--url", exporter.admin_url, "--token-file", "admin")
        for command in ACTS:
            asked = exporter.run(*command, *remote)
            stored = other.run(*command, "--config", str(other.config_path))
            assert (asked.returncode, asked.stderr) == (0, ""), (command, asked)
            assert without_times(asked.stdout) == without_times(stored.stdout)


def test_whoever_is_paged_gets_every_answer_with_a_url(exporter: LocalExporter) -> None:
    """Which exports are overdue, since when, why, whose are they, what came last; and mute one until Monday."""

    def asked(*arguments: str) -> str:
        result = exporter.run(*arguments, "--url", exporter.admin_url, "--token-file", "admin")
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    listed = asked("exports", "--state", "overdue", "--owner", "growth")
    assert re.search(r"^overdue +shop +ads +Mixpanel .* \d+ h( \d+ min)? overdue +growth ", listed, re.MULTILINE)
    explained = asked("explain", "--export", "ads")
    assert re.match(r"overdue for \d+ h( \d+ min)?: shop, ads, Mixpanel, 24h\n", explained)
    assert re.search(r"It last completed \S+ \S+, so it should have completed again by .*: every 1 d plus", explained)
    assert re.search(r"^OWNER +growth$", explained, re.MULTILINE)
    newest = explained.splitlines()[-1]
    assert re.match(r"\d+ +\S+Z +\S+Z +\+00:00 +shop +9 +completed +Mixpanel +events +24h$", newest)
    muted = asked("mute", "--export", "ads", "--until", "monday", "--why", "bucket moves")
    (until,) = re.findall(r"muted until (\S+): ", muted)
    assert f"{datetime.fromisoformat(until):%A %H:%M %Z}" == "Monday 08:00 UTC"
    assert asked("exports", "--state", "overdue", "--owner", "growth") == "no export matches\n"
    asked("unmute", "--export", "ads", "--why", "moved")


ADMIN = {"Authorization": "Bearer the-admin-token!"}


def test_variables_name_the_exporter_and_an_option_wins(exporter: LocalExporter) -> None:
    variables = {
        "DATAEXPORT_URL": exporter.admin_url,
        "DATAEXPORT_URL_TOKEN_FILE": str(exporter.folder / "admin"),
        "DATAEXPORT_CONFIG": str(exporter.folder / "none.toml"),
        "DATAEXPORT_STORE_URL": f"sqlite:///{exporter.database}",
    }
    assert run("sources", **variables).exit_code == 0
    assert run("sources", "--config", str(exporter.config_path), **variables).exit_code == 0
    assert "none.toml' cannot be read" in error_output(run("doctor", **variables), 2)


def test_wrong_combinations_are_refused(exporter: LocalExporter) -> None:
    both = ("--url", exporter.admin_url, "--config", "x")
    assert "give one of --config, for the store, and --url" in error_output(run("exports", *both), 2)
    assert "--token-file goes with --url" in error_output(run("exports", "--token-file", "x"), 2)
    for command in (("events", "--for-replay"), ("quarantine", "--delete", "--all"), ("replay", "--rebuild")):
        message = error_output(run(*command, "--url", exporter.admin_url), 2)
        assert re.search(r"works on the store, beside the exporter, and not with --url", message)


def test_a_missing_and_a_wrong_token_are_told_apart(exporter: LocalExporter, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("the-wrong-token!", "utf-8")
    message = error_output(run("exports", "--url", exporter.admin_url), 1)
    assert message.startswith(
        f"error: --url {exporter.admin_url}: the exporter requires a credential; give --token-file"
    )
    message = error_output(run("exports", "--url", exporter.admin_url, "--token-file", str(tmp_path / "wrong")), 1)
    assert f"the exporter does not accept the token in {tmp_path}/wrong; give another file" in message
    message = error_output(run("exports", "--url", exporter.admin_url, "--token-file", str(tmp_path / "none")), 1)
    assert message.startswith("error: --token-file: ")


def test_an_exporter_with_http_basic_is_asked_with_a_user(exporter: LocalExporter, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("the-admin-password!\n", "utf-8")
    (tmp_path / "wrong").write_text("the-wrong-password!\n", "utf-8")
    place = ("--url", exporter.admin_url, "--user", "oncall")
    assert run("sources", *place, "--token-file", str(tmp_path / "password")).exit_code == 0
    variables = {
        "DATAEXPORT_URL": exporter.admin_url,
        "DATAEXPORT_URL_USER": "oncall",
        "DATAEXPORT_URL_TOKEN_FILE": str(tmp_path / "password"),
    }
    assert run("sources", **variables).exit_code == 0
    message = error_output(run("sources", *place, "--token-file", str(tmp_path / "wrong")), 1)
    assert f"does not accept the password of oncall in {tmp_path}/wrong; give another file" in message
    assert "--token-file: give the file with the password of oncall" in error_output(run("sources", *place), 1)
    assert "--user goes with --url" in error_output(run("sources", "--user", "oncall"), 2)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("exports", "--url"), "--user and --token-file"),
        (("send", "--url"), "--user and --token-file"),
        (("send", "--admin-url"), "--admin-user and --admin-token-file"),
        (("verify",), "--user and --token-file"),
        (("verify", "https://shop.example/", "--admin-url"), "--admin-user and --admin-token-file"),
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(arguments: tuple[str, ...], options: str) -> None:
    message = error_output(run(*arguments, "http://oncall:hunter22@exporter.example"), 2)
    assert f"others can see a user name or a password in a URL; give {options} instead" in message
    assert "hunter22" not in message


def test_lists_are_read_page_by_page(exporter: LocalExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_EXPORTS", "MOST_EVENTS", "MOST_BODIES", "MOST_DECISIONS"):
        monkeypatch.setattr(remote_exporter, name, 1)
    for command in ("exports", "events", "quarantine"):
        remote, local = both_ways(exporter, command, "--json")
        assert remote == local
        assert len(json.loads(remote[1])) > 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"exc": requests.ReadTimeout}, "no answer within 30 s; is a firewall or a proxy in between?"),
        ({"status_code": 302, "headers": {"Location": "https://x/"}}, "the answer is 302 to https://x/; give that"),
        ({"text": "<html>"}, "the answer is 200, not that of an exporter; give the address of its admin listener"),
        ({"json": []}, "the answer is 200, not that of an exporter; give the address of its admin listener"),
        ({"status_code": 503, "json": {"detail": "not ready"}}, "the answer is 503: not ready"),
        ({"json": {}}, f"the exporter is release 9.9.9 and this command {__version__}; use those of one release"),
        ({"json": {"sources": [{}]}}, f"the exporter is release 9.9.9 and this command {__version__}; use"),
        ({"status_code": 404, "json": {"detail": "no such path"}}, "the exporter is release 9.9.9 and this command"),
    ],
)
@pytest.mark.usefixtures("shipped_limits")
def test_what_is_no_exporter_of_this_release_is_named(
    requests_mock: Mocker, answer: dict[str, Any], sentence: str
) -> None:
    requests_mock.get(f"{URL}/api/v1/sources", **answer)
    requests_mock.get(f"{URL}/api/v1/openapi.json", json={"info": {"version": "9.9.9"}})
    assert error_output(run("sources", "--url", f"{URL}/"), 1).startswith(f"error: --url {URL}: {sentence}")


@pytest.mark.parametrize("answer", [{"status_code": 404, "json": {"detail": "x"}}, {"json": {"info": 1}}])
def test_what_has_no_description_is_no_exporter(requests_mock: Mocker, answer: dict[str, Any]) -> None:
    requests_mock.get(f"{URL}/api/v1/sources", json={})
    requests_mock.get(f"{URL}/api/v1/openapi.json", **answer)
    assert "what answers there is not an exporter, or a much older one" in error_output(run("sources", "--url", URL), 1)


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:1", "http://no-such-name.invalid"])
def test_an_address_without_an_exporter_is_named(url: str) -> None:
    assert error_output(run("exports", "--url", url), 1).startswith(f"error: --url {url}: ")
