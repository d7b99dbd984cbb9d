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

    from exporter.server.listeners import Listening

SWEEP_SECONDS = 0.2
DRAIN_SECONDS = 0.05
HEARTBEAT_SECONDS = 1.0
STOP_SECONDS = 7.0
"""How long what has begun may still take once it is told to stop."""
ACCEPT_SECONDS = 0.1
HANDSHAKE_SECONDS = 10.0
OPEN_FILES = 4096

SWITCH_SECONDS = 0.00005
"""After how long a thread that computes lets another one go on.

Between two commits half a dozen turns of the interpreter are waited for. Beside a scrape of 10,000
exports every second, the slowest hundredth of webhooks took 39 ms with Python's 5 ms, 10 ms with
0.3, and 7 ms with this, and 0.81 of those without scrapes were taken in the place of 0.74.
"""


class LoopWorker(Worker):
    """The one worker process."""

    def init_process(self) -> None:
        """Make the loop that the rest needs."""
        _allow_open_files()
        sys.setswitchinterval(SWITCH_SECONDS)
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        super().init_process()

    def load_wsgi(self) -> None:
        """Start what is served."""
        self.listening: Listening = self.app.listen(self.loop)

    def init_signals(self) -> None:
        """Have signals handled between two steps of the loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        handlers: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._quit,
            signal.SIGQUIT: self._quit,
            signal.SIGHUP: self._hang_up,
            signal.SIGUSR1: _nothing,
            signal.SIGWINCH: _nothing,
        }
        for number, handler in handlers.items():
            self.loop.add_signal_handler(number, handler)

    def run(self) -> None:
        """Serve until a signal ends it."""
        self._quick = False
        self._over = asyncio.Event()
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    def _hang_up(self) -> None:
        self.listening.hang_up()

    def _stop(self) -> None:
        self.alive = False
        self._over.set()

    def _quit(self) -> None:
        self._quick = True
        self._stop()

    async def _serve(self) -> None:
        servers = [
            await self.loop.create_server(
                connections.accept,
                sock=socket.sock,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
            )
            for socket, connections, context in zip(
                self.sockets, self.listening.connections, self.listening.contexts, strict=True
            )
        ]
        beat_at = 0.0
        while self.alive and self.ppid == os.getppid():
            if self.loop.time() >= beat_at:
                self.notify()
                beat_at = self.loop.time() + HEARTBEAT_SECONDS
            await self._sweep(SWEEP_SECONDS)
        for connections in self.listening.connections:
            connections.stopping = True
        if not self._quick:
            # Whoever was let in by the kernel is let in here, too: closing the socket would reset it.
            await asyncio.sleep(ACCEPT_SECONDS)
        for server in servers:
            server.close()
        await self._drain()
        await self.loop.run_in_executor(None, self.listening.close)
        await self.loop.shutdown_default_executor()

    async def _sweep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            for connections in self.listening.connections:
                connections.sweep()

    async def _drain(self) -> None:
        """Let what has begun end, for a while."""
        everything = self.listening.connections
        for connections in everything:
            connections.stop()
        self._over.clear()
        deadline = self.loop.time() + (0 if self._quick else STOP_SECONDS)
        while any(map(len, everything)) and self.loop.time() < deadline and not self._quick:
            self.notify()
            await self._sweep(DRAIN_SECONDS)
        for connections in everything:
            connections.abort()
        await asyncio.sleep(0)


def _nothing() -> None:
    """There are no log files to open again, and no children."""


def _allow_open_files() -> None:
    """Have room for all connections, as far as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
