"""The open connections of one listener: their limit, their deadlines, and how they are closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.server.http.connection import Connection

if TYPE_CHECKING:
    import asyncio

    from exporter.server.http.messages import HttpHandler


class ConnectionPool:
    """The open connections of one listener. Used in the event loop only.

    Args:
        handler: responds to their requests.
        max_open: the limit of open connections. Beyond it, the connection that has waited for its
            client the longest is aborted.
        loop: the event loop of the connections.

    Attributes:
        stopping: True once the server stops: no connection is kept alive any longer.
    """

    def __init__(self, handler: HttpHandler, max_open: int, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.loop = loop
        self.stopping = False
        self._max_open = max_open
        self._open: dict[Connection, None] = {}  # as an ordered set: the longest inactive first

    def __len__(self) -> int:
        return len(self._open)

    def accept(self) -> Connection:
        """Create the protocol object of a new connection."""
        return Connection(self)

    def add(self, connection: Connection) -> None:
        """Add an established connection, and abort another one if there are too many."""
        self._open[connection] = None
        if len(self._open) > self._max_open:
            waiting = (candidate for candidate in self._open if candidate.waits_for_client)
            next(waiting).abort()  # there is always one: the new connection waits

    def remove(self, connection: Connection) -> None:
        """Remove a connection that was lost."""
        self._open.pop(connection, None)

    def mark_active(self, connection: Connection) -> None:
        """Move a connection to the end of the order, because a response was just sent."""
        del self._open[connection]
        self._open[connection] = None

    def expire_deadlines(self) -> None:
        """Close the connections whose deadline has passed."""
        now = self.loop.time()
        for connection in [candidate for candidate in self._open if candidate.deadline <= now]:
            connection.on_deadline()

    def drain(self) -> None:
        """Close idle connections now, and the others after their current request."""
        self.stopping = True
        for connection in list(self._open):
            connection.drain()

    def abort(self) -> None:
        """Abort all connections."""
        for connection in list(self._open):
            connection.abort()
