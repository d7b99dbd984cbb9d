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
MAX_ADDRESSES = 10_000
MINUTE = 60.0

_PORT = re.compile(r"([\d.]+):\d{1,5}|\[([^\[\].]*:[^\[\]]*)\](?::\d{1,5})?", re.ASCII)
"""An address with a port, and an IPv6 address in brackets, as some proxies write them."""


class AuthThrottle:
    """Counts failures per address and minute, for the `MAX_ADDRESSES` addresses that failed last."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def record_failure(self, address: str, now: float) -> bool:
        """Record a failure at ``now``, in monotonic seconds.

        Returns:
            True if there were more than `MAX_FAILURES_PER_MINUTE` from this address, or its IPv6 network.
        """
        address = rate_limit_key(address)
        with self._lock:
            times = self._times.pop(address, None) or deque(maxlen=MAX_FAILURES_PER_MINUTE + 1)
            self._times[address] = times
            while len(self._times) > MAX_ADDRESSES:
                self._times.popitem(last=False)
            times.append(now)
            return len(times) > MAX_FAILURES_PER_MINUTE and now - times[0] < MINUTE


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
def rate_limit_key(address: str) -> str:
    """Return the address, or the /64 network of an IPv6 address: one client can usually use all addresses of it."""
    parsed = _parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
    return address


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
