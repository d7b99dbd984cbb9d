"""Chooses ports of the loopback interface for servers, a different one each time."""

from __future__ import annotations

import itertools
import os
import random
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PORTS = range(10_000, 32_000)
"""Ports below the ephemeral ones, which the kernel may give to a connection before the server binds its port."""


def ports_of(environment: Mapping[str, str]) -> range:
    """Return those of `PORTS` that this process may use, apart from the other workers of pytest-xdist.

    Args:
        environment: the process's variables, in which pytest-xdist puts the worker's name and the number of workers.
    """
    worker = int(environment.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return PORTS[worker :: int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))]


def _in_turn(ports: range) -> Iterator[int]:
    """Yield all ports before any repeats, in an order that differs from that of another run at the same time."""
    return itertools.cycle(random.sample(ports, len(ports)))


_ports = _in_turn(ports_of(os.environ))


def free_port() -> int:
    """Return a port on which nothing listens, and which this process has not given out lately.

    So a server that has not started yet, or that a test has stopped for a moment, keeps its port. With a random
    choice each time, about one in forty runs of all tests met the same port twice.
    """
    return first_free(_ports)


def first_free(ports: Iterable[int]) -> int:
    """Return the first port on which nothing listens.

    Raises:
        OSError: something listens on every one of them.
    """
    for port in ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    message = "on each of these ports something listens: end what does not have to run"
    raise OSError(message)
