"""gunicorn with two listeners in one worker process, and its limits.

One worker, since per-process counters then stay whole, and a scrape and a few webhooks a minute
need no more. SIGHUP and ``POST /-/reload`` swap the configuration inside the worker, so that no
connection and no counter is lost.
"""

from __future__ import annotations

import resource
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from exporter import logs, tls
from exporter.errors import ListenError
from exporter.web import admin, receiver
from exporter.web.access_log import RequestLog
from exporter.web.connections import Connections
from exporter.web.fast_receiver import FastReceiver
from exporter.web.webhook import Webhook
from exporter.web.wsgi_front import WsgiFront
from exporter.worker import LoopWorker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from exporter.config import Config
    from exporter.service import Service
    from exporter.settings import Address
    from exporter.web.exchange import Front

THREADS = 16
ADMIN_THREADS = 8
STOP_SECONDS = 9
"""When the worker is killed; it stops by itself before that."""
MOST_CONNECTIONS = 1000
LEAST_CONNECTIONS = 16
MOST_ADMIN_CONNECTIONS = 100
OTHER_FILES = 200
"""Files and connections that are open for other things: admin listener, store, logs."""
ADMIN_BYTES = 65536

log = structlog.get_logger()


class Listening:
    """What the worker serves, an `exporter.worker.Listening`.

    Args:
        config: as it was at the start.
        service: running, and this process's own.
        loop: in which connections live.
    """

    def __init__(self, config: Config, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(THREADS, "webhook")
        self._admin_threads = ThreadPoolExecutor(ADMIN_THREADS, "admin")  # its own: neither starves the other
        as_flask = config.webhook_front == "flask"
        webhook = Webhook(service, None if as_flask else loop.call_soon)
        self._fast = FastReceiver(webhook, loop, self._threads)
        front: Front = self._fast
        if as_flask:
            application = receiver.create_app(webhook)
            front = WsgiFront(application, config.webhook_listen, loop, self._threads, webhook.begin, webhook.note)
        application = admin.create_app(service)
        log_admin = RequestLog("admin", config.log)
        back = WsgiFront(
            application, config.admin_listen, loop, self._admin_threads, lambda _: ADMIN_BYTES, log_admin.note
        )
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(MOST_CONNECTIONS, max(files - OTHER_FILES, LEAST_CONNECTIONS))
        self.connections = [Connections(front, most, loop), Connections(back, MOST_ADMIN_CONNECTIONS, loop)]
        self.contexts = [tls.following(lambda: service.config.tls), None]

    def sweep(self) -> None:
        """Answer the requests whose commit takes too long."""
        self._fast.sweep()

    def hang_up(self) -> None:
        """Read the configuration again, beside the loop."""
        self._admin_threads.submit(self._service.reload)

    def close(self) -> None:
        """Give everything back, once nothing more comes."""
        self._threads.shutdown()
        self._admin_threads.shutdown()
        self._service.stop()


class _Logger(Logger):
    """gunicorn's messages go where all others go."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401, ARG002 - gunicorn's untyped configuration
        self.loglevel = self.error_log.level
        self.error_log.propagate = True


class _Arbiter(Arbiter):
    """The master process; it hands SIGHUP on instead of starting new workers."""

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)


class _Application(BaseApplication):
    def __init__(self, options: dict[str, object], load: Callable[[asyncio.AbstractEventLoop], Listening]) -> None:
        self._options = options
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> object:
        return self._load


def serve(config: Config, start: Callable[[], Service]) -> None:
    """Listen until a signal ends it.

    Args:
        config: says where.
        start: called in the worker process; the running service.
    """
    options: dict[str, object] = {
        "bind": [str(config.webhook_listen), str(config.admin_listen)],
        "workers": 1,
        "worker_class": LoopWorker,
        "graceful_timeout": STOP_SECONDS,
        "timeout": 60,
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "logger_class": _Logger,
        "proc_name": "dataexport-exporter",
        "when_ready": lambda _arbiter: log.info(
            "listening", webhook=str(config.webhook_listen), admin=str(config.admin_listen)
        ),
    }
    logs.configure(config.log)

    def load(loop: asyncio.AbstractEventLoop) -> Listening:
        return Listening(config, start(), loop)

    _Arbiter(_Application(options, load)).run()


def refuse_taken(addresses: Iterable[Address]) -> None:
    """Refuse addresses on which something else listens, before gunicorn tries for seconds.

    Raises:
        ListenError: with the setting to change.
    """
    for setting, address in zip(("webhook_listen", "admin_listen"), addresses, strict=True):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                message = (
                    f"server.{setting}: cannot listen on {address} ({error.strerror}): "
                    "stop what listens there, or give another port"
                )
                raise ListenError(message) from error
