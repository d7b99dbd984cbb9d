"""How often an address failed to show a credential: past ten a minute it is told to wait.

A valid credential is looked at first and always passes, so that nobody who guesses from behind
the sender's address can lock the sender out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

MOST_PER_MINUTE = 10
MOST_ADDRESSES = 10_000
MINUTE = 60.0


class FailedAttempts:
    """The failures of the last minute, by address; the oldest addresses are forgotten first."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def too_many(self, address: str, now: float) -> bool:
        """Note a failure at ``now`` (monotonic seconds); whether there were over ten in a minute."""
        with self._lock:
            times = self._times.pop(address, None) or deque(maxlen=MOST_PER_MINUTE + 1)
            self._times[address] = times
            while len(self._times) > MOST_ADDRESSES:
                self._times.popitem(last=False)
            times.append(now)
            return len(times) > MOST_PER_MINUTE and now - times[0] < MINUTE
