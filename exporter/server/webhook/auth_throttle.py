"""Who sends, and how often an address failed to show a credential: past ten a minute it is told to wait.

A valid credential is looked at first and always passes, so that nobody who guesses from behind
the sender's address can lock the sender out.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque
from functools import lru_cache

MAX_FAILURES_PER_MINUTE = 10
MAX_ADDRESSES = 10_000
MINUTE = 60.0


class AuthThrottle:
    """The failures of the last minute, by address; the oldest addresses are forgotten first."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def record_failure(self, address: str, now: float) -> bool:
        """Note a failure at ``now`` (monotonic seconds); whether there were over ten in a minute."""
        address = rate_limit_key(address)
        with self._lock:
            times = self._times.pop(address, None) or deque(maxlen=MAX_FAILURES_PER_MINUTE + 1)
            self._times[address] = times
            while len(self._times) > MAX_ADDRESSES:
                self._times.popitem(last=False)
            times.append(now)
            return len(times) > MAX_FAILURES_PER_MINUTE and now - times[0] < MINUTE


def client_address(peer: str, forwarded_for: str, hops: int) -> str:
    """The address of the sender.

    Args:
        peer: the other end of the connection.
        forwarded_for: ``X-Forwarded-For``, of several such headers all with commas. Each proxy
            adds on the right whom it heard from; what stands further left anyone can make up.
        hops: how many proxies are trusted to have added theirs.
    """
    if hops:
        given = forwarded_for.split(",")
        if len(given) >= hops and _parse_address(given[-hops].strip()) is not None:
            return given[-hops].strip()
    return peer


@lru_cache(maxsize=1024)
def rate_limit_key(address: str) -> str:
    """What is counted as one: of IPv6 the first 64 bits, since whoever has one address has all of those."""
    found = _parse_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(found) >> 64 << 64))
    return address


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
