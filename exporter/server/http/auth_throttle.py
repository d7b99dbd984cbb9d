"""Throttling of failed authentication, and the client address that it counts by.

The throttle only changes the response to a request without a valid credential. A valid credential
always passes, so that guesses from the sender's address cannot lock the sender out.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections import OrderedDict, deque
from functools import lru_cache

MAX_FAILURES_PER_MINUTE = 10
"""From one address, or one /64 network of IPv6, which one client can usually use all of."""
MAX_FAILURES_PER_NETWORK = 100
"""From one /48 network of IPv6, which one site usually has."""
MAX_ADDRESSES = 10_000
MINUTE = 60.0

_PORT = re.compile(r"([\d.]+):\d{1,5}|\[([^\[\].]*:[^\[\]]*)\](?::\d{1,5})?", re.ASCII)
"""An address with a port, and an IPv6 address in brackets, as some proxies write them."""


class AuthThrottle:
    """Counts failures per address and minute, for the `MAX_ADDRESSES` addresses and networks that failed last."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def record_failure(self, address: str, now: float) -> bool:
        """Record a failure at ``now``, in monotonic seconds.

        Returns:
            True if there were more in the last minute than `rate_limits` allows.
        """
        with self._lock:
            exceeded = [self._record(network, limit, now) for network, limit in rate_limits(address)]
        return any(exceeded)

    def _record(self, network: str, limit: int, now: float) -> bool:
        times = self._times.pop(network, None) or deque(maxlen=limit + 1)
        self._times[network] = times
        while len(self._times) > MAX_ADDRESSES:
            self._times.popitem(last=False)
        times.append(now)
        return len(times) > limit and now - times[0] < MINUTE


def client_address(peer: str, forwarded_for: str, hops: int) -> str:
    """Return the address of the sender.

    Args:
        peer: the address at the other end of the connection.
        forwarded_for: the value of ``X-Forwarded-For``, repeated headers joined by commas. Each proxy
            appends the address of its own peer, perhaps with a port, and anyone can make up the addresses to the left.
        hops: the number of trusted proxies, each of which appended one address.
    """
    if hops:
        entries = forwarded_for.split(",")
        if len(entries) >= hops:
            entry = entries[-hops].strip()
            with_port = _PORT.fullmatch(entry)
            address = with_port[1] or with_port[2] if with_port else entry
            if _parse_address(address) is not None:
                return address
    return peer


@lru_cache(maxsize=1024)
def rate_limits(address: str) -> tuple[tuple[str, int], ...]:
    """Return the networks that a failure from an address is counted by, and how many a minute each may have."""
    parsed = _parse_address(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return ((address, MAX_FAILURES_PER_MINUTE),)
    if parsed.ipv4_mapped is not None:
        return ((str(parsed.ipv4_mapped), MAX_FAILURES_PER_MINUTE),)
    limits = ((64, MAX_FAILURES_PER_MINUTE), (48, MAX_FAILURES_PER_NETWORK))
    return tuple((f"{ipaddress.IPv6Address(int(parsed) >> 128 - n << 128 - n)}/{n}", limit) for n, limit in limits)


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
