"""A TCP proxy that a test can make hang, without either side noticing."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Proxy:
    """Forwards TCP connections to a port of the loopback interface.

    While it hangs, it accepts connections and discards their bytes, and sends nothing back: no response, no end of
    the connection, no error. A firewall that has lost its state does the same.

    Args:
        target: the port to forward to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._hanging = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # A close alone does not wake a thread that waits in the kernel.
        for opened in [self._listener, *self._open]:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for opened in [self._listener, *self._open]:
            opened.close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Forward nothing; at the end, close all connections of that time."""
        self._hanging.set()
        try:
            yield
        finally:
            self._hanging.clear()
            for connection in list(self._open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                if self._hanging.is_set():
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open.append(server)
                self._start(self._forward, client, server)
                self._start(self._forward, server, client)

    def _forward(self, reader: socket.socket, writer: socket.socket) -> None:
        with suppress(OSError):
            while data := reader.recv(65536):
                if not self._hanging.is_set():
                    writer.sendall(data)
        with suppress(OSError):
            if not self._hanging.is_set():
                writer.shutdown(socket.SHUT_WR)
