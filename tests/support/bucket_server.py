"""A small object store on loopback that lists one bucket as Amazon S3, Google Cloud Storage and Azure do.

`tests/guarantees/test_object_stores.py` compares it with the stores' own emulators.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "exports"
ACCOUNT = "devstoreaccount1"


class StoredObject(NamedTuple):
    """An object: its size in bytes, and when it was modified, in Unix seconds."""

    size: int
    modified: float


@dataclass
class BucketServer:
    """The bucket and its faults.

    Attributes:
        objects: by name.
        page_size: how many objects one answer lists.
        statuses: the status of each of the next answers, until there are none left; 200 for none.
        cut_off_on_page: the page whose answer breaks off in the middle; 0 for none.
        hanging: answers wait until it is cleared.
        requests: how many requests came.
        prefixes: with what the names had to begin in each of them.
    """

    url: str = ""
    objects: dict[str, StoredObject] = field(default_factory=dict)
    page_size: int = 1000
    statuses: list[int] = field(default_factory=list)
    cut_off_on_page: int = 0
    hanging: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    requests: int = 0
    prefixes: list[str] = field(default_factory=list)

    def put(self, name: str, size: int, modified: float) -> None:
        """Store an object."""
        self.objects[name] = StoredObject(size, modified)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """Return the status and the body of a listing."""
        self.requests += 1
        self.prefixes.append(query.get("prefix", ""))
        if self.statuses:
            status = self.statuses.pop(0)
            if status != 200:
                return status, f"<Error><Code>Status{status}</Code><Message>no</Message></Error>".encode()
        azure = query.get("comp") == "list"
        if path.strip("/").removeprefix(ACCOUNT).strip("/") != BUCKET:
            code = "ContainerNotFound" if azure else "NoSuchBucket"
            return 404, f"<Error><Code>{code}</Code><Message>no such bucket</Message></Error>".encode()
        after = query.get("marker" if azure else "continuation-token") or query.get("start-after", "")
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")) and name > after)
        page, more = names[: self.page_size], len(names) > self.page_size
        text = (self._azure if azure else self._s3)(page, page[-1] if more else "")
        is_cut_off = self.cut_off_on_page == self.requests
        return 200, text.encode()[: len(text) // 2 if is_cut_off else None]

    def _s3(self, page: list[str], token: str) -> str:
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{_iso(self.objects[name].modified)}</LastModified>"
            f'<ETag>"0"</ETag><Size>{self.objects[name].size}</Size><StorageClass>STANDARD</StorageClass></Contents>'
            for name in page
        )
        following = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>{BUCKET}</Name>'
            f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>{contents}{following}</ListBucketResult>"
        )

    def _azure(self, page: list[str], token: str) -> str:
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_http(self.objects[name].modified)}"
            f"</Last-Modified><Content-Length>{self.objects[name].size}</Content-Length>"
            "<Content-Type>text/plain</Content-Type><Etag>0x0</Etag></Properties></Blob>"
            for name in page
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Prefix/>'
            f"<Blobs>{blobs}</Blobs><NextMarker>{escape(token)}</NextMarker></EnumerationResults>"
        )


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    """Run the server; ``url`` is its address."""
    server = BucketServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if server.hanging.is_set():
                server.released.wait(60)
            status, body = server.answer(parts.path, query)
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            http.shutdown()
            thread.join()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _http(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
