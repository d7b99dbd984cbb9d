"""Listing a bucket of each kind: what counts, what is too much, and each fault in our own words."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from bucket_server import ACCOUNT, bucket_server
from exporter.domain.landing import Found, Landing
from exporter.server.landing import object_store
from exporter.server.landing.object_store import ListingError, find_files
from monitoring import ROOT
from object_stores import AZURE_KEY, SCHEMES, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucket_server import BucketServer


@pytest.fixture
def server() -> Iterator[BucketServer]:
    with bucket_server() as server:
        yield server


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(object_store, "LONGEST_RETRY_SECONDS", 0.02)


def reason(landing: Landing, url: str | None = None, **more: object) -> str:
    with pytest.raises(ListingError) as failed:
        find_files(landing, url or landing.url, 0, **more)  # type: ignore[arg-type] # a clock only
    assert AZURE_KEY not in str(failed.value)
    return failed.value.reason


def test_files_modified_since_an_instant_count(server: BucketServer, scheme: str) -> None:
    server.put("a/2026-06-01/old", 1, 999)
    server.put("a/2026-06-01/one", 10, 1000)
    server.put("a/2026-06-01/two", 20, 2000)
    server.put("a/2026-06-02/other", 40, 2000)
    landing = ObjectStore(scheme, server.url).landing()
    assert find_files(landing, f"{scheme}://exports/a/2026-06-01/", 1000) == Found(2, 30, 2000)
    assert find_files(landing, f"{scheme}://exports/", 0) == Found(4, 71, 2000)
    assert find_files(landing, f"{scheme}://exports/nothing/", 0) == Found(0, 0, 0)


def test_the_prefix_may_end_within_a_name(server: BucketServer, scheme: str) -> None:
    for name in ("a/76-x", "a/77-x", "a/77-y/z", "a/78-x", "77-x"):
        server.put(name, 1, 1000)
    landing = ObjectStore(scheme, server.url).landing()
    assert find_files(landing, f"{scheme}://exports/a/77-", 0) == Found(2, 2, 1000)
    assert find_files(landing, f"{scheme}://exports/77-", 0) == Found(1, 1, 1000)


def test_a_listing_of_many_pages_is_read_whole_up_to_the_limit(server: BucketServer, scheme: str) -> None:
    for number in range(25):
        server.put(f"a/{number:03}", 2, 1000)
    server.page_size = 10
    assert find_files(ObjectStore(scheme, server.url).landing(max_objects=25), f"{scheme}://exports/a/", 0) == Found(
        25, 50, 1000
    )
    assert server.requests == 3
    assert (
        reason(ObjectStore(scheme, server.url).landing(max_objects=24), f"{scheme}://exports/a/")
        == object_store.TOO_MANY
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, object_store.DENIED),
        (403, object_store.DENIED),
        (429, object_store.THROTTLED),
        (503, object_store.THROTTLED),
        (400, object_store.FAILED),
    ],
)
def test_a_refusal_is_named(server: BucketServer, scheme: str, status: int, expected: str) -> None:
    server.statuses = [status] * 20
    assert reason(ObjectStore(scheme, server.url).landing()) == expected


def test_a_store_that_is_busy_for_a_moment_is_asked_again(server: BucketServer, scheme: str) -> None:
    server.put("one", 1, 1000)
    server.statuses = [503, 200]
    assert find_files(ObjectStore(scheme, server.url).landing(), f"{scheme}://exports/", 0) == Found(1, 1, 1000)


def test_no_such_bucket(server: BucketServer, scheme: str) -> None:
    assert reason(ObjectStore(scheme, server.url).landing(), f"{scheme}://elsewhere/") == object_store.NO_BUCKET


def test_a_listing_that_breaks_off_is_no_answer(server: BucketServer, scheme: str) -> None:
    for number in range(20):
        server.put(f"{number:03}", 2, 1000)
    server.page_size, server.cut_off_on_page = 10, 2
    assert reason(ObjectStore(scheme, server.url).landing()) == object_store.CUT_OFF


def test_a_store_that_does_not_answer_is_given_up(server: BucketServer, scheme: str) -> None:
    server.hanging.set()
    assert reason(ObjectStore(scheme, server.url).landing(timeout=1)) == object_store.TIMED_OUT


def test_a_listing_may_not_take_longer_than_the_timeout(server: BucketServer, scheme: str) -> None:
    server.put("one", 1, 1000)
    times = iter([0.0, 21.0, 21.0, 21.0])
    assert (
        reason(ObjectStore(scheme, server.url).landing(timeout=20), monotonic=lambda: next(times))
        == object_store.TIMED_OUT
    )


def test_a_store_that_cannot_be_reached(scheme: str) -> None:
    assert reason(ObjectStore(scheme, "http://127.0.0.1:9").landing()) == object_store.UNREACHABLE


def test_a_key_that_is_none_is_no_traceback() -> None:
    landing = Landing("az://exports/", options=(("account", ACCOUNT),), secrets=(("account_key", "§"),))
    assert reason(landing) == object_store.CUT_OFF


@pytest.mark.parametrize("prefix", ["PREFIX/2026-06-01/", "PREFIX/77-", "PREFIX/"])
def test_the_policy_of_the_guide_allows_what_is_asked_and_nothing_else(server: BucketServer, prefix: str) -> None:
    guide = (ROOT / "docs" / "how-to" / "check-that-files-landed.md").read_text("utf-8")
    [statement] = json.loads(re.findall(r"```json\n(.*?)```", guide, re.DOTALL)[0])["Statement"]
    [pattern] = statement.pop("Condition")["StringLike"]["s3:prefix"]
    assert statement == {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::BUCKET"}
    find_files(ObjectStore("s3", server.url).landing(), f"s3://exports/{prefix}", 0)
    assert [fnmatchcase(asked, pattern) for asked in server.prefixes] == [True]
    assert not fnmatchcase("", pattern)
