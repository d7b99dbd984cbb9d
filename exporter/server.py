"""gunicorn with two listeners in one worker process, and its limits.

One worker, since per-process counters then stay whole, and a scrape and a few webhooks a minute
need no more. SIGHUP and ``POST /-/reload`` swap the configuration inside the worker, so that no
connection and no counter is lost.
"""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from exporter import logs
from exporter.errors import ListenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from exporter.config import Config
    from exporter.service import Service
    from exporter.settings import Address

THREADS = 16
STOP_SECONDS = 8
REQUEST_LINE_BYTES = 2048
HEADER_BYTES = 4096
HEADERS = 50

log = structlog.get_logger()


class ByListener:
    """Passes a request to the application of the listener that it came in by.

    Args:
        applications: by the address and port of the listener; gunicorn puts the listener's own
            into ``SERVER_NAME`` and ``SERVER_PORT``, and not what a client wrote into ``Host``.
    """

    def __init__(self, applications: dict[tuple[str, str], WSGIApplication]) -> None:
        self._applications = applications

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        application = self._applications[environ["SERVER_NAME"], environ["SERVER_PORT"]]
        return application(environ, start_response)


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
    def __init__(self, options: dict[str, object], load: Callable[[], WSGIApplication]) -> None:
        self._options = options
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        return self._load()


def serve(config: Config, start: Callable[[], tuple[Service, WSGIApplication, WSGIApplication]]) -> None:
    """Listen until a signal ends it.

    Args:
        config: says where.
        start: called in the worker process; the running service with its webhook and its admin
            application.
    """
    holder: list[Service] = []

    def load() -> WSGIApplication:
        service, webhook, admin = start()
        holder.append(service)
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=service.reload).start())
        return ByListener({_name(config.webhook_listen): webhook, _name(config.admin_listen): admin})

    def stop(_arbiter: Arbiter, _worker: object) -> None:
        for service in holder:
            service.stop()

    options: dict[str, object] = {
        "bind": [str(config.webhook_listen), str(config.admin_listen)],
        "workers": 1,
        "worker_class": "gthread",
        "threads": THREADS,
        "graceful_timeout": STOP_SECONDS,
        "timeout": 60,
        "keepalive": 5,
        "limit_request_line": REQUEST_LINE_BYTES,
        "limit_request_field_size": HEADER_BYTES,
        "limit_request_fields": HEADERS,
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "logger_class": _Logger,
        "proc_name": "dataexport-exporter",
        "worker_exit": stop,
        "when_ready": lambda _arbiter: log.info(
            "listening", webhook=str(config.webhook_listen), admin=str(config.admin_listen)
        ),
    }
    logs.configure(config.log)
    _Arbiter(_Application(options, load)).run()


def _name(address: Address) -> tuple[str, str]:
    return ("127.0.0.1" if address.host == "localhost" else address.host, str(address.port))


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
