"""An exporter in the test process, for tests of what it shows rather than of how its process starts, stops and dies."""

from __future__ import annotations

import asyncio
import re
import threading
from functools import partial
from typing import TYPE_CHECKING

import structlog
import uvloop

from exporter.config import loader
from exporter.ledger.sql.ledger import SqlLedger
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.http.connection import Connection
from exporter.server.listeners import Listeners
from exporter.server.service import Service
from running import PATIENCE_SECONDS, Exporter, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.loader import Config


class LocalExporter(Exporter):
    """Both listeners of an exporter, with its service and its database, in an event loop of this process.

    A process of its own takes seconds of CPU time to start, mostly for imports, and this takes a tenth of one.
    A test that reads or replaces the files of the database needs one nevertheless: a process that closes such a file
    loses SQLite's locks on it.
    """

    def launch(self) -> None:
        """Start the service and open both listeners, as `serve` and its worker do."""
        path = self.config_path if self._arguments else None
        self._log_file = self._log.open("a", encoding="utf-8")
        self._logging = structlog.get_config()
        structlog.configure(
            processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
            logger_factory=structlog.PrintLoggerFactory(self._log_file),
        )

        def load_config() -> Config:
            # The working folder of this process is not the exporter's.
            default = {"DATAEXPORT_STORE_URL": f"sqlite:///{self.database}"}
            text = "" if path is None else path.read_text("utf-8", "replace")
            has_url = re.search(r"^\[store\][^\[]*^url = ", text, re.MULTILINE)
            return loader.load(path, self.environment if has_url else default | self.environment)

        try:
            self._serve(load_config)
        except BaseException:
            self._restore_logging()
            raise

    def start(self) -> None:
        """Start the exporter, and wait until it is ready."""
        self.launch()
        wait_until(lambda: not self.service.why_not_ready(), "the ledger is read")

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.terminate()

    def terminate(self) -> int:
        """Stop the exporter if it runs."""
        if not self._log_file.closed:
            asyncio.run_coroutine_threadsafe(self._close_servers(), self._loop).result(PATIENCE_SECONDS)
            self._listeners.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._restore_logging()
        return 0

    def send_sighup(self) -> None:
        """Do what the worker does when it gets SIGHUP."""
        self._loop.call_soon_threadsafe(self._listeners.on_sighup)

    def kill(self) -> None:
        """Raise: nothing in this process can be killed."""
        message = "only an exporter in a process of its own can be killed; use running.Exporter, or terminate this one"
        raise NotImplementedError(message)

    def _serve(self, load_config: Callable[[], Config]) -> None:
        config = load_config()
        process_metrics = ProcessMetrics()
        ledger = SqlLedger(config.store_url, process_metrics.observe_operation)
        self.service = service = Service(config, load_config, ledger, process_metrics)
        service.start()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listeners = Listeners(config, service, self._loop)
        asyncio.run_coroutine_threadsafe(self._open_servers(config), self._loop).result(PATIENCE_SECONDS)

    def _restore_logging(self) -> None:
        structlog.configure(**self._logging)
        self._log_file.close()

    async def _open_servers(self, config: Config) -> None:
        addresses = [config.webhook_listen, config.admin_listen]
        self._servers = [
            await self._loop.create_server(partial(Connection, pool), address.host, address.port, ssl=context)
            for address, pool, context in zip(
                addresses, self._listeners.pools, self._listeners.tls_contexts, strict=True
            )
        ]

    async def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        for pool in self._listeners.pools:
            pool.abort()
