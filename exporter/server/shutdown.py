"""Handles SIGTERM, SIGINT and SIGQUIT: a graceful stop answers the requests in progress, a quick one cuts them.

A graceful stop:

1. The listeners accept for `ACCEPT_AFTER_STOP_SECONDS` what the kernel has accepted: closing them would reset it.
2. The listeners are closed, and so are idle connections.
3. Requests in progress are answered, with ``Connection: close``. Their deadlines still apply.
4. What is left after `STOP_SECONDS` is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.server.http.acceptor import Acceptor
    from exporter.server.http.connection_pool import ConnectionPool

ACCEPT_AFTER_STOP_SECONDS = 0.1
STOP_SECONDS = 7.0
"""The time for requests in progress after a stop is requested."""
DRAIN_CHECK_SECONDS = 0.05


class Shutdown:
    """The stop of the worker process, from the signal that requests it to the end of the last connection.

    Args:
        loop: the event loop of the connections, which gets the signals.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._requested = asyncio.Event()
        self._quick = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._requested.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._request_quick_stop)

    @property
    def is_requested(self) -> bool:
        """Whether a signal has requested a stop."""
        return self._requested.is_set()

    async def wait(self, seconds: float) -> None:
        """Wait until a stop is requested, at most so many seconds."""
        await _wait_for(self._requested, seconds)

    async def close(
        self, acceptors: Sequence[Acceptor], pools: Sequence[ConnectionPool], notify: Callable[[], object]
    ) -> None:
        """Stop accepting, and close all connections: quickly if a signal asks for it, before or during the stop.

        Args:
            acceptors: accept the connections of the listeners.
            pools: the connections of the listeners.
            notify: called regularly, to show the master process that this one is alive.
        """
        for pool in pools:
            pool.stopping = True
        await _wait_for(self._quick, ACCEPT_AFTER_STOP_SECONDS)
        for acceptor in acceptors:
            acceptor.close()
            await acceptor.wait_until_opened()
        for pool in pools:
            pool.drain()
        deadline = self._loop.time() + STOP_SECONDS
        while any(map(len, pools)) and self._loop.time() < deadline and not self._quick.is_set():
            notify()
            await _wait_for(self._quick, DRAIN_CHECK_SECONDS)
            for pool in pools:
                pool.expire_deadlines()
        for pool in pools:
            pool.abort()
        await asyncio.sleep(0)

    def _request_quick_stop(self) -> None:
        self._quick.set()
        self._requested.set()


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
