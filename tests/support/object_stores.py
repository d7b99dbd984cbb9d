"""Emulators of object stores, and a proxy in front of one that makes it slow, busy or unreliable."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import obstore
import requests
from obstore.store import AzureStore, S3Store

from bucket_server import ACCOUNT, BUCKET
from exporter.domain.landing import Landing
from monitoring import PATIENCE_SECONDS, find_tool, wait_for
from ports import free_port
from tools import missing, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that every Azurite has; it is no secret."""
SCHEMES = ("s3", "gs", "az")
CLIENT_OPTIONS: Any = {"allow_http": True, "timeout": timedelta(seconds=30)}


@dataclass(frozen=True)
class ObjectStore:
    """A store on loopback as one of the three clients sees it.

    Attributes:
        scheme: of the client.
        url: the address of the server.
        bucket: the bucket.
    """

    scheme: str
    url: str
    bucket: str = BUCKET

    def landing(self, prefix: str = "", *, key: str = "", **limits: int) -> Landing:
        """Return a landing in the bucket, with the right key unless another one is given."""
        endpoint = f"{self.url}/{ACCOUNT}" if self.scheme == "az" else self.url
        options = {
            "s3": (("region", "us-east-1"), ("access_key_id", "testing")),
            "gs": (("anonymous", "true"),),
            "az": (("account", ACCOUNT),),
        }
        secrets = {
            "s3": (("secret_access_key", key or "testing"),),
            "gs": (),
            "az": (("account_key", key or AZURE_KEY),),
        }
        landing = Landing(
            f"{self.scheme}://{self.bucket}/{prefix}",
            timeout=60,
            options=(*options[self.scheme], ("endpoint", endpoint)),
            secrets=secrets[self.scheme],
        )
        return replace(landing, **limits)  # type: ignore[arg-type] # numbers only

    def put(self, name: str, content: bytes) -> None:
        """Upload an object."""
        obstore.put(self._writer(), name, content)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, whether they exist or not."""
        for name in names:
            with suppress(FileNotFoundError):
                obstore.delete(self._writer(), name)

    def _writer(self) -> AzureStore | S3Store:
        # moto is the store of two clients, and the one for Google Cloud Storage cannot write to it.
        client = _azure_client if self.scheme == "az" else _s3_client
        return client(self.url, self.bucket)


@cache
def _azure_client(url: str, bucket: str) -> AzureStore:
    return AzureStore(
        bucket,
        account_name=ACCOUNT,
        account_key=AZURE_KEY,
        endpoint=f"{url}/{ACCOUNT}",
        client_options=CLIENT_OPTIONS,
    )


@cache
def _s3_client(url: str, bucket: str) -> S3Store:
    return S3Store(
        bucket,
        endpoint=url,
        region="us-east-1",
        access_key_id="testing",
        secret_access_key="testing",
        client_options=CLIENT_OPTIONS,
    )


@contextmanager
def running(command: Sequence[str], url: str) -> Iterator[str]:
    """Run an emulator until the end."""

    def answers() -> bool:
        try:
            requests.get(url, timeout=PATIENCE_SECONDS)
        except requests.ConnectionError:
            return False
        return True

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(answers, "the emulator")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@contextmanager
def moto(*, ahead: float = 0) -> Iterator[str]:
    """Run moto's S3 with an empty bucket; its clock is ``ahead`` seconds ahead."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with running([*_with_clock(ahead), *command], f"http://127.0.0.1:{port}") as url:
        requests.put(f"{url}/{BUCKET}", timeout=PATIENCE_SECONDS).raise_for_status()
        yield url


@contextmanager
def azurite(folder: Path, *, ahead: float = 0) -> Iterator[str]:
    """Run Azurite with an empty container; its clock is ``ahead`` seconds ahead."""
    with azurite_on(folder, ahead=ahead) as url:
        create_container(url)
        yield url


@contextmanager
def azurite_on(folder: Path, *, ahead: float = 0) -> Iterator[str]:
    """Run Azurite on what is in a folder."""
    server = find_tool("azurite-blob")
    if server is None:
        missing("azurite-blob is not there; scripts/install-tools azurite-blob gets it")
    port = free_port()
    command = [server, "--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck"]
    with running([*_with_clock(ahead), *command], f"http://127.0.0.1:{port}") as url:
        yield url


def _with_clock(ahead: float) -> list[str]:
    if not ahead:
        return []
    return [program("faketime"), time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + ahead))]


def create_container(url: str) -> None:
    """Create the container; obstore cannot, so the request is signed here."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT\n\n\n\n\n\n\n\n\n\n\n\n" + canonical + resource
    digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    headers["Content-Length"] = "0"
    response = requests.put(f"{url}/{ACCOUNT}/{BUCKET}?restype=container", headers=headers, timeout=PATIENCE_SECONDS)
    response.raise_for_status()


@dataclass
class FaultyProxy:
    """A proxy in front of a store.

    Attributes:
        url: its address.
        statuses: with what to answer the next requests instead of forwarding them, until none is left.
        delay: seconds to wait before each answer.
        cut_off: the numbers of the answers that break off in the middle, from 1.
        requests: how many requests came.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    delay: float = 0.0
    cut_off: tuple[int, ...] = ()
    requests: int = 0


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """Run a proxy in front of a server."""
    proxy = FaultyProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            proxy.requests += 1
            number = proxy.requests
            time.sleep(proxy.delay)
            if proxy.statuses:
                self._answer(proxy.statuses.pop(0), b"<Error><Code>SlowDown</Code></Error>", {"Retry-After": "1"})
                return
            answer = requests.get(target + self.path, headers=dict(self.headers), timeout=60)
            headers = {"Content-Type": answer.headers.get("Content-Type", "")}
            if number in proxy.cut_off:
                self._answer(answer.status_code, answer.content, headers, sent=len(answer.content) // 2)
                self.close_connection = True
            else:
                self._answer(answer.status_code, answer.content, headers)

        def _answer(self, status: int, body: bytes, headers: dict[str, str], *, sent: int | None = None) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:sent])

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            http.shutdown()
            thread.join()
