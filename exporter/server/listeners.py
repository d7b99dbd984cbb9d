"""The webhook listener and the admin listener: their applications, threads and limits."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from exporter.config import tls
from exporter.server.admin import app as admin_app
from exporter.server.http.access_log import AccessLog
from exporter.server.http.connection_pool import ConnectionPool
from exporter.server.http.wsgi import WsgiHandler
from exporter.server.webhook import flask_app as webhook_app
from exporter.server.webhook.endpoint import COMMIT_TIMEOUT_SECONDS, Webhook

if TYPE_CHECKING:
    import asyncio

    from exporter.config.loader import Config
    from exporter.server.service import Service

THREADS = 2
"""Threads of the webhook: while one commits, the other calls the application for what has arrived since."""
MAX_BATCH = 64
"""How many webhook requests a thread takes at a time, which then share a commit."""
ADMIN_THREADS = 8
MAX_CONNECTIONS = 1000
MIN_CONNECTIONS = 16
MAX_ADMIN_CONNECTIONS = 100
ADMIN_IDLE_SECONDS = 15.0
RESERVED_FILES = 200
"""Open files for anything but the webhook listener: admin listener, store, logs."""
MAX_ADMIN_BODY_BYTES = 65536
MAX_ADMIN_TOTAL_BYTES = MAX_ADMIN_CONNECTIONS * MAX_ADMIN_BODY_BYTES


class Listeners:
    """The webhook listener and the admin listener, in this order.

    Args:
        config: the configuration at the start.
        service: the running service; `close` stops it.
        loop: the event loop of the connections.

    Attributes:
        pools: the connections of each listener.
        tls_contexts: the TLS context of each listener; None for plain HTTP.
    """

    def __init__(self, config: Config, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        # Separate threads, so that neither listener starves the other.
        self._webhook_threads = ThreadPoolExecutor(THREADS, "webhook")
        self._admin_threads = ThreadPoolExecutor(ADMIN_THREADS, "admin")
        self._access_log = AccessLog(loop)
        webhook = Webhook(service, partial(self._access_log.log_request, "webhook_request"))
        webhook_handler = WsgiHandler(
            webhook_app.create_app(webhook),
            config.webhook_listen,
            loop,
            self._webhook_threads,
            THREADS,
            lambda: webhook.max_body_bytes,
            webhook.on_headers,
            webhook.on_response,
            COMMIT_TIMEOUT_SECONDS,
            MAX_BATCH,
        )
        admin_handler = WsgiHandler(
            admin_app.create_app(service),
            config.admin_listen,
            loop,
            self._admin_threads,
            ADMIN_THREADS,
            lambda: MAX_ADMIN_BODY_BYTES,
            lambda _: None,
            partial(self._access_log.log_request, "admin_request"),
        )
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        max_connections = min(MAX_CONNECTIONS, max(files - RESERVED_FILES, MIN_CONNECTIONS))
        self.pools = [
            ConnectionPool(
                webhook_handler,
                max_connections,
                loop,
                lambda: service.config.limits.total_request_bytes,
                lambda: service.config.keep_alive,
            ),
            ConnectionPool(
                admin_handler, MAX_ADMIN_CONNECTIONS, loop, lambda: MAX_ADMIN_TOTAL_BYTES, lambda: ADMIN_IDLE_SECONDS
            ),
        ]
        self.tls_contexts = [tls.reloading_context(lambda: service.config.tls), None]

    def on_sighup(self) -> None:
        """Reload the configuration in a thread."""
        self._admin_threads.submit(self._service.reload)

    def close(self) -> None:
        """Wait for the requests in progress and stop the service. Call it once no requests can arrive."""
        self._webhook_threads.shutdown()
        self._admin_threads.shutdown()
        self._access_log.end_second()
        self._service.stop()
