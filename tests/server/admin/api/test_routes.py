"""The JSON API of the real process: its documents, its refusals, and that both match its OpenAPI description."""

from __future__ import annotations

import base64
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from builders import HOUR, body, vendor_clock
from configurations import QUIET_NIGHTLY, SHOP
from exporter import __version__
from exporter.metrics.families import EXPORT_COUNTERS, EXPORT_GAUGES, SLOT_GAUGES
from running import series, wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

CONFIGURATION = f"""{SHOP}{QUIET_NIGHTLY}
owner = "data"
runbook_url = "https://example.org/nightly"
"""
LISTS = ("exports", "events", "sources", "quarantine", "refused", "mutes", "retirements", "outages")
PATHS = (*LISTS, "openapi.json")


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    with LocalExporter(tmp_path_factory.mktemp("api"), CONFIGURATION) as running:
        now = time.time()
        for hours in (5, 1):
            running.post(body("Initiated", vendor_clock(now - hours * HOUR), 7), "shop")
        running.post(body("Initiated", vendor_clock(now - HOUR), 8, Partner="Azure", Frequency="One Time"), "shop")
        running.post(body("Initiated", vendor_clock(now - 60), 8, Partner="Azure", Frequency="One Time"), "shop")
        running.post(b'{"odd": "\xc3\xbc"}', "shop")
        running.post(b'{"odder": 1}', "quiet")
        yield running
        assert "Traceback" not in running.log()


def api(exporter: LocalExporter, path: str, **query: object) -> dict[str, Any]:
    """Return a document of the API, after checking it against the description."""
    answer = exporter.admin(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    assert_as_described(exporter, path if "/" not in path else "exports/{id}", answer)
    document: dict[str, Any] = answer.json()
    return document


def assert_as_described(exporter: LocalExporter, path: str, answer: requests.Response) -> None:
    """Check a response against the exporter's own description."""
    description = exporter.admin("/api/v1/openapi.json").json()
    content = description["paths"][f"/api/v1/{path}"]["get"]["responses"][str(answer.status_code)]["content"]
    kind = answer.headers["Content-Type"]
    jsonschema_rs.validate({**content[kind]["schema"], "components": description["components"]}, answer.json())


def refused(exporter: LocalExporter, path: str, query: str) -> dict[str, Any]:
    """Return the problem document of a wrong query."""
    answer = exporter.admin(f"/api/v1/{path}?{query}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert_as_described(exporter, path, answer)
    document: dict[str, Any] = answer.json()
    return document


def test_exports_are_told_with_their_state_and_null_for_never(exporter: LocalExporter) -> None:
    document = api(exporter, "exports")
    assert document["total"] == 3
    (nightly,) = [each for each in document["exports"] if each["declared"]]
    assert (nightly["export"], nightly["source"], nightly["owner"]) == ("nightly", "quiet", "data")
    assert (nightly["last_completed"], nightly["last_received"], nightly["initiated"]) == (None, None, 0)
    assert nightly["deadline_seconds"] > time.time()
    assert datetime.fromisoformat(nightly["deadline"]).timestamp() == int(nightly["deadline_seconds"])
    assert (nightly["last_completed_seconds"], nightly["muted_by"], nightly["last_duration_seconds"]) == (
        None,
        None,
        None,
    )
    (detected,) = [each for each in document["exports"] if each["export"] == "7"]
    assert (detected["initiated"], detected["interval_seconds"], detected["state"]) == (2, 4 * HOUR, "never completed")
    assert time.time() - 2 * HOUR < detected["last_initiated_seconds"] < time.time()


def test_exports_are_filtered_by_source_and_state_and_cut_off_at_a_limit(exporter: LocalExporter) -> None:
    def names(**query: object) -> list[tuple[str, str]]:
        return [(each["source"], each["export"]) for each in api(exporter, "exports", **query)["exports"]]

    assert names(source="quiet") == [("quiet", "nightly")]
    assert sorted(names(source="shop")) == [("shop", "7"), ("shop", "any")]
    assert names(state="fine") == [("quiet", "nightly")]
    assert names(state="overdue") == []
    assert names(source="shop", state="fine") == []
    cut = api(exporter, "exports", limit=1)
    assert (len(cut["exports"]), cut["total"]) == (1, 3)


def test_exports_are_found_by_owner_and_words_of_their_labels(exporter: LocalExporter) -> None:
    def names(**query: object) -> list[str]:
        return sorted(each["export"] for each in api(exporter, "exports", **query)["exports"])

    assert names(owner="DATA") == ["nightly"]
    assert names(owner="") == ["7", "any"]
    assert names(search="azure one") == ["any"]
    assert names(search="Data nightly") == ["nightly"]
    assert names(search="azure nightly") == []
    assert names(search=" ") == ["7", "any", "nightly"]


@pytest.mark.parametrize("path", ["exports", "events", "quarantine", "refused"])
def test_every_item_is_on_one_page_of_a_list(exporter: LocalExporter, path: str) -> None:
    if path == "refused":
        for size in (5, 6):
            exporter.post(b"\xff" * size, "quiet")
        wait_until(lambda: len(api(exporter, "refused", source="quiet")["refused"]) == 2, "they are stored")
    everything = api(exporter, path)
    assert everything["next"] is None
    paged, query = [], "?limit=1"
    while query is not None:
        page = exporter.admin(f"/api/v1/{path}{query}").json()
        paged += page[path]
        query = page["next"]
    assert [each for each in paged if each] == everything[path]


def test_a_client_that_follows_events_gets_a_link_to_those_that_are_still_to_come(exporter: LocalExporter) -> None:
    assert api(exporter, "events", after=0, limit=3, source="shop")["next"] == "?after=3&limit=3&source=shop"
    assert api(exporter, "events", after=3, limit=3)["next"] == "?after=4&limit=3"
    assert api(exporter, "events", after=4, limit=3)["next"] == "?after=4&limit=3"


@pytest.mark.parametrize("path", LISTS)
def test_what_the_client_has_already_is_not_sent_again(exporter: LocalExporter, path: str) -> None:
    first = exporter.admin(f"/api/v1/{path}")
    again = exporter.admin(f"/api/v1/{path}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    other = exporter.admin(f"/api/v1/{path}", headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.json()) == (200, first.json())


def test_an_overdue_export_has_the_same_etag_while_its_state_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        exporter.post(body("Completed", vendor_clock(now - 5 * HOUR), 7), "shop")
        (overdue,) = api(exporter, "exports", state="overdue")["exports"]
        for path in ("exports", f"exports/{overdue['id']}"):
            etags = set()
            for seconds in (0, 1, 60):
                monkeypatch.setattr(exporter.service, "now", lambda later=seconds: now + later)
                etags.add(exporter.admin(f"/api/v1/{path}").headers["ETag"])
            assert len(etags) == 1, path


def test_what_the_api_says_is_what_the_metrics_say(exporter: LocalExporter) -> None:
    rows = [
        *EXPORT_GAUGES,
        *SLOT_GAUGES,
        *((f"{name}_total", text, attribute) for name, text, attribute in EXPORT_COUNTERS),
        ("muted", "", "muted"),
    ]
    exports = api(exporter, "exports")["exports"]
    found = series(exporter.scrape())
    for export in exports:
        labels = {name: export[name] for name in ("source", "export", "partner", "data_type", "frequency")}
        for name, _, attribute in rows:
            value = export.get(f"{attribute}_seconds", export.get(attribute))
            is_shown = export["recurring"] or not name.startswith("slots")
            assert (value or 0 if is_shown else None) == found.get((f"dataexport_{name}", frozenset(labels.items()))), (
                name
            )


def test_an_export_has_an_id_that_stays_and_its_newest_events(exporter: LocalExporter) -> None:
    listed = api(exporter, "exports", source="shop")["exports"]
    for each in listed:
        document = api(exporter, f"exports/{each['id']}")
        assert document["export"]["id"] == each["id"]
        events = document["events"]
        assert {event["request_id"] for event in events} == {"7" if each["export"] == "7" else "8"}
        assert [event["sequence"] for event in events] == sorted((e["sequence"] for e in events), reverse=True)
        assert len(events) == 2
    assert exporter.run("exports", "--config", str(exporter.config_path), "--json").stdout.count(listed[0]["id"]) == 1
    (nightly,) = api(exporter, "exports", source="quiet")["exports"]
    document = api(exporter, f"exports/{nightly['id']}")
    assert (document["events"], document["runs"], document["slots"]) == ([], [], [])
    assert document["deadline_explanation"]


def test_an_export_has_its_slots_and_runs(exporter: LocalExporter) -> None:
    (detected,) = api(exporter, "exports", search="7 amazon")["exports"]
    document = api(exporter, f"exports/{detected['id']}")
    assert [run["outcome"] for run in document["runs"]] == ["in progress", "superseded"]
    assert document["runs"][0]["started_at"] == detected["last_initiated"]
    assert (document["runs"][0]["ended_at"], document["runs"][0]["duration_seconds"]) == (None, None)
    assert len(document["slots"]) == detected["slots"]
    assert document["retired"] is False


def test_an_id_that_does_not_exist_is_not_found(exporter: LocalExporter) -> None:
    answer = exporter.admin("/api/v1/exports/0123456789abcdef")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_events_are_told_newest_first_or_followed_from_a_sequence(exporter: LocalExporter) -> None:
    newest = api(exporter, "events")["events"]
    assert [each["sequence"] for each in newest] == [4, 3, 2, 1]
    assert newest[0]["partner"] == "Microsoft Azure"
    assert newest[0]["arrived_at_seconds"] - newest[0]["occurred_at_seconds"] < 90
    assert [each["sequence"] for each in api(exporter, "events", limit=1)["events"]] == [4]
    assert [each["sequence"] for each in api(exporter, "events", after=1, limit=2)["events"]] == [2, 3]
    assert api(exporter, "events", after=4)["events"] == []
    assert api(exporter, "events", source="quiet")["events"] == []
    assert len(api(exporter, "events", source="shop", after=0)["events"]) == 4


def test_sources_are_told_with_their_counts(exporter: LocalExporter) -> None:
    quiet, shop = api(exporter, "sources")["sources"]
    assert (quiet["slug"], shop["slug"]) == ("quiet", "shop")
    assert (shop["events"]["initiated"], shop["quarantined"], shop["timezone"]) == (4, {"missing_key": 1}, "UTC")
    assert quiet["suspected_offset_seconds"] is None
    assert (shop["configured"], shop["webhook_path"]) == (True, "/webhooks/clevertap/shop")


def test_the_newest_refused_bodies_are_listed_with_the_check_that_failed(exporter: LocalExporter) -> None:
    for number in range(3):
        assert exporter.post(b"\xff" * (5000 + number), "shop").status_code == 400
    wait_until(lambda: len(api(exporter, "refused", source="shop")["refused"]) == 3, "they are stored")
    newest = api(exporter, "refused", source="shop", limit=1)["refused"][0]
    assert (newest["source"], newest["status"], newest["size"]) == ("shop", 400, 5002)
    assert newest["detail"].startswith("the body is not UTF-8: byte 0 is 0xFF")
    assert newest["body"] == "\ufffd" * 4096
    assert "shop" not in {each["source"] for each in api(exporter, "refused", source="quiet")["refused"]}


def test_what_was_not_understood_is_told_with_its_body(exporter: LocalExporter) -> None:
    odder, odd = api(exporter, "quarantine")["quarantine"]
    assert (odd["source"], odd["reason"], odd["body"]) == ("shop", "missing_key", '{"odd": "ü"}')
    assert api(exporter, "quarantine", source="quiet")["quarantine"] == [odder]
    assert api(exporter, "quarantine", limit=1)["quarantine"] == [odder]
    assert api(exporter, "quarantine", after=0)["quarantine"] == [odd, odder]
    assert api(exporter, "quarantine", after=odd["sequence"])["quarantine"] == [odder]


@pytest.mark.parametrize(
    ("path", "query", "name", "detail"),
    [
        ("exports", "state=lost", "state", "give one of never completed, "),
        ("exports", "source=elsewhere", "source", "give one of quiet, shop"),
        ("exports", "sorce=shop", "sorce", "did you mean source?"),
        ("exports", "limit=0", "limit", "give a whole number from 1 to 10000"),
        ("exports", "limit=10001", "limit", "give a whole number from 1 to 10000"),
        ("exports", "limit=1&limit=2", "limit", "given more than once"),
        ("events", "limit=", "limit", "give a whole number"),
        ("events", "limit=1.5", "limit", "give a whole number"),
        ("events", "limit=%D9%A1", "limit", "give a whole number"),
        ("events", "after=-1", "after", "give a whole number from 0 to 9223372036854775807"),
        ("events", "after=9223372036854775808", "after", "give a whole number"),
        ("events", f"after={'9' * 5000}"[:1500], "after", "give a whole number"),
        ("quarantine", "limit=101", "limit", "give a whole number from 1 to 100"),
        ("events", "before=1&before=2", "before", "given more than once"),
        ("exports", "offset=-1", "offset", "give a whole number from 0 to"),
        ("exports", "search=%1b", "search", "give 1 to 512 printable characters"),
        ("mutes", "state=muted", "state", "give one of active, past, left behind"),
        ("outages", "source=shop", "source", "the parameters here are limit, offset"),
        ("sources", "x=1", "x", "the parameters here are none"),
        ("openapi.json", "pretty", "pretty", "the parameters here are none"),
    ],
)
def test_a_wrong_parameter_is_named(exporter: LocalExporter, path: str, query: str, name: str, detail: str) -> None:
    document = refused(exporter, path, query)
    assert document["parameter"] == name
    assert document["detail"].startswith(f"{name}: ")
    assert detail in document["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_only_get_and_head_are_taken(exporter: LocalExporter, path: str) -> None:
    assert exporter.admin(f"/api/v1/{path}", "HEAD").status_code == 200
    answer = exporter.admin(f"/api/v1/{path}", "PUT")
    assert (answer.status_code, answer.headers["Content-Type"]) == (405, "application/problem+json")
    assert exporter.webhook("GET", f"/api/v1/{path}").status_code == 404


def test_the_largest_numbers_are_taken(exporter: LocalExporter) -> None:
    most = 2**63 - 1
    following = {"next": f"?after={most}&limit=100"}
    assert api(exporter, "events", after=most, limit=100) == {"events": []} | following
    assert api(exporter, "quarantine", after=most, limit=100) == {"quarantine": []} | following
    assert api(exporter, "exports", offset=most) == {"exports": [], "total": 3, "next": None}
    assert api(exporter, "events", before=most) == {"events": [], "next": None}


def test_the_description_names_both_listeners_and_every_path(exporter: LocalExporter) -> None:
    document = api(exporter, "openapi.json")
    jsonschema_rs.meta.validate(document["components"]["schemas"]["Export"])
    assert (document["openapi"], document["info"]["version"]) == ("3.1.0", __version__)
    assert document["servers"][0]["url"] == exporter.admin_url
    assert {f"/api/v1/{path}" for path in PATHS} < set(document["paths"])
    webhook = document["paths"]["/webhooks/clevertap/{source}"]
    assert webhook["servers"][0]["url"] == exporter.webhook_url
    assert webhook["post"]["parameters"][0]["schema"]["enum"] == ["quiet", "shop"]
    assert webhook["post"]["security"] == [{}]
    assert document["paths"]["/api/v1/events"]["get"]["security"] == []


def test_the_webhook_answers_as_it_is_described(tmp_path: Path) -> None:
    with LocalExporter(tmp_path) as exporter:
        document = api(exporter, "openapi.json")
        post = document["paths"]["/webhooks/clevertap/{source}"]["post"]
        for sent in (b"{}", b'{"is_test": true}', b"", b"[]"):
            answer = exporter.post(sent)
            responses = post["responses"][str(answer.status_code)]["content"]
            schema = responses[answer.headers["Content-Type"]]["schema"]
            jsonschema_rs.validate({**schema, "components": document["components"]}, answer.json())


def test_admin_credentials_guard_the_api_and_the_description_names_every_way_in(tmp_path: Path) -> None:
    toml = """
    [server]
    admin_tokens = ["an-admin-token-of-24"]
    admin_basic = { username = "u", password = "an-admin-password" }
    [[sources]]
    slug = "open"
    [[sources]]
    slug = "guarded"
    tokens = ["a-guarded-source-token"]
    [[sources]]
    slug = "headed"
    tokens = ["a-headed-source-token"]
    header = "X-Export-Token"
    basic = { username = "u", password = "a-source-password" }
    """
    with LocalExporter(tmp_path, toml) as exporter:
        for path in (*PATHS, "exports/0123456789abcdef"):
            assert exporter.admin(f"/api/v1/{path}").status_code == 401
        pair = base64.b64encode(b"u:an-admin-password").decode()
        document = exporter.admin("/api/v1/openapi.json", headers={"Authorization": f"Basic {pair}"}).json()
    assert document["paths"]["/api/v1/events"]["get"]["security"] == [{"bearer": []}, {"basic": []}, {"session": []}]
    post = document["paths"]["/webhooks/clevertap/{source}"]["post"]
    assert post["security"] == [{}, {"bearer": []}, {"X-Export-Token": []}, {"basic": []}]
    assert document["components"]["securitySchemes"]["X-Export-Token"]["name"] == "X-Export-Token"
