"""The worker process of gunicorn: the event loop of both listeners, signals, and a graceful stop.

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.server.listeners import Listeners

DEADLINE_CHECK_SECONDS = 0.2
DRAIN_CHECK_SECONDS = 0.05
HEARTBEAT_SECONDS = 1.0
STOP_SECONDS = 7.0
"""The time for requests in progress after a stop is requested."""
ACCEPT_AFTER_STOP_SECONDS = 0.1
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
    SIGTERM          graceful stop: accept what the kernel has accepted, close idle connections,
                     let requests in progress end for ``STOP_SECONDS``, close the service
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
        handlers: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_quit,
            signal.SIGQUIT: self._on_quit,
            signal.SIGHUP: self._on_sighup,
            signal.SIGUSR1: _ignore_signal,
            signal.SIGWINCH: _ignore_signal,
        }
        for number, handler in handlers.items():
            self.loop.add_signal_handler(number, handler)

    def run(self) -> None:
        """Serve until a signal requests a stop."""
        self._abort = False
        self._stop_requested = asyncio.Event()
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    def _on_sighup(self) -> None:
        self.listeners.on_sighup()

    def _on_stop(self) -> None:
        self.alive = False
        self._stop_requested.set()

    def _on_quit(self) -> None:
        self._abort = True
        self._on_stop()

    async def _serve(self) -> None:
        acceptors = [
            Acceptor(socket.sock, pool, context)
            for socket, pool, context in zip(
                self.sockets, self.listeners.pools, self.listeners.tls_contexts, strict=True
            )
        ]
        heartbeat_at = 0.0
        while self.alive and self.ppid == os.getppid():
            if self.loop.time() >= heartbeat_at:
                self.notify()
                heartbeat_at = self.loop.time() + HEARTBEAT_SECONDS
            await self._expire_deadlines(DEADLINE_CHECK_SECONDS)
        for pool in self.listeners.pools:
            pool.stopping = True
        if not self._abort:
            # Accept the connections that the kernel has accepted: closing the socket would reset them.
            await asyncio.sleep(ACCEPT_AFTER_STOP_SECONDS)
        for acceptor in acceptors:
            acceptor.close()
            await acceptor.wait_until_opened()
        await self._drain()
        await self.loop.run_in_executor(None, self.listeners.close)
        await self.loop.shutdown_default_executor()

    async def _expire_deadlines(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop_requested.wait(), seconds)
        except TimeoutError:
            for pool in self.listeners.pools:
                pool.expire_deadlines()

    async def _drain(self) -> None:
        """Wait for requests in progress, then abort all connections."""
        pools = self.listeners.pools
        for pool in pools:
            pool.drain()
        self._stop_requested.clear()
        deadline = self.loop.time() + (0 if self._abort else STOP_SECONDS)
        while any(map(len, pools)) and self.loop.time() < deadline and not self._abort:
            self.notify()
            await self._expire_deadlines(DRAIN_CHECK_SECONDS)
        for pool in pools:
            pool.abort()
        await asyncio.sleep(0)


def _ignore_signal() -> None:
    """Do nothing: there are no log files to reopen and no further workers."""


def _raise_open_file_limit() -> None:
    """Raise the limit of open files for all connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
