"""Runs gunicorn with both listeners in one worker process.

One worker is enough for a scrape and a few webhooks a minute, and keeps one set of counters.
SIGHUP and ``POST /-/reload`` replace the configuration inside the worker, so that connections and
counters survive.
"""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from exporter import __version__
from exporter.config import store_url
from exporter.server import logs
from exporter.server.listeners import Listeners
from exporter.server.worker import LoopWorker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from exporter.config.loader import Config
    from exporter.server.service import Service

GRACEFUL_TIMEOUT = 9
"""After this time the master kills a worker. The worker ends earlier; see `exporter.server.shutdown`."""

log = structlog.get_logger()


class _Logger(Logger):
    """Leaves gunicorn's messages to the root logger; see `exporter.server.logs`."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401, ARG002 - gunicorn's untyped configuration
        self.loglevel = self.error_log.level
        self.error_log.propagate = True


class _Arbiter(Arbiter):
    """The master process. On SIGHUP, it signals its worker instead of replacing it."""

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)


class _Application(BaseApplication):
    """The application that the master process passes to its worker.

    Args:
        options: gunicorn's settings.
        listen: starts the service and creates the listeners in the worker's event loop.
    """

    def __init__(self, options: dict[str, object], listen: Callable[[asyncio.AbstractEventLoop], Listeners]) -> None:
        self._options = options
        self.listen = listen
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)


def serve(config: Config, start: Callable[[], Service], temporary_folder: str) -> None:
    """Serve both listeners until a signal requests a stop.

    Args:
        config: the configuration at the start.
        start: starts the service; called in the worker process.
        temporary_folder: a folder for the file by which the worker shows the master process that it is alive.
    """
    options: dict[str, object] = {
        "bind": [str(config.webhook_listen), str(config.admin_listen)],
        "workers": 1,
        "worker_tmp_dir": temporary_folder,
        "worker_class": LoopWorker,
        "graceful_timeout": GRACEFUL_TIMEOUT,
        "timeout": 60,
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "logger_class": _Logger,
        "proc_name": "dataexport-exporter",
        "when_ready": lambda _arbiter: log.info(
            "started",
            version=__version__,
            webhook=str(config.webhook_listen),
            admin=str(config.admin_listen),
            store=store_url.without_password(config.store_url),
        ),
        "on_exit": lambda _arbiter: log.info("stopped"),
    }
    logs.configure(config.log)
    # What was imported lives as long as the process. Full garbage collections in the worker would look through it each
    # time, while it loads the checkpoint, and copy the memory that it shares with the master process.
    gc.freeze()
    _Arbiter(_Application(options, lambda loop: Listeners(config, start(), loop))).run()
