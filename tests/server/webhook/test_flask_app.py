"""The public listener of the real process: what it takes, whom it lets in, and what it never does.

Every test has a source of its own, so that none counts what another one sent.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import requests

from builders import SAMPLES, body, fields
from exporter.ingest.vendors.clevertap import REASONS
from problem_documents import assert_problem
from running import PATIENCE_SECONDS, Exporter, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN = (
    "samples",
    "content-types",
    "lists",
    "long-list",
    "chunks",
    "large",
    "hostile",
    "quarantine",
    "repeated",
    "crowd",
    "methods",
    "pages",
)
CLOSED = """
[[sources]]
slug = "bearer"
tokens = ["the-leaving-token", "the-coming-token"]

[[sources]]
slug = "custom"
tokens = ["the-custom-token"]
header = "X-Export-Token"

[[sources]]
slug = "basic"
basic = { username = "clevertap", password = "a-long-pass:wörd" }

[[sources]]
slug = "both"
tokens = ["the-either-token"]
basic = { username = "clevertap", password = "or-this-password" }
"""
CONFIGURATION = "".join(f'[[sources]]\nslug = "{slug}"\n' for slug in OPEN) + CLOSED


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with Exporter(tmp_path_factory.mktemp("receiver"), CONFIGURATION) as running:
        yield running
        assert "Traceback" not in running.log()


def test_the_documented_sample_is_accepted(exporter: Exporter) -> None:
    answer = exporter.post((SAMPLES / "completed-one-time.json").read_bytes(), "samples")
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 1, "duplicates": 0, "quarantined": 0}


def test_the_call_made_when_a_webhook_is_created_is_answered_with_200_and_is_no_event(exporter: Exporter) -> None:
    answer = exporter.post((SAMPLES / "webhook-created-test.json").read_bytes(), "samples")
    assert answer.status_code == 200
    assert answer.json() == {"test": True}
    assert exporter.value("dataexport_webhook_test_calls_total", source="samples") == 1
    assert exporter.value("dataexport_webhook_quarantined_total", source="samples", reason="missing_key") == 0


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain; charset=iso-8859-1",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
        "",
    ],
)
def test_the_content_type_does_not_matter(exporter: Exporter, content_type: str) -> None:
    announced = body(request_id=f"sent as {content_type or 'nothing'}")
    answer = exporter.post(announced, "content-types", {"Content-Type": content_type})
    assert answer.json() == {"accepted": 1, "duplicates": 0, "quarantined": 0}


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"Content-Encoding": "gzip"}, gzip.compress(body(request_id="gzip"), mtime=0)),
        ({"Content-Encoding": "deflate"}, zlib.compress(body(request_id="deflate"))),
        ({}, urlencode({"payload": body(request_id="form").decode()}).encode()),
        ({}, body(request_id="utf-16").decode().encode("utf-16")),
        (
            {"Content-Type": "application/json; charset=iso-8859-1"},
            json.dumps(fields(request_id="latin-1", Partner="Bücket"), ensure_ascii=False).encode("latin-1"),
        ),
    ],
)
def test_a_body_in_another_form_is_accepted_if_it_can_be_read_in_one_way(
    exporter: Exporter, headers: dict[str, str], data: bytes
) -> None:
    answer = exporter.webhook("POST", "/webhooks/clevertap/samples", data=data, headers=headers)
    assert answer.json() == {"accepted": 1, "duplicates": 0, "quarantined": 0}


def test_an_encoding_that_is_not_decoded_is_refused_by_its_name_and_a_bomb_by_its_size(exporter: Exporter) -> None:
    answer = exporter.webhook("POST", "/webhooks/clevertap/samples", data=body(), headers={"Content-Encoding": "br"})
    assert_problem(answer, 415)
    assert answer.json()["detail"] == "the Content-Encoding 'br' cannot be decoded; send gzip, deflate or identity"
    bomb = gzip.compress(bytes(5_000_000))
    answer = exporter.webhook("POST", "/webhooks/clevertap/samples", data=bomb, headers={"Content-Encoding": "gzip"})
    assert_problem(answer, 413)


def test_a_list_is_taken_event_by_event(exporter: Exporter) -> None:
    first, second = fields(request_id=1), fields(request_id=2)
    answer = exporter.post([first, second, first, {"Partner": "Amazon S3"}], "lists")
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 2, "duplicates": 1, "quarantined": 1}
    assert exporter.post([], "lists").json() == {"accepted": 0, "duplicates": 0, "quarantined": 0}


def test_a_list_may_have_a_thousand_events_and_no_more(exporter: Exporter) -> None:
    events = [fields(request_id=number) for number in range(1001)]
    assert_problem(exporter.post(events, "long-list"), 413)
    assert exporter.post(events[:1000], "long-list").json()["accepted"] == 1000


def test_a_body_in_chunks_is_taken(exporter: Exporter) -> None:
    announced = body(request_id=6)
    answer = exporter.webhook("POST", "/webhooks/clevertap/chunks", data=iter([announced[:40], announced[40:]]))
    assert answer.json() == {"accepted": 1, "duplicates": 0, "quarantined": 0}


def test_a_body_over_the_limit_is_refused_however_it_is_sent(exporter: Exporter) -> None:
    limit = 1048576
    padded = body(request_id=7).ljust(limit)
    assert_problem(exporter.post(padded + b" ", "large"), 413)
    assert_problem(exporter.post(padded * 5, "large"), 413)
    in_chunks = iter([padded, b" "])
    assert_problem(exporter.webhook("POST", "/webhooks/clevertap/large", data=in_chunks), 413)
    assert exporter.post(padded, "large").json()["accepted"] == 1


def test_an_event_over_its_own_limit_is_refused(exporter: Exporter) -> None:
    assert_problem(exporter.post(fields(request_id=8, Note="x" * 65536), "large"), 413)


HOSTILE = {
    "empty": b"",
    "white space": b" \r\n",
    "no JSON": b"Status=Completed&Partner=Amazon+S3",
    "cut off": body()[:-1],
    "more after the end": body() + b"{}",
    "list cut off": b"[" + body() + b",",
    "list without commas": b"[" + body() + b" " + body() + b"]",
    "string": b'"Completed"',
    "number": b"1690283492",
    "null": b"null",
    "true": b"true",
    "list of lists": b"[[]]",
    "10,000 lists deep": b"[" * 10_000 + b"]" * 10_000,
    "10,000 objects deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "NaN": b'{"Export Request Id": NaN}',
    "Infinity": b'{"Export Request Id": -Infinity}',
    "5,000 digits": b'{"Export Request Id": ' + b"1" * 5_000 + b"}",
    "broken UTF-16": body().decode().encode("utf-16") + b"}",
    "invalid UTF-8": b'{"Partner": "\xff\xfe"}',
    "overlong UTF-8": b'{"Partner": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"Partner": "\xed\xa0\x80"}',
    "raw control character": b'{"Partner": "a\x00b"}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_and_does_no_harm(exporter: Exporter, kind: str) -> None:
    assert_problem(exporter.post(HOSTILE[kind], "hostile"), 400)


NOT_UNDERSTOOD = {
    "missing_key": {"Partner": "Amazon S3"},
    "duplicate_key": body().replace(b'"Type"', b'"Partner": "Azure", "Type"'),
    "wrong_type": fields(Partner=["Amazon S3"]),
    "empty_text": fields(Status="  "),
    "text_too_long": fields(Partner="x" * 129),
    "unprintable_text": fields(Partner="lone \ud800 surrogate"),
    "bad_date": fields(when="06/31/2026 12:00:00 AM"),
    "date_out_of_range": fields(when="01/06/9999 12:00:00 AM"),
}


def test_there_is_a_body_for_every_reason() -> None:
    assert set(NOT_UNDERSTOOD) == set(REASONS)


def test_what_is_not_understood_is_answered_with_200_kept_and_shown(exporter: Exporter) -> None:
    for sent in NOT_UNDERSTOOD.values():
        assert exporter.post(sent, "quarantine").json() == {"accepted": 0, "duplicates": 0, "quarantined": 1}
    listed = exporter.run("quarantine", "--json", "--limit", "100", "--config", str(exporter.config_path))
    kept = {each["reason"]: each for each in json.loads(listed.stdout) if each["source"] == "quarantine"}
    for reason, sent in NOT_UNDERSTOOD.items():
        assert kept[reason]["body"].encode() == (sent if isinstance(sent, bytes) else json.dumps(sent).encode())
        assert kept[reason]["detail"]
        assert exporter.value("dataexport_webhook_quarantined_total", source="quarantine", reason=reason) == 1


def test_the_same_body_again_is_a_duplicate(exporter: Exporter) -> None:
    unclear = {"Partner": "Amazon S3"}
    answers = [exporter.post(sent, "repeated").json() for sent in (fields(), fields(), unclear, unclear)]
    assert [answer["duplicates"] for answer in answers] == [0, 1, 0, 1]
    assert exporter.value("dataexport_webhook_duplicates_total", source="repeated") == 2


def test_of_one_body_from_fifty_senders_at_once_exactly_one_is_counted(exporter: Exporter) -> None:
    announced = body(request_id=9)
    url = f"{exporter.webhook_url}/webhooks/clevertap/crowd"

    def deliver(_: int) -> list[dict[str, int]]:
        with requests.Session() as session:
            session.trust_env = False
            return [session.post(url, announced, timeout=PATIENCE_SECONDS).json() for _ in range(20)]

    with ThreadPoolExecutor(50) as senders:
        answers = [answer for told in senders.map(deliver, range(50)) for answer in told]
    assert sum(answer["accepted"] for answer in answers) == 1
    assert sum(answer["duplicates"] for answer in answers) == 999
    assert exporter.value("dataexport_webhook_events_total", source="crowd", status="initiated") == 1
    assert exporter.value("dataexport_webhook_duplicates_total", source="crowd") == 999
    assert exporter.value("dataexport_webhook_requests_total", source="crowd", code="200") == 1000


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ("bearer", {"Authorization": "Bearer the-leaving-token"}),
        ("bearer", {"Authorization": "bearer the-coming-token"}),
        ("custom", {"X-Export-Token": "the-custom-token"}),
        ("basic", {"Authorization": basic("clevertap", "a-long-pass:wörd")}),
        ("both", {"Authorization": "Bearer the-either-token"}),
        ("both", {"Authorization": basic("clevertap", "or-this-password")}),
    ],
)
def test_a_valid_credential_opens_its_source(exporter: Exporter, source: str, headers: dict[str, str]) -> None:
    answer = exporter.post({"is_test": True}, source, headers)
    assert answer.status_code == 200, answer.text


# Together they stay under the ten failures a minute from which on an address is told to wait.
@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ("bearer", {}),
        ("bearer", {"Authorization": "Bearer the-custom-token"}),
        ("bearer", {"Authorization": "the-leaving-token"}),
        ("custom", {"Authorization": "Bearer the-custom-token"}),
        ("basic", {"Authorization": basic("clevertap", "wrong")}),
        ("basic", {"Authorization": "Basic not*base64"}),
        ("both", {"Authorization": b"Bearer \xff\xfe"}),
    ],
)
def test_anything_else_is_told_to_show_one(exporter: Exporter, source: str, headers: dict[str, str]) -> None:
    before = exporter.value("dataexport_webhook_auth_failures_total", source=source)
    answer = exporter.post({"is_test": True}, source, headers)
    assert_problem(answer, 401)
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert "Basic" in answer.headers["WWW-Authenticate"]
    after = exporter.value("dataexport_webhook_auth_failures_total", source=source)
    assert before is not None
    assert after == before + 1


def test_an_unknown_source_is_answered_as_any_unknown_path(exporter: Exporter) -> None:
    def told(path: str) -> tuple[int, bytes, dict[str, str]]:
        answer = exporter.webhook("POST", path, data=body())
        return answer.status_code, answer.content, dict(answer.headers) | {"Date": ""}

    unknown_path = told("/nothing/there")
    assert unknown_path[0] == 404
    assert told("/webhooks/clevertap/nobody") == unknown_path
    assert told("/webhooks/clevertap/bearer/") == unknown_path


def test_a_refused_body_of_an_authenticated_sender_is_kept_and_logged_with_the_check_that_failed(
    exporter: Exporter,
) -> None:
    path = "/webhooks/clevertap/custom"
    sent: list[tuple[dict[str, str], bytes]] = [
        ({}, b"{broken"),
        ({"Content-Encoding": "br"}, b"\x1b\x03"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"{also broken", mtime=0)),
        ({}, b" " * 1048577),
    ]
    assert_problem(exporter.webhook("POST", path, data=b"{of a stranger"), 401)
    for headers, data in sent:
        refused = exporter.webhook("POST", path, data=data, headers=headers | {"X-Export-Token": "the-custom-token"})
        assert refused.status_code in {400, 413, 415}

    def kept() -> list[dict[str, object]]:
        listed: list[dict[str, object]] = exporter.admin("/api/v1/refused?source=custom").json()["refused"]
        return listed

    wait_until(lambda: len(kept()) == len(sent), "they are stored")
    assert [(body["status"], body["size"], body["body"]) for body in kept()] == [
        (413, 0, ""),
        (400, 12, "{also broken"),
        (415, 2, "\x1b\x03"),
        (400, 7, "{broken"),
    ]
    assert [str(body["detail"])[:30] for body in kept()] == [
        "the body is larger than limits",
        "the body is not JSON: it ends ",
        "the Content-Encoding 'br' cann",
        "the body is not JSON: it ends ",
    ]
    log = exporter.log()
    assert all(json.dumps(body["detail"]) in log for body in kept())


def test_an_encoded_slash_separates_nothing(exporter: Exporter) -> None:
    for path in ("/webhooks%2Fclevertap%2Fpages", "/webhooks/clevertap%2fpages", "/webhooks/clevertap/pages%2F"):
        assert exporter.webhook("POST", path, data=body()).status_code == 404
    assert exporter.webhook("POST", "/webhooks/clever%74ap/pages", data=body()).status_code == 200


def test_a_web_page_cannot_post_and_a_source_without_credential_has_only_names_of_loopback(exporter: Exporter) -> None:
    bearer = {"Authorization": "Bearer the-coming-token"}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert_problem(exporter.post({"is_test": True}, "pages", headers), 403)
        assert_problem(exporter.post({"is_test": True}, "bearer", headers | bearer), 403)
    assert_problem(exporter.post({"is_test": True}, "pages", {"Host": "rebound.example"}), 403)
    assert exporter.post({"is_test": True}, "pages", {"Host": "localhost:1"}).status_code == 200
    assert exporter.post({"is_test": True}, "bearer", {"Host": "exports.example"} | bearer).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_webhook_takes_post_alone(exporter: Exporter, method: str) -> None:
    answer = exporter.webhook(method, "/webhooks/clevertap/methods")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/metrics/"),
        ("GET", "/-/ready"),
        ("POST", "/-/reload"),
        ("GET", "/favicon.ico"),
        ("GET", "/static/status.html"),
        ("GET", "/webhooks"),
        ("GET", "/webhooks/clevertap/"),
        ("POST", "/webhooks/clevertap/"),
        ("POST", "/webhooks/othervendor/samples"),
    ],
)
def test_the_public_port_shows_nothing_but_the_webhook(exporter: Exporter, method: str, path: str) -> None:
    host = {"Host": f"127.0.0.1:{exporter.admin_port}"}  # what a client claims must not matter
    for headers in ({}, host):
        assert_problem(exporter.webhook(method, path, headers=headers), 404)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_load_balancer_gets_200_and_nothing_else_and_is_not_counted(exporter: Exporter, method: str) -> None:
    counter = "dataexport_webhook_requests_total"
    before = exporter.value(counter, source="unknown", code="200")
    answer = exporter.webhook(method, "/-/healthy")
    assert (answer.status_code, answer.content) == (200, b"")
    assert exporter.value(counter, source="unknown", code="200") == before


def test_the_health_of_the_public_port_takes_get_and_head_alone(exporter: Exporter) -> None:
    answer = exporter.webhook("POST", "/-/healthy", data=b"{}")
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD"


def test_the_admin_port_takes_no_webhook(exporter: Exporter) -> None:
    assert_problem(exporter.admin("/webhooks/clevertap/samples", "POST", data=body(request_id=10)), 404)
