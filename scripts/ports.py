"""Ports of the loopback interface for servers that run for a while: no two of a process are the same."""

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
"""Below those from which the kernel takes the near ends of connections.

One of those may be gone before a server has it, where other tests make many connections meanwhile.
"""


def ports_of(environment: Mapping[str, str]) -> range:
    """Those of `PORTS` that are for this process alone, where pytest-xdist divided the tests among several.

    Args:
        environment: its variables; pytest-xdist tells its workers their name and their number there.
    """
    worker = int(environment.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return PORTS[worker :: int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))]


def _in_turn(ports: range) -> Iterator[int]:
    """All of them before any comes again; in an order that another run beside this one does not have."""
    return itertools.cycle(random.sample(ports, len(ports)))


_ports = _in_turn(ports_of(os.environ))


def free_port() -> int:
    """A port on which nothing listens, and which this process gives to nobody else.

    A server that is not there yet, or that a test stopped for a moment, keeps its port: chosen
    anew by chance each time, one in some forty runs of all tests met the same port twice.
    """
    return first_free(_ports)


def first_free(ports: Iterable[int]) -> int:
    """The first of them on which nothing listens."""
    for port in ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    message = "on each of these ports something listens: end what does not have to run"
    raise OSError(message)
