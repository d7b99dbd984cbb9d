"""A connection to PostgreSQL that never waits for longer than it may."""

from __future__ import annotations

import time
from typing import Any

import psycopg


class LimitedConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends by a deadline, also where the server does not answer at all.

    Attributes:
        deadline: on the monotonic clock.
    """

    deadline = 0.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401
        """What ``gen`` returns.

        Raises:
            psycopg.OperationalError: it took too long; the connection is closed.
        """
        left = max(0.1, self.deadline - time.monotonic())
        try:
            return super().wait(gen, interval, left if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if time.monotonic() < self.deadline:
                raise
            self.close()
            message = "the server did not answer in time"
            raise psycopg.OperationalError(message) from error
