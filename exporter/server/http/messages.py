"""One request, its answer, and what answers it: what a connection and the listeners' fronts share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.config.loader import ConfiguredSource


class Headers:
    """The header fields of a request, in order.

    Args:
        fields: names in lower case.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.fields = fields

    def get(self, name: str, default: str = "", /) -> str:
        """The value of a header as Latin-1 text, as WSGI has it; of several, all of them with commas."""
        wanted = _header_name(name)
        values = [value for each, value in self.fields if each == wanted]
        return b",".join(values).decode("latin-1") if values else default


@lru_cache(maxsize=64)
def _header_name(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


@lru_cache(maxsize=256)
def _decoded_path(path: bytes) -> bytes:
    """A decoded path, of a URL where it is one; kept, since most requests come to the same, and ask for it twice."""
    if path[:1] != b"/" and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return unquote_to_bytes(path) if b"%" in path else path


@dataclass(slots=True)
class HttpRequest:
    """A request whose headers are there, and what becomes known of it on its way.

    Attributes:
        target: as it stands in the request line.
        peer: the address at the other end of the connection.
        began: by `time.perf_counter`.
        client: the address that counts as the sender's; the peer, unless a trusted proxy names it.
        source: the slug of the configured source that it is for, once that is known.
        outcome: what an access log says of it beside the status.
    """

    method: str
    target: bytes
    headers: Headers
    peer: str
    scheme: str
    started_at: float
    client: str
    source_config: ConfiguredSource | None = None
    source: str = ""
    outcome: Mapping[str, object] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The decoded path as Latin-1 text, as WSGI has it; without scheme, authority and query."""
        return _decoded_path(self.target.partition(b"?")[0]).decode("latin-1")

    @property
    def shown_path(self) -> str:
        """The decoded path as text for people."""
        return _decoded_path(self.target.partition(b"?")[0]).decode("utf-8", "replace")

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition(b"?")[2].decode("latin-1")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response.

    Attributes:
        headers: beside ``Content-Length``, ``Date`` and ``Connection``, which the connection adds.
        length: of the body that a GET would have had, in the answer to a HEAD.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
    length: int | None = None


class HttpHandler(Protocol):
    """What answers the requests of a listener. Every method runs in the event loop and must not wait."""

    @property
    def most_bytes(self) -> int:
        """How many bytes a body may have."""

    def on_headers(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse a request because of its headers; None accepts it."""

    def on_body(self, request: HttpRequest, body: bytes, reply: Callable[[HttpResponse], None]) -> None:
        """Have it answered: once, in the event loop, and not before this has returned."""

    def on_response(self, request: HttpRequest, answer: HttpResponse) -> None:
        """Count and log what was answered."""
