"""The worker process of gunicorn: the event loop of both listeners. `exporter.server.shutdown` has its stop.

The connections are those of `exporter.server.http.connection`, because gunicorn's own have no time
limits. gunicorn's signals and its heartbeat to the master process work as usual.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING

import uvloop
from gunicorn.workers.base import Worker

from exporter.server.http.acceptor import Acceptor
from exporter.server.shutdown import Shutdown

if TYPE_CHECKING:
    from exporter.server.listeners import Listeners

DEADLINE_CHECK_SECONDS = 0.2
HEARTBEAT_SECONDS = 1.0
WANTED_OPEN_FILES = 4096

SWITCH_INTERVAL_SECONDS = 0.0003
"""The interval after which Python lets another thread run.

With 50 µs, a webhook request costs 30 thread switches and a fifth more CPU time than with 0.3 ms; Python's default of
5 ms saves hardly any more. While scrapes ran, the p99 of webhook requests was 39 ms with 5 ms, and 10 ms with 0.3 ms.
"""


class LoopWorker(Worker):
    """The only worker process.

    ================ ==========================================================================
    signal           effect
    ================ ==========================================================================
    SIGTERM          graceful stop: answer requests in progress, close the service
    SIGINT, SIGQUIT  quick stop: abort all connections, close the service
    SIGHUP           reload the configuration
    SIGUSR1, WINCH   none
    ================ ==========================================================================

    The worker also stops gracefully if the master process has ended.
    """

    def init_process(self) -> None:
        """Create the event loop before gunicorn calls `load_wsgi` and `init_signals`."""
        _raise_open_file_limit()
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        super().init_process()

    def load_wsgi(self) -> None:
        """Start the service and create both listeners."""
        self.listeners: Listeners = self.app.listen(self.loop)

    def init_signals(self) -> None:
        """Install the signal handlers in the event loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._shutdown = Shutdown(self.loop)
        self.loop.add_signal_handler(signal.SIGHUP, self._on_sighup)
        for number in (signal.SIGUSR1, signal.SIGWINCH):
            self.loop.add_signal_handler(number, _ignore_signal)

    def run(self) -> None:
        """Serve until a signal requests a stop."""
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    def _on_sighup(self) -> None:
        self.listeners.on_sighup()  # created after the handlers of signals

    async def _serve(self) -> None:
        pools = self.listeners.pools
        acceptors = [
            Acceptor(socket.sock, pool, context)
            for socket, pool, context in zip(self.sockets, pools, self.listeners.tls_contexts, strict=True)
        ]
        heartbeat_at = 0.0
        while not self._shutdown.is_requested and self.ppid == os.getppid():
            if self.loop.time() >= heartbeat_at:
                self.notify()
                heartbeat_at = self.loop.time() + HEARTBEAT_SECONDS
            await self._shutdown.wait(DEADLINE_CHECK_SECONDS)
            for pool in pools:
                pool.expire_deadlines()
        await self._shutdown.close(acceptors, pools, self.notify)
        await self.loop.run_in_executor(None, self.listeners.close)
        await self.loop.shutdown_default_executor()


def _ignore_signal() -> None:
    """Do nothing: there are no log files to reopen and no further workers."""


def _raise_open_file_limit() -> None:
    """Raise the limit of open files for all connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
