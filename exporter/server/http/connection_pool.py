"""The connections of one listener: how many there may be, whose time is over, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.server.http.connection import Connection

if TYPE_CHECKING:
    import asyncio

    from exporter.server.http.messages import HttpHandler


class ConnectionPool:
    """The connections of one listener.

    Args:
        front: answers them.
        most: with one more than these, the one that has waited for its client longest is closed.
        loop: in which they live.
    """

    def __init__(self, handler: HttpHandler, max_open: int, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.loop = loop
        self.stopping = False
        self._max_open = max_open
        self._open: dict[Connection, None] = {}  # those that have waited longest first

    def __len__(self) -> int:
        return len(self._open)

    def accept(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    def add(self, connection: Connection) -> None:
        """Take a connection that was made, and make room for it."""
        self._open[connection] = None
        if len(self._open) > self._max_open:
            waiting = (connection_ for connection_ in self._open if connection_.waits_for_client)
            next(waiting).abort()  # the new one, at the latest

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was lost."""
        self._open.pop(connection, None)

    def mark_active(self, connection: Connection) -> None:
        """Note that a client has just been answered, and has not waited long for anything."""
        del self._open[connection]
        self._open[connection] = None

    def expire_deadlines(self) -> None:
        """Give up on those whose time is over."""
        now = self.loop.time()
        for connection in [each for each in self._open if each.deadline <= now]:
            connection.on_deadline()

    def drain(self) -> None:
        """Close what is idle; what has begun is answered, and closed then."""
        self.stopping = True
        for connection in list(self._open):
            connection.drain()

    def abort(self) -> None:
        """Close everything at once."""
        for connection in list(self._open):
            connection.abort()
