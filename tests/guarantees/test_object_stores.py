"""The small bucket server of the tests answers as moto's S3 and as Azurite do; they list the same files.

moto answers the client for Google Cloud Storage as well, which lists by the XML interface that both share.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
import requests
from obstore import put
from obstore.store import AzureStore, S3Store

from bucket_server import ACCOUNT, BUCKET, BucketServer, bucket_server
from exporter.domain.landing import Found, Landing
from exporter.server.landing.object_store import DENIED, NO_BUCKET, TOO_MANY, ListingError, find_files
from monitoring import find_tool, wait_for
from ports import free_port
from tools import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.proof

AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that every Azurite has; it is no secret."""
NAMES = ["a/2026-06-01/one", "a/2026-06-01/two/three", "a/76-x", "a/77-x", "a/77-y/z", "a/78-x"]
MANY = 1100
LATER = 4e9


def landing_at(scheme: str, url: str, *, key: str = "", max_objects: int = 100_000) -> Landing:
    """Return a landing in a store on loopback, with its right key unless another one is given."""
    endpoint = f"{url}/{ACCOUNT}" if scheme == "az" else url
    options = {
        "s3": (("region", "us-east-1"), ("access_key_id", "testing")),
        "gs": (("anonymous", "true"),),
        "az": (("account", ACCOUNT),),
    }
    secrets = {"s3": (("secret_access_key", key or "testing"),), "gs": (), "az": (("account_key", key or AZURE_KEY),)}
    return Landing(
        f"{scheme}://{BUCKET}/",
        max_objects=max_objects,
        timeout=60,
        options=(*options[scheme], ("endpoint", endpoint)),
        secrets=secrets[scheme],
    )


def outcomes(scheme: str, url: str) -> dict[str, object]:
    """Return what each kind of listing finds, or the reason why it fails."""
    prefixes = {
        "a folder": "a/2026-06-01/",
        "the whole bucket": "",
        "part of a name": "a/77-",
        "nothing": "b/",
        "a folder without its slash": "a/2026-06-01",
        "many pages": "many/",
    }
    found: dict[str, object] = {
        name: _outcome(landing_at(scheme, url), f"{scheme}://{BUCKET}/{prefix}") for name, prefix in prefixes.items()
    }
    found["before the run"] = _outcome(landing_at(scheme, url), f"{scheme}://{BUCKET}/a/", since=LATER)
    found["too many"] = _outcome(landing_at(scheme, url, max_objects=MANY - 1), f"{scheme}://{BUCKET}/many/")
    found["no bucket"] = _outcome(landing_at(scheme, url), f"{scheme}://no-such-bucket/")
    return found


def _outcome(landing: Landing, url: str, since: float = 0) -> object:
    try:
        found = find_files(landing, url, since)
    except ListingError as error:
        return error.reason
    assert bool(found.newest) == bool(found.objects)
    return found.objects, found.size


def fill(put_object: Callable[[str, bytes], object]) -> None:
    for name in NAMES:
        put_object(name, b"x" * len(name))
    for number in range(MANY):
        put_object(f"many/{number:04}", b"x")


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


@contextmanager
def running(command: list[str], url: str) -> Iterator[str]:
    """Run an emulator until the end."""

    def answers() -> bool:
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            return False
        return True

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(answers, "the emulator")
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with running(command, f"http://127.0.0.1:{port}") as url:
        requests.put(f"{url}/{BUCKET}", timeout=10).raise_for_status()
        options: Any = {"allow_http": True}
        store = S3Store(
            BUCKET,
            endpoint=url,
            region="us-east-1",
            access_key_id="testing",
            secret_access_key="testing",
            client_options=options,
        )
        fill(lambda name, content: put(store, name, content))
        yield url


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = find_tool("azurite-blob")
    if program is None:
        missing("azurite-blob is not there; scripts/install-tools azurite-blob gets it")
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("azurite")
    command = [program, "--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck"]
    with running(command, f"http://127.0.0.1:{port}") as url:
        options: Any = {"allow_http": True, "timeout": timedelta(seconds=30)}
        store = AzureStore(
            BUCKET, account_name=ACCOUNT, account_key=AZURE_KEY, endpoint=f"{url}/{ACCOUNT}", client_options=options
        )
        create_container(url)
        fill(lambda name, content: put(store, name, content))
        yield url


def create_container(url: str) -> None:
    """Create the container; obstore cannot, so the request is signed here."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT\n\n\n\n\n\n\n\n\n\n\n\n" + canonical + resource
    digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    headers["Content-Length"] = "0"
    response = requests.put(f"{url}/{ACCOUNT}/{BUCKET}?restype=container", headers=headers, timeout=10)
    response.raise_for_status()


@pytest.fixture
def small() -> Iterator[BucketServer]:
    with bucket_server() as server:
        fill(lambda name, content: server.put(name, len(content), 1.8e9))
        yield server


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_the_small_server_lists_as_expected(small: BucketServer, scheme: str) -> None:
    assert outcomes(scheme, small.url) == EXPECTED


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_moto_lists_the_same(moto: str, scheme: str) -> None:
    assert outcomes(scheme, moto) == EXPECTED


def test_azurite_lists_the_same(azurite: str) -> None:
    assert outcomes("az", azurite) == EXPECTED
    wrong = landing_at("az", azurite, key="d3Jvbmc=")
    assert _outcome(wrong, f"az://{BUCKET}/") == DENIED


def test_a_hundred_thousand_objects_are_listed() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(bucket_server())
        for number in range(100_000):
            server.put(f"a/{number:06}", 10, 1.8e9)
        found = find_files(landing_at("s3", server.url), f"s3://{BUCKET}/a/", 0)
    assert found == Found(100_000, 1_000_000, 1.8e9)
