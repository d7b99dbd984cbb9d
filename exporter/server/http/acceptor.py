"""Accepts the connections of a listener, and limits them from then on, not only once a TLS handshake is complete.

The servers of asyncio show a TLS connection to nobody before that, so that any number could wait for it.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING

from exporter.server.http.connection import FIRST_BYTE_WHILE_STOPPING_SECONDS, Connection

if TYPE_CHECKING:
    import ssl

    from exporter.server.http.connection_pool import ConnectionPool

ACCEPTS_PER_TURN = 64
"""So many connections are accepted in one turn of the event loop, before those that are too many are closed."""
HANDSHAKE_SECONDS = 10.0
"""The time from accepting a TLS connection to the end of its handshake."""
PAUSE_SECONDS = 0.1
"""The time without accepting after the system refused, because it has no file descriptors or memory left."""


class Acceptor:
    """Accepts the connections of one listener.

    Args:
        listener: a listening socket that does not block.
        pool: gets the connections.
        context: the TLS context; None for plain HTTP.
    """

    def __init__(self, listener: socket.socket, pool: ConnectionPool, context: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._pool = pool
        self._loop = pool.loop
        self._context = context
        self._tasks: set[asyncio.Task[object]] = set()  # the event loop alone would not keep them
        self._pause = self._loop.call_soon(self._start)

    def close(self) -> None:
        """Accept nothing more, and close the listening socket."""
        self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    async def wait_until_opened(self) -> None:
        """Wait until each accepted connection without TLS is in the pool, which a stop waits for."""
        await asyncio.gather(*self._tasks)

    def _start(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                break
            except OSError:
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._start)
                break
            client.settimeout(0)
            if self._context is None:
                task = self._loop.create_task(open_connection(client, self._pool))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._pool.add(TlsHandshake(client, self._pool, self._context))


class TlsHandshake:
    """A connection before the end of its TLS handshake. Until its first byte, it is nothing but a socket.

    Args:
        client: the accepted socket.
        pool: contains this object, and from the end of the handshake a `Connection` instead.
        context: the TLS context.

    Attributes:
        deadline: see `exporter.server.http.connection_pool.PooledConnection`.
    """

    waits_for_client = True

    def __init__(self, client: socket.socket, pool: ConnectionPool, context: ssl.SSLContext) -> None:
        self._client = client
        self._pool = pool
        self._loop = pool.loop
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self.deadline = self._loop.time() + HANDSHAKE_SECONDS
        self._loop.add_reader(client, self._begin)

    def on_deadline(self) -> None:
        """Close a connection whose handshake takes too long."""
        self.abort()

    def drain(self) -> None:
        """Wait less for the handshake, because the server stops."""
        self.deadline = min(self.deadline, self._loop.time() + FIRST_BYTE_WHILE_STOPPING_SECONDS)

    def abort(self) -> None:
        """Close the connection at once."""
        self._pool.remove(self)
        if self._task is None:
            self._loop.remove_reader(self._client)
            self._client.close()
        else:
            self._task.cancel()

    def _begin(self) -> None:
        """Start the handshake, because there is a first byte, or the client has closed the connection."""
        try:
            first_byte = self._client.recv(1, socket.MSG_PEEK)
        except OSError:
            first_byte = b""
        if first_byte:
            self._loop.remove_reader(self._client)
            self._task = self._loop.create_task(open_connection(self._client, self._pool, self._context, self))
        else:
            self.abort()


async def open_connection(
    client: socket.socket,
    pool: ConnectionPool,
    context: ssl.SSLContext | None = None,
    handshake: TlsHandshake | None = None,
) -> None:
    """Turn an accepted socket into a `Connection`; with a ``handshake``, perform it and replace it in the pool."""
    try:
        await pool.loop.connect_accepted_socket(partial(Connection, pool, handshake), client, ssl=context)
    except OSError:  # the client has closed the connection, or speaks no TLS
        pool.remove(handshake)
