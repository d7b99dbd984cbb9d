"""The open connections of one listener: their limit, their deadlines, and how they are closed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from exporter.server.http.messages import HttpHandler


CONTINUATIONS_PER_TURN = 8


class PooledConnection(Protocol):
    """What the pool has to know of a connection.

    Attributes:
        deadline: when the pool calls `on_deadline`, by the loop's clock.
    """

    deadline: float

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn."""

    def on_deadline(self) -> None:
        """Act on a deadline that has passed."""

    def drain(self) -> None:
        """Close it after its current request."""

    def abort(self) -> None:
        """Close it at once."""


class ConnectionPool:
    """The open connections of one listener. Used in the event loop only.

    Args:
        handler: responds to their requests.
        max_open: the limit of open connections. Beyond it, the connection that has waited for its
            client the longest is aborted.
        loop: the event loop of the connections.
        max_request_bytes: returns the limit of ``request_bytes``; a reload may change it.
        idle_seconds: returns how long a connection may wait for its next request; called each time.

    Attributes:
        stopping: True once the server stops: no connection is kept alive any longer.
        request_bytes: the bytes of requests in memory that were not responded to yet, over all connections.
    """

    def __init__(
        self,
        handler: HttpHandler,
        max_open: int,
        loop: asyncio.AbstractEventLoop,
        max_request_bytes: Callable[[], int],
        idle_seconds: Callable[[], float],
    ) -> None:
        self.handler = handler
        self.loop = loop
        self.idle_seconds = idle_seconds
        self.stopping = False
        self.request_bytes = 0
        self._max_request_bytes = max_request_bytes
        self._continuations: deque[Callable[[], None]] = deque()
        self._max_open = max_open
        self._open: dict[PooledConnection, None] = {}  # as an ordered set: the longest inactive first

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: PooledConnection) -> None:
        """Add an established connection, and abort another one if there are too many."""
        self._open[connection] = None
        if len(self._open) > self._max_open:
            # There is always one: the new connection waits.
            longest = next(candidate for candidate in self._open if candidate.waits_for_client)
            self.remove(longest)  # at once, because many may be added before the abort has an effect
            longest.abort()

    def remove(self, connection: PooledConnection | None) -> None:
        """Remove a connection that was lost, if it is there."""
        self._open.pop(connection, None)  # type: ignore[arg-type]

    def mark_active(self, connection: PooledConnection) -> None:
        """Move a connection to the end of the order, because a response was just sent."""
        del self._open[connection]
        self._open[connection] = None

    def has_room_for(self, more_bytes: int) -> bool:
        """Return whether ``request_bytes`` may grow by so many bytes."""
        return self.request_bytes + more_bytes <= self._max_request_bytes()

    def schedule(self, continuation: Callable[[], None]) -> None:
        """Let a connection continue to read, after the others that were scheduled before it.

        `CONTINUATIONS_PER_TURN` of all connections run in one turn of the event loop, so that a turn
        stays short however many connections have much to read.
        """
        if not self._continuations:
            self.loop.call_soon(self._run_continuations)
        self._continuations.append(continuation)

    def _run_continuations(self) -> None:
        count = min(CONTINUATIONS_PER_TURN, len(self._continuations))
        due = [self._continuations.popleft() for _ in range(count)]
        if self._continuations:
            self.loop.call_soon(self._run_continuations)
        for continuation in due:
            continuation()  # which may schedule the next one

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
