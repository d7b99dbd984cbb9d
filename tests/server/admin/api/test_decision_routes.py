"""The part of the JSON API that decides: what it accepts, refuses and records, and who may use it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from builders import HOUR, body, vendor_clock
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

CONFIGURATION = """
[[sources]]
slug = "shop"
timezone = "UTC"

[[exports]]
name = "nightly"
source = "shop"
match = { partner = "Azure", frequency = "daily" }

[[exports]]
name = "paused"
source = "shop"
match = { partner = "Google Cloud Storage", frequency = "daily" }
muted_until = 2999-01-01T00:00:00Z
"""
ANN = {"by": "Ann", "why": "bucket is moved"}
LABELS = {"source": "shop", "export": "any", "partner": "Amazon S3", "data_type": "events", "frequency": "4h"}


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    with LocalExporter(tmp_path_factory.mktemp("decisions"), CONFIGURATION) as running:
        running.post(body("Completed", vendor_clock(time.time() - HOUR), 1), "shop")
        running.post(body("Completed", vendor_clock(time.time() - HOUR), 2, Partner="Lake"), "shop")
        yield running
        assert "Traceback" not in running.log()


def request(exporter: LocalExporter, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401
    """Send a request to the API, and check the answer against the description."""
    answer = exporter.admin(f"/api/v1/{path}", method, **options)
    description = exporter.admin("/api/v1/openapi.json").json()
    described = path.partition("?")[0]
    if described.count("/"):
        described = f"{described.partition('/')[0]}/{{id}}"
    content = description["paths"][f"/api/v1/{described}"][method.lower()]["responses"][str(answer.status_code)]
    schema = content["content"][answer.headers["Content-Type"]]["schema"]
    jsonschema_rs.validate({**schema, "components": description["components"]}, answer.json())
    return answer


def export_id(exporter: LocalExporter, search: str) -> str:
    (export,) = exporter.admin("/api/v1/exports", params={"search": search}).json()["exports"]
    found: str = export["id"]
    return found


def test_a_mute_is_made_once_shown_by_the_metrics_and_ended(exporter: LocalExporter) -> None:
    number = export_id(exporter, "Amazon")
    sent = {"export_id": number, "for": "8h", **ANN}
    answers = [request(exporter, "POST", "mutes", json=sent) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    mute = answers[0].json()["mute"]
    assert [answer.json()["mute"] for answer in answers] == [mute] * 3
    assert {name: mute[name] for name in LABELS} == LABELS
    assert (mute["state"], mute["by"], mute["why"], mute["ended_at"]) == ("active", "Ann", "bucket is moved", None)
    assert mute["until_seconds"] - mute["decided_at_seconds"] == 8 * HOUR
    assert datetime.fromisoformat(mute["until"]).timestamp() == int(mute["until_seconds"])
    assert exporter.value("dataexport_muted", **LABELS) == 1
    state = exporter.admin(f"/api/v1/exports/{number}").json()["export"]
    assert (state["state"], state["muted_by"], state["muted_until"]) == ("muted", "Ann", mute["until"])
    (listed,) = [
        each for each in request(exporter, "GET", "mutes?state=active").json()["mutes"] if each["origin"] == "decision"
    ]
    assert listed == mute

    longer = request(exporter, "POST", "mutes", json=sent | {"for": 9 * HOUR}).json()["mute"]
    assert longer["until_seconds"] > mute["until_seconds"] + 3000
    ended = request(exporter, "DELETE", f"mutes/{number}", params={"by": "Bob", "why": "done"})
    assert ended.status_code == 200
    assert ended.json()["mute"]["state"] == "past"
    assert (ended.json()["mute"]["ended_by"], ended.json()["mute"]["ended_why"]) == ("Bob", "done")
    assert exporter.value("dataexport_muted", **LABELS) == 0
    past = request(exporter, "GET", "mutes", params={"state": "past", "source": "shop"}).json()
    assert [(each["by"], each["ended_by"]) for each in past["mutes"] if each["export_id"] == number] == [
        ("Ann", "Bob"),
        ("Ann", "Ann"),
    ]
    again = request(exporter, "DELETE", f"mutes/{number}", params={"by": "Bob", "why": "done"})
    assert (again.status_code, again.json()["detail"]) == (404, "not muted")


def test_a_mute_lasts_until_a_time_and_is_in_the_access_log(exporter: LocalExporter) -> None:
    number = export_id(exporter, "Lake")
    sent = {"export_id": number, "until": "2999-01-01T01:00+01:00", **ANN}
    assert request(exporter, "POST", "mutes", json=sent).json()["mute"]["until"] == "2999-01-01T00:00:00Z"
    assert f'"decided": "mute", "export": "{number}", "by": "Ann"' in exporter.log()
    request(exporter, "DELETE", f"mutes/{number}", params=ANN)


def test_an_export_is_retired_once_and_restored(exporter: LocalExporter) -> None:
    number = export_id(exporter, "Lake")
    sent = {"export_id": number, **ANN}
    answers = [request(exporter, "POST", "retirements", json=sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert exporter.admin("/api/v1/exports", params={"search": "Lake"}).json()["exports"] == []
    (listed,) = request(exporter, "GET", "retirements?state=active").json()["retirements"]
    assert listed == answers[1].json()["retirement"]
    muted = request(exporter, "POST", "mutes", json=sent | {"for": "1h"})
    assert (muted.status_code, muted.json()["detail"][:21]) == (409, "the export is retired")
    restored = request(exporter, "DELETE", f"retirements/{number}", params=ANN)
    assert (restored.status_code, restored.json()["retirement"]["state"]) == (200, "past")
    assert export_id(exporter, "Lake") == number
    assert request(exporter, "DELETE", f"retirements/{number}", params=ANN).status_code == 404
    assert request(exporter, "GET", "retirements?state=active").json()["retirements"] == []


def test_what_the_configuration_decides_cannot_be_changed_here(exporter: LocalExporter) -> None:
    declared = request(exporter, "POST", "retirements", json={"export_id": export_id(exporter, "nightly"), **ANN})
    assert (declared.status_code, declared.json()["title"]) == (409, "Conflict")
    assert "declared in the configuration" in declared.json()["detail"]
    paused = request(exporter, "DELETE", f"mutes/{export_id(exporter, 'paused')}", params=ANN)
    assert (paused.status_code, paused.json()["detail"][-15:]) == (409, "change it there")
    (configured,) = request(exporter, "GET", "mutes?state=active").json()["mutes"]
    assert (configured["origin"], configured["export"]) == ("configuration", "paused")
    assert (configured["decided_at"], configured["until"]) == (None, "2999-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("path", "changes", "field", "detail"),
    [
        ("mutes", {"export_id": None}, "export_id", "missing; it is: The id of an export"),
        ("mutes", {"export_id": 7}, "export_id", "give a text"),
        ("mutes", {"for": None}, "for", "give either for how long, such as 8h, or until when"),
        ("mutes", {"until": "2999-01-01"}, "until", "give either for how long"),
        ("mutes", {"for": "soon"}, "for", 'give a duration such as "90m"'),
        ("mutes", {"for": 1.5}, "for", 'give a duration such as "90m"'),
        ("mutes", {"for": 0}, "for", "which is in the past; give a later time"),
        ("mutes", {"for": -5}, "for", "give a duration that is not negative"),
        ("mutes", {"for": 10**400}, "for", "would end after the year 9999"),
        ("mutes", {"for": None, "until": "2020-01-01"}, "until", "which is in the past; give a later time"),
        ("mutes", {"for": None, "until": "soon"}, "until", "'soon' is not a date and time"),
        ("mutes", {"for": None, "until": 5}, "until", "give a text"),
        ("mutes", {"by": " "}, "by", "give 1 to 512 printable characters"),
        ("mutes", {"why": "x" * 513}, "why", "give 1 to 512 printable characters"),
        ("mutes", {"why": ["x"]}, "why", "give a text"),
        ("mutes", {"expot_id": "x"}, "expot_id", "did you mean export_id?"),
        ("retirements", {"zzz": 1}, "zzz", "the fields here are export_id, by, why"),
        ("replays", {"preview": 1}, "preview", "give true or false"),
        ("replays", {"source": "elsewhere"}, "source", "'elsewhere' is not configured; give one of shop"),
        ("replays", {"sequence": 0}, "sequence", "give a whole number from 1 to"),
        ("replays", {"after": True}, "after", "give a whole number from 0 to"),
        ("replays", {"limit": 501}, "limit", "give a whole number from 1 to 500"),
        ("replays", {"reason": {"a": 1}}, "reason", "give a text"),
    ],
)
def test_a_wrong_field_is_named(
    exporter: LocalExporter, path: str, changes: dict[str, object], field: str, detail: str
) -> None:
    right: dict[str, object] = {"export_id": "0123456789abcdef", **ANN}
    complete = {"mutes": right | {"for": "8h"}, "retirements": right, "replays": {}}[path]
    answer = request(exporter, "POST", path, json=complete | changes)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert answer.json()["detail"].startswith(f"{field}: ")
    assert detail in answer.json()["detail"]


def test_an_id_that_does_not_exist_is_not_found(exporter: LocalExporter) -> None:
    answer = request(exporter, "POST", "retirements", json={"export_id": "0123456789abcdef", **ANN})
    assert (answer.status_code, answer.json()["field"]) == (404, "export_id")
    for path in ("mutes", "retirements"):
        answer = request(exporter, "DELETE", f"{path}/0123456789abcdef", params=ANN)
        assert (answer.status_code, answer.json()["detail"]) == (404, "no export has this id")


@pytest.mark.parametrize(
    ("query", "parameter", "detail"),
    [
        ("?by=Ann", "why", "missing; it is: The reason."),
        ("?by=&why=x", "by", "give 1 to 512 printable characters"),
        ("?by=a&why=x&whi=y", "whi", "did you mean why?"),
        ("", "by", "missing; it is: Who decides."),
    ],
)
def test_who_ends_a_decision_and_why_are_parameters(
    exporter: LocalExporter, query: str, parameter: str, detail: str
) -> None:
    answer = request(exporter, "DELETE", f"mutes/0123456789abcdef{query}")
    assert (answer.status_code, answer.json()["parameter"]) == (400, parameter)
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "sent", "code", "detail"),
    [
        ("text/plain", b"{}", 415, "the Content-Type has to be application/json"),
        ("application/x-www-form-urlencoded", b"for=8h", 415, "the Content-Type has to be application/json"),
        ("", b"{}", 415, "the Content-Type has to be application/json"),
        ("application/json", b"", 400, "the body has to be one JSON object, in UTF-8"),
        ("application/json", b"{", 400, "the body is not JSON: it ends too early"),
        ("application/json", b"{}{}", 400, "the body is not JSON: more text after its end"),
        ("application/json", b'{"by": "\xff"}', 400, "the body is not UTF-8: byte 8 is 0xFF"),
        ("application/json", b"[]", 400, "the body has to be one JSON object"),
        ("application/json", b'"text"', 400, "the body has to be one JSON object"),
        ("application/json; charset=utf-8", b'{"by":"a","by":"b"}', 400, "by: given more than once"),
        ("application/json", b'{"by":' * 9_000, 400, "the body is nested too deeply"),
        ("application/json", b" " * 65_537, 413, "the body is larger"),
    ],
)
def test_only_one_json_object_is_accepted(
    exporter: LocalExporter, content_type: str, sent: bytes, code: int, detail: str
) -> None:
    answer = request(exporter, "POST", "mutes", data=sent, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.headers["Content-Type"]) == (code, "application/problem+json")
    assert detail in answer.json()["detail"]
    assert exporter.admin("/api/v1/mutes?by=x", "POST", json={}).json()["parameter"] == "by"


def test_the_quarantine_is_replayed_after_a_preview(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        for number in range(3):
            exporter.post({"odd": number}, "shop")
        preview = request(exporter, "POST", "replays", json={"preview": True}).json()["replay"]
        assert (preview["preview"], preview["accepted"], preview["next_after"]) == (True, 0, None)
        assert preview["still_quarantined"] == {"missing_key": 3}
        assert [each["outcome"] for each in preview["bodies"]] == ["quarantined"] * 3
        first = request(exporter, "POST", "replays", json={"source": "shop", "limit": 2}).json()["replay"]
        assert (len(first["bodies"]), first["next_after"]) == (2, 2)
        rest = request(exporter, "POST", "replays", json={"after": first["next_after"]}).json()["replay"]
        assert [each["sequence"] for each in rest["bodies"]] == [3]
        one = request(exporter, "POST", "replays", json={"sequence": 2, "reason": None}).json()["replay"]
        assert [each["sequence"] for each in one["bodies"]] == [2]
        assert request(exporter, "POST", "replays", json={"reason": "bad_date"}).json()["replay"]["bodies"] == []


def decide(exporter: LocalExporter, **headers: str) -> requests.Response:
    return exporter.admin("/api/v1/replays", "POST", json={"preview": True}, headers=headers)


def test_without_a_credential_only_this_machine_and_this_site_decide(exporter: LocalExporter) -> None:
    own = f"http://127.0.0.1:{exporter.admin_port}"
    assert decide(exporter).status_code == 200
    assert decide(exporter, Origin=own).status_code == 200
    for headers in (
        {"Host": "rebound.example"},
        {"Host": "rebound.example", "Origin": "http://rebound.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = decide(exporter, **headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json"), headers


def test_with_a_credential_it_is_needed_for_every_decision(tmp_path: Path) -> None:
    token = "an-admin-token-of-24-letters"
    with LocalExporter(tmp_path, f'[server]\nadmin_tokens = ["{token}"]\n') as exporter:
        for method, path in (("POST", "mutes"), ("POST", "retirements"), ("POST", "replays"), ("DELETE", "mutes/x")):
            assert exporter.admin(f"/api/v1/{path}", method, json={}).status_code == 401
        assert decide(exporter, Authorization="Bearer wrong-token-of-24-letters").status_code == 401
        assert decide(exporter, Authorization=f"Bearer {token}").status_code == 200
        paths = exporter.admin("/api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"}).json()["paths"]
        assert paths["/api/v1/mutes"]["post"]["security"] == [{"bearer": []}, {"session": []}]


def test_an_open_listener_beyond_loopback_shows_everything_and_decides_nothing(tmp_path: Path) -> None:
    exporter = LocalExporter(tmp_path, "[server]\nadmin_open = true\n")
    exporter.environment["DATAEXPORT_ADMIN_LISTEN"] = f"0.0.0.0:{exporter.admin_port}"
    with exporter:
        assert exporter.admin("/api/v1/mutes").status_code == 200
        for path, method in (("replays", "POST"), ("mutes", "POST"), ("mutes/x", "DELETE")):
            answer = exporter.admin(f"/api/v1/{path}", method, json={})
            assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
            assert "set server.admin_tokens_file, admin_tokens or admin_basic" in answer.json()["detail"]
