"""What the worker serves: both listeners with their applications, their threads and their limits."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from exporter.config import tls
from exporter.server.admin import app
from exporter.server.http.access_log import log_request
from exporter.server.http.connection_pool import ConnectionPool
from exporter.server.http.wsgi import WsgiHandler
from exporter.server.webhook import flask_app
from exporter.server.webhook.endpoint import COMMIT_TIMEOUT_SECONDS, Webhook

if TYPE_CHECKING:
    import asyncio

    from exporter.config.loader import Config
    from exporter.server.service import Service

THREADS = 16
ADMIN_THREADS = 8
MAX_CONNECTIONS = 1000
MIN_CONNECTIONS = 16
MAX_ADMIN_CONNECTIONS = 100
RESERVED_FILES = 200
"""Files and connections that are open for other things: admin listener, store, logs."""
MAX_ADMIN_BODY_BYTES = 65536


class Listeners:
    """What the worker serves.

    Args:
        config: as it was at the start.
        service: running, and this process's own.
        loop: in which connections live.

    Attributes:
        connections: one for each socket, in their order.
        contexts: of TLS, likewise; None for plain HTTP.
    """

    def __init__(self, config: Config, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(THREADS, "webhook")
        self._admin_threads = ThreadPoolExecutor(ADMIN_THREADS, "admin")  # its own: neither starves the other
        webhook = Webhook(service)
        front = WsgiHandler(
            flask_app.create_app(webhook),
            config.webhook_listen,
            loop,
            self._threads,
            THREADS,
            lambda: webhook.max_body_bytes,
            webhook.on_headers,
            webhook.on_response,
            COMMIT_TIMEOUT_SECONDS,
        )
        back = WsgiHandler(
            app.create_app(service),
            config.admin_listen,
            loop,
            self._admin_threads,
            ADMIN_THREADS,
            lambda: MAX_ADMIN_BODY_BYTES,
            lambda _: None,
            partial(log_request, "admin"),
        )
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(MAX_CONNECTIONS, max(files - RESERVED_FILES, MIN_CONNECTIONS))
        self.connections = [ConnectionPool(front, most, loop), ConnectionPool(back, MAX_ADMIN_CONNECTIONS, loop)]
        self.contexts = [tls.reloading_context(lambda: service.config.tls), None]

    def on_sighup(self) -> None:
        """Read the configuration again, beside the loop."""
        self._admin_threads.submit(self._service.reload)

    def close(self) -> None:
        """Give everything back, once nothing more comes."""
        self._threads.shutdown()
        self._admin_threads.shutdown()
        self._service.stop()
