"""gunicorn's worker: one event loop for all connections of both listeners.

It keeps gunicorn's heartbeat and signals. Connections are `exporter.server.http.connection`'s, since
gunicorn's own have no limits of time.
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.server.listeners import Listeners

DEADLINE_CHECK_SECONDS = 0.2
DRAIN_CHECK_SECONDS = 0.05
HEARTBEAT_SECONDS = 1.0
STOP_SECONDS = 7.0
"""How long what has begun may still take once it is told to stop."""
ACCEPT_AFTER_STOP_SECONDS = 0.1
HANDSHAKE_SECONDS = 10.0
WANTED_OPEN_FILES = 4096

SWITCH_INTERVAL_SECONDS = 0.0003
"""How long a thread computes before it has to let another one go on, in seconds.

The threads that answer webhooks take the interpreter from each other this often: with 50 µs a request costs 30
switches of threads and a fifth more of the processor than with 0.3 ms; with Python's 5 ms it costs hardly less.
Beside scrapes, the slowest hundredth of webhooks took 39 ms with 5 ms, and 10 ms with 0.3.
"""


class LoopWorker(Worker):
    """The one worker process."""

    def init_process(self) -> None:
        """Make the loop that the rest needs."""
        _raise_open_file_limit()
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        super().init_process()

    def load_wsgi(self) -> None:
        """Start what is served."""
        self.listeners: Listeners = self.app.listen(self.loop)

    def init_signals(self) -> None:
        """Have signals handled between two steps of the loop."""
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
        """Serve until a signal ends it."""
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
        servers = [
            await self.loop.create_server(
                connections.accept,
                sock=socket.sock,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
            )
            for socket, connections, context in zip(
                self.sockets, self.listeners.connections, self.listeners.contexts, strict=True
            )
        ]
        heartbeat_at = 0.0
        while self.alive and self.ppid == os.getppid():
            if self.loop.time() >= heartbeat_at:
                self.notify()
                heartbeat_at = self.loop.time() + HEARTBEAT_SECONDS
            await self._expire_deadlines(DEADLINE_CHECK_SECONDS)
        for connections in self.listeners.connections:
            connections.stopping = True
        if not self._abort:
            # Whoever was let in by the kernel is let in here, too: closing the socket would reset it.
            await asyncio.sleep(ACCEPT_AFTER_STOP_SECONDS)
        for server in servers:
            server.close()
        await self._drain()
        await self.loop.run_in_executor(None, self.listeners.close)
        await self.loop.shutdown_default_executor()

    async def _expire_deadlines(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop_requested.wait(), seconds)
        except TimeoutError:
            for connections in self.listeners.connections:
                connections.expire_deadlines()

    async def _drain(self) -> None:
        """Let what has begun end, for a while."""
        everything = self.listeners.connections
        for connections in everything:
            connections.drain()
        self._stop_requested.clear()
        deadline = self.loop.time() + (0 if self._abort else STOP_SECONDS)
        while any(map(len, everything)) and self.loop.time() < deadline and not self._abort:
            self.notify()
            await self._expire_deadlines(DRAIN_CHECK_SECONDS)
        for connections in everything:
            connections.abort()
        await asyncio.sleep(0)


def _ignore_signal() -> None:
    """There are no log files to open again, and no children."""


def _raise_open_file_limit() -> None:
    """Have room for all connections, as far as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
