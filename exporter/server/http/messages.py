"""HTTP requests, responses and the handler protocol that connections and applications share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.config.loader import ConfiguredSource


class Headers:
    """The header fields of a request.

    Args:
        fields: names in lower case and values, in the order of the request.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.fields = fields

    def get(self, name: str, default: str = "", /) -> str:
        """Return the value of a header as Latin-1 text, as WSGI does; values of repeated headers joined by commas."""
        encoded_name = _encode_name(name)
        values = [value for field_name, value in self.fields if field_name == encoded_name]
        return b",".join(values).decode("latin-1") if values else default


@lru_cache(maxsize=64)
def _encode_name(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _raw_path(target: bytes) -> bytes:
    path = target.partition(b"?")[0]
    if path[:1] != b"/" and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path


@lru_cache(maxsize=256)
def _decoded_path(target: bytes) -> str:
    """Cached, because most requests have the same path and need it twice."""
    segments = _raw_path(target).split(b"/")
    decoded = b"/".join(unquote_to_bytes(segment).replace(b"/", b"%2F") for segment in segments)
    return decoded.decode("latin-1")


@dataclass(slots=True)
class HttpRequest:
    """A request with complete headers, and what the handlers find out about it.

    Attributes:
        target: the target as in the request line.
        peer: the address at the other end of the connection.
        started_at: when the headers were complete, in seconds of `time.perf_counter`.
        client: the address of the sender: the peer, or the address that a trusted proxy reports.
        source_config: the configured source that the path names; None before the path was matched.
        source: its slug; empty before the path was matched.
        authenticated: whether the request has a valid credential, or needs none.
        outcome: fields for the access log.
        refused_body: the body, once the application has refused it.
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
    authenticated: bool = False
    outcome: Mapping[str, object] = field(default_factory=dict)
    refused_body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path as Latin-1 text, as in WSGI; without scheme, authority and query.

        An encoded slash stays encoded: it separates nothing.
        """
        return _decoded_path(self.target)

    @property
    def raw_path(self) -> str:
        """The path as it was sent, percent-encoded."""
        return _raw_path(self.target).decode("latin-1")

    @property
    def query(self) -> str:
        """The query, without its question mark."""
        return self.target.partition(b"?")[2].decode("latin-1")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response.

    Attributes:
        headers: all headers except ``Content-Length``, ``Date`` and ``Connection``, which the connection adds.
        length: in a response to HEAD, the length of the body of a GET; None if that is the length of ``body``.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
    length: int | None = None


class HttpHandler(Protocol):
    """Responds to the requests of a listener. Every method runs in the event loop and must not block."""

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is accepted, in bytes."""

    def on_headers(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse a request because of its headers; None accepts it."""

    def on_body(self, request: HttpRequest, body: bytes, reply: Callable[[HttpResponse], None]) -> None:
        """Process a complete request; call ``reply`` once, in the event loop, after this method has returned."""

    def on_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """Count and log a response, including those that the connection itself sends."""
