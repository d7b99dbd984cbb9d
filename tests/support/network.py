"""A network between two programs that a test may cut without either noticing."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Proxy:
    """Passes TCP connections on to a port of the loopback interface.

    While it hangs, connections are taken and bytes are swallowed, and nothing comes back: no answer,
    no end of the connection, no error. That is what a firewall does that has lost its state.

    Args:
        target: the port behind it.
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
        for each in [self._listener, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._open]:
            each.close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Pass nothing on; afterwards, the connections of until then are reset."""
        self._hanging.set()
        try:
            yield
        finally:
            self._hanging.clear()
            for each in list(self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

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
                self._start(self._pass_on, client, server)
                self._start(self._pass_on, server, client)

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not self._hanging.is_set():
                    other.sendall(data)
        with suppress(OSError):
            if not self._hanging.is_set():
                other.shutdown(socket.SHUT_WR)
