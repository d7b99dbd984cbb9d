"""Listing a bucket of each kind: what counts, what is too much, and each fault in our own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucket_server import ACCOUNT, bucket_server
from exporter.domain.landing import Found, Landing
from exporter.server.landing import object_store
from exporter.server.landing.object_store import ListingError, find_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucket_server import BucketServer

KEY = "YWNjb3VudGtleQ=="


def landing_at(scheme: str, url: str, **limits: int) -> Landing:
    """Return a landing in the bucket of a server on loopback."""
    endpoint = f"{url}/{ACCOUNT}" if scheme == "az" else url
    options = {
        "s3": {"region": "us-east-1", "access_key_id": "id"},
        "gs": {"anonymous": "true"},
        "az": {"account": ACCOUNT},
    }
    secrets = {"s3": {"secret_access_key": "secret"}, "gs": {}, "az": {"account_key": KEY}}
    return Landing(
        f"{scheme}://exports/",
        timeout=limits.pop("timeout", 20),
        max_objects=limits.pop("max_objects", 100_000),
        options=(*options[scheme].items(), ("endpoint", endpoint)),
        secrets=tuple(secrets[scheme].items()),
    )


@pytest.fixture
def server() -> Iterator[BucketServer]:
    with bucket_server() as server:
        yield server


@pytest.fixture(params=["s3", "gs", "az"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(object_store, "LONGEST_RETRY_SECONDS", 0.02)


def reason(landing: Landing, url: str | None = None, **more: object) -> str:
    with pytest.raises(ListingError) as failed:
        find_files(landing, url or landing.url, 0, **more)  # type: ignore[arg-type] # a clock only
    assert "secret" not in str(failed.value)
    assert KEY not in str(failed.value)
    return failed.value.reason


def test_files_modified_since_an_instant_count(server: BucketServer, scheme: str) -> None:
    server.put("a/2026-06-01/old", 1, 999)
    server.put("a/2026-06-01/one", 10, 1000)
    server.put("a/2026-06-01/two", 20, 2000)
    server.put("a/2026-06-02/other", 40, 2000)
    landing = landing_at(scheme, server.url)
    assert find_files(landing, f"{scheme}://exports/a/2026-06-01/", 1000) == Found(2, 30, 2000)
    assert find_files(landing, f"{scheme}://exports/", 0) == Found(4, 71, 2000)
    assert find_files(landing, f"{scheme}://exports/nothing/", 0) == Found(0, 0, 0)


def test_the_prefix_may_end_within_a_name(server: BucketServer, scheme: str) -> None:
    for name in ("a/76-x", "a/77-x", "a/77-y/z", "a/78-x", "77-x"):
        server.put(name, 1, 1000)
    landing = landing_at(scheme, server.url)
    assert find_files(landing, f"{scheme}://exports/a/77-", 0) == Found(2, 2, 1000)
    assert find_files(landing, f"{scheme}://exports/77-", 0) == Found(1, 1, 1000)


def test_a_listing_of_many_pages_is_read_whole_up_to_the_limit(server: BucketServer, scheme: str) -> None:
    for number in range(25):
        server.put(f"a/{number:03}", 2, 1000)
    server.page_size = 10
    assert find_files(landing_at(scheme, server.url, max_objects=25), f"{scheme}://exports/a/", 0) == Found(
        25, 50, 1000
    )
    assert server.requests == 3
    assert reason(landing_at(scheme, server.url, max_objects=24), f"{scheme}://exports/a/") == object_store.TOO_MANY


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
    assert reason(landing_at(scheme, server.url)) == expected


def test_a_store_that_is_busy_for_a_moment_is_asked_again(server: BucketServer, scheme: str) -> None:
    server.put("one", 1, 1000)
    server.statuses = [503, 200]
    assert find_files(landing_at(scheme, server.url), f"{scheme}://exports/", 0) == Found(1, 1, 1000)


def test_no_such_bucket(server: BucketServer, scheme: str) -> None:
    assert reason(landing_at(scheme, server.url), f"{scheme}://elsewhere/") == object_store.NO_BUCKET


def test_a_listing_that_breaks_off_is_no_answer(server: BucketServer, scheme: str) -> None:
    for number in range(20):
        server.put(f"{number:03}", 2, 1000)
    server.page_size, server.cut_off_on_page = 10, 2
    assert reason(landing_at(scheme, server.url)) == object_store.CUT_OFF


def test_a_store_that_does_not_answer_is_given_up(server: BucketServer, scheme: str) -> None:
    server.hanging.set()
    assert reason(landing_at(scheme, server.url, timeout=1)) == object_store.TIMED_OUT


def test_a_listing_may_not_take_longer_than_the_timeout(server: BucketServer, scheme: str) -> None:
    server.put("one", 1, 1000)
    times = iter([0.0, 21.0, 21.0, 21.0])
    assert reason(landing_at(scheme, server.url), monotonic=lambda: next(times)) == object_store.TIMED_OUT


def test_a_store_that_cannot_be_reached(scheme: str) -> None:
    assert reason(landing_at(scheme, "http://127.0.0.1:9")) == object_store.UNREACHABLE


def test_a_key_that_is_none_is_no_traceback() -> None:
    landing = Landing("az://exports/", options=(("account", ACCOUNT),), secrets=(("account_key", "§"),))
    assert reason(landing) == object_store.CUT_OFF
