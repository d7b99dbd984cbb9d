"""The ports that the tests give to servers: a port that two are given ends a run that has no fault."""

from __future__ import annotations

import itertools
import socket

import pytest

from ports import PORTS, first_free, free_port, ports_of


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


def test_a_port_in_use_is_passed_over() -> None:
    in_use, free = free_port(), free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", in_use))
        assert first_free([in_use, free]) == free
        with pytest.raises(OSError, match="end what does not have to run"):
            first_free([in_use])
