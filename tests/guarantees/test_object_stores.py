"""Files are found in Amazon S3, Google Cloud Storage and Azure Blob Storage, whatever these do.

moto is the S3, and Azurite the Azure. moto answers the client for Google Cloud Storage as well, which lists by the XML
interface that both share. The small bucket server of the other tests answers as they do.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests

import object_stores
from bucket_server import BUCKET, bucket_server
from builders import HOUR
from exporter.domain.exports import DECLARED, ExportKey
from exporter.domain.landing import ERROR, LANDED, NOTHING, SMALL, LandingCheck, Target
from exporter.domain.landing_history import LandingHistory
from exporter.domain.states import ExportState
from exporter.projection.landings import ExportWithLanding
from exporter.server.landing import object_store
from exporter.server.landing.checker import make_check
from exporter.server.landing.object_store import (
    NO_BUCKET,
    TOO_MANY,
    ListingError,
    find_files,
)
from object_stores import SCHEMES, ObjectStore, faulty_proxy
from running import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.domain.landing import Landing

pytestmark = pytest.mark.proof

NAMES = ["a/2026-06-01/one", "a/2026-06-01/two/three", "a/76-x", "a/77-x", "a/77-y/z", "a/78-x"]
MANY = 1100
HUNDRED_THOUSAND = 100_000
RECENT = 600
LATER = 4e9
KEY = ExportKey("shop", DECLARED, "nightly")
STATE = ExportState("shop", "nightly", "", "", "", "UTC", declared=True, key=KEY)


def outcomes(store: ObjectStore) -> dict[str, object]:
    """Return what each kind of listing finds, or the reason why it fails."""
    prefixes = {
        "a folder": "a/2026-06-01/",
        "the whole bucket": "",
        "part of a name": "a/77-",
        "nothing": "b/",
        "a folder without its slash": "a/2026-06-01",
        "many pages": "many/",
    }
    found: dict[str, object] = {name: _outcome(store.landing(prefix)) for name, prefix in prefixes.items()}
    found["before the run"] = _outcome(store.landing("a/"), since=LATER)
    found["too many"] = _outcome(store.landing("many/", max_objects=MANY - 1))
    found["no bucket"] = _outcome(replace(store, bucket="no-such-bucket").landing())
    return found


def _outcome(landing: Landing, since: float = 0) -> object:
    try:
        found = find_files(landing, landing.url, since)
    except ListingError as error:
        return error.reason
    assert bool(found.newest) == bool(found.objects)
    return found.objects, found.size


EXPECTED = {
    "a folder": (2, len(NAMES[0]) + len(NAMES[1])),
    "the whole bucket": (len(NAMES) + MANY, sum(map(len, NAMES)) + MANY),
    "part of a name": (2, len(NAMES[3]) + len(NAMES[4])),
    "nothing": (0, 0),
    "a folder without its slash": (2, len(NAMES[0]) + len(NAMES[1])),
    "many pages": (MANY, MANY),
    "before the run": (0, 0),
    "too many": TOO_MANY,
    "no bucket": NO_BUCKET,
}


def fill(put_object: Callable[[str, bytes], object]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: put_object(name, b"x" * len(name)), NAMES))
        list(pool.map(lambda number: put_object(f"many/{number:04}", b"x"), range(MANY)))


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with object_stores.moto() as url:
        fill(ObjectStore("s3", url).put)
        yield url


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with object_stores.azurite(tmp_path_factory.mktemp("azurite")) as url:
        fill(ObjectStore("az", url).put)
        yield url


@pytest.fixture(params=SCHEMES)
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """The emulator of each client."""
    scheme = str(request.param)
    return ObjectStore(scheme, request.getfixturevalue("azurite" if scheme == "az" else "moto"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(object_store, "LONGEST_RETRY_SECONDS", 0.02)


def look(landing: Landing, since: float) -> LandingCheck:
    """Look once for the files of a run that started at an instant."""
    target = Target(since, since, since, "77", since, since + landing.within)
    return make_check(ExportWithLanding(KEY, STATE, landing, None), target)


def test_the_emulator_lists_as_expected(store: ObjectStore) -> None:
    assert outcomes(store) == EXPECTED


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_small_server_lists_the_same(scheme: str) -> None:
    with bucket_server() as server:
        fill(lambda name, content: server.put(name, len(content), 1.8e9))
        assert outcomes(ObjectStore(scheme, server.url)) == EXPECTED


@pytest.fixture
def late_files(store: ObjectStore) -> Iterator[tuple[str, str]]:
    """The names of two files in a folder of their own, which are removed at the end: other tests list the bucket."""
    names = (f"late/{store.scheme}/one", f"late/{store.scheme}/two")
    yield names
    store.delete(names)


def test_nothing_then_too_little_then_late_files(store: ObjectStore, late_files: tuple[str, str]) -> None:
    started_at = time.time() - RECENT
    landing = store.landing("late/" + store.scheme, min_objects=2, min_bytes=10)
    assert look(landing, started_at).result == NOTHING
    store.put(late_files[0], b"x" * 100)
    assert look(landing, started_at).result == SMALL
    store.put(late_files[1], b"x")
    check = look(landing, started_at)
    assert (check.result, check.objects, check.size) == (LANDED, 2, 101)
    assert 0 <= time.time() - check.newest < RECENT
    assert look(landing, time.time() + RECENT).result == NOTHING


@contextmanager
def checking_credentials(store: ObjectStore) -> Iterator[None]:
    """Let moto check credentials for a time, as Azurite always does."""
    requests.post(f"{store.url}/moto-api/reset-auth", data="0", timeout=PATIENCE_SECONDS)
    try:
        yield
    finally:
        requests.post(f"{store.url}/moto-api/reset-auth", data="inf", timeout=PATIENCE_SECONDS)


def test_access_denied(store: ObjectStore) -> None:
    if store.scheme == "gs":  # moto fails on a request without a signature when it checks them
        with faulty_proxy(store.url) as proxy:
            proxy.statuses = [403]
            check = look(replace(store, url=proxy.url).landing(), 0)
    else:
        with checking_credentials(store):
            check = look(store.landing(key="d3Jvbmc="), 0)
    assert check.result == ERROR
    assert check.detail.startswith(f"{store.scheme}://{BUCKET} may not be listed (status 403); allow ")


def test_no_such_bucket(store: ObjectStore) -> None:
    check = look(replace(store, bucket="no-such-bucket").landing(), 0)
    assert check.result == ERROR
    assert check.detail.startswith(f"{store.scheme}://no-such-bucket does not exist; correct landing.url")


@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_throttles_is_asked_again_and_then_given_up(store: ObjectStore, status: int) -> None:
    with faulty_proxy(store.url) as proxy:
        through = replace(store, url=proxy.url)
        proxy.statuses = [status, status]
        assert look(through.landing("a/2026-06-01/"), 0).result == LANDED
        assert proxy.requests == 3
        proxy.statuses = [status] * 100
        check = look(through.landing("a/2026-06-01/"), 0)
        assert check.result == ERROR
        assert (
            check.detail == f"{store.scheme}://{BUCKET} asks for fewer requests (status {status}), also after retries"
        )
        assert proxy.requests == 3 + 1 + object_store.MAX_RETRIES


def test_a_slow_store_is_waited_for_as_long_as_the_timeout(store: ObjectStore) -> None:
    with faulty_proxy(store.url) as proxy:
        through = replace(store, url=proxy.url)
        proxy.delay = 0.5
        assert look(through.landing("many/"), 0).result == LANDED
        proxy.delay = 3
        check = look(through.landing("many/", timeout=1), 0)
        assert check.result == ERROR
        assert "could not be listed within 1 s" in check.detail


@pytest.mark.parametrize("scheme", SCHEMES)
def test_files_from_a_clock_that_is_ahead_count_from_the_check_on(tmp_path: Path, scheme: str) -> None:
    run = object_stores.azurite(tmp_path, ahead=HOUR) if scheme == "az" else object_stores.moto(ahead=HOUR)
    with run as url:
        store = ObjectStore(scheme, url)
        store.put("a/file", b"x")
        now = time.time()
        check = replace(look(store.landing("a/"), now - RECENT), checked_at=now, sequence=1)
    assert check.result == LANDED
    assert check.newest > now + RECENT
    history = LandingHistory()
    history.add(check)
    assert history.state(STATE, store.landing("a/"), now).landed_at == now


@pytest.fixture(scope="module")
def full_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("full-azurite")
    with object_stores.azurite(folder) as url:
        ObjectStore("az", url).put("a/000000", b"x" * 10)
    multiply(folder / "__azurite_db_blob__.json")
    with object_stores.azurite_on(folder) as url:
        yield url


def multiply(database: Path) -> None:
    """Make many blobs of the only one in the database of Azurite; uploading them would take minutes."""
    content: dict[str, Any] = json.loads(database.read_text("utf-8"))
    [blobs] = [each for each in content["collections"] if each["name"] == "$BLOBS_COLLECTION$"]
    [blob] = blobs["data"]
    blobs["data"] = [{**blob, "name": f"a/{number:06}", "$loki": number + 1} for number in range(HUNDRED_THOUSAND)]
    blobs["maxId"], blobs["idIndex"] = HUNDRED_THOUSAND, None
    for index in blobs["binaryIndices"].values():
        index |= {"dirty": True, "values": []}
    database.write_text(json.dumps(content), "utf-8")


def test_a_hundred_thousand_objects_are_listed_in_azurite(full_azurite: str) -> None:
    assert_all_are_listed(ObjectStore("az", full_azurite))


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_hundred_thousand_objects_are_listed(scheme: str) -> None:
    # In the small server, since moto sorts all of them again for each page.
    with bucket_server() as server:
        for number in range(HUNDRED_THOUSAND):
            server.put(f"a/{number:06}", 10, 1.8e9)
        assert_all_are_listed(ObjectStore(scheme, server.url))


def assert_all_are_listed(store: ObjectStore) -> None:
    check = look(store.landing("a/", timeout=600), 0)
    assert (check.result, check.objects, check.size) == (LANDED, HUNDRED_THOUSAND, 10 * HUNDRED_THOUSAND)
    assert look(store.landing("a/", max_objects=3000), 0).detail.startswith("more than 3000 objects are in the folder")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_listing_that_breaks_off_is_never_part_of_an_answer(request: pytest.FixtureRequest, scheme: str) -> None:
    # Azurite lists 5,000 objects in an answer, the others 1,000: each of the two has several pages.
    emulator, folder = ("full_azurite", "a/") if scheme == "az" else ("moto", "many/")
    with faulty_proxy(request.getfixturevalue(emulator)) as proxy:
        landing = ObjectStore(scheme, proxy.url).landing(folder)
        proxy.cut_off = tuple(range(2, 20))
        check = look(landing, 0)
        assert (check.result, check.objects) == (ERROR, 0)
        assert (
            check.detail == f"{landing.url} could not be listed to its end: the answer broke off, or is not a listing"
        )
        assert proxy.requests >= 2
