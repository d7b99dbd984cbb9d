"""Waits at the start for a database server that is away, and answers the probes of the admin listener until then."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import StoreUnreachableError
from exporter.server.http.messages import HttpResponse
from exporter.server.http.problems import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.config.values import Address

RETRY_SECONDS = 1.0
ATTEMPTS_PER_LINE = 60
"""An unchanged reason is logged again after so many attempts."""

_HEALTHY = HttpResponse(200, b"healthy\n", (("Content-Type", "text/plain"),))
_NOT_READY = unavailable("not ready; the exporter's log has the reason")

log = structlog.get_logger()


def wait_for_store(open_store: Callable[[], None], admin_listen: Address) -> None:
    """Call ``open_store``, again and again while the database server is away.

    Until the server answers, ``/-/healthy`` on the admin listener answers 200, so that nothing restarts this process,
    and everything else 503. SIGTERM ends the process, and SIGHUP has no effect.

    Raises:
        StoreRefusedError: the server answers, and the store cannot be used.
    """
    reason, attempts = "", 0
    with ExitStack() as stack:
        while True:
            try:
                open_store()
            except StoreUnreachableError as error:
                if not reason:
                    stack.enter_context(_probes_answered(admin_listen))
                    stack.enter_context(_stop_signals())
                if str(error) != reason or attempts % ATTEMPTS_PER_LINE == 0:
                    log.warning("store_unreachable", error=str(error))
                reason, attempts = str(error), attempts + 1
            else:
                return
            time.sleep(RETRY_SECONDS)


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Handle SIGTERM, which the first process of a container would otherwise ignore, and ignore SIGHUP."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _probes_answered(address: Address) -> Iterator[None]:
    """Answer requests to an address in a thread."""
    with _Server(address) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="store-wait")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers health probes with 200, and any other request with 503."""

    timeout = 1.0
    """Seconds that a client may take for its request, during which no other is answered."""

    def do_GET(self) -> None:
        response = _HEALTHY if self.path == "/-/healthy" else _NOT_READY
        self.send_response_only(response.status)
        for name, value in (*response.headers, ("Content-Length", str(len(response.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)


class _Server(TCPServer):
    """Listens on the address of the admin listener."""

    allow_reuse_address = True

    def __init__(self, address: Address) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__(address, _Handler)
