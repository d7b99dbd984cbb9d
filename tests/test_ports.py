"""The ports that the tests give to servers: a port that two are given ends a run that has no fault."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING

from ports import PORTS, free_port, ports_of

if TYPE_CHECKING:
    import pytest


def test_no_port_is_given_twice() -> None:
    given = [free_port() for _ in range(1_000)]
    assert len(set(given)) == len(given)


def test_workers_have_ports_of_their_own_and_leave_none() -> None:
    of_workers = [
        ports_of({"PYTEST_XDIST_WORKER": f"gw{worker}", "PYTEST_XDIST_WORKER_COUNT": "3"}) for worker in range(3)
    ]
    assert sorted(itertools.chain(*of_workers)) == list(PORTS)


def test_a_process_alone_has_them_all() -> None:
    assert ports_of({}) == PORTS


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    in_use, free = free_port(), free_port()
    monkeypatch.setattr("ports._ports", iter([in_use, free]))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", in_use))
        assert free_port() == free
