"""A connection to PostgreSQL whose waits have a deadline."""

from __future__ import annotations

import time
from typing import Any

import psycopg


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that waits no longer than its deadline, even if the server does not answer at all.

    Attributes:
        deadline: seconds on the monotonic clock.
    """

    deadline = 0.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Run psycopg's ``gen`` to its end and return its result.

        Raises:
            psycopg.errors.ConnectionTimeout: the deadline passed, and the connection is closed.
            psycopg.OperationalError: the connection broke.
        """
        left = max(0.1, self.deadline - time.monotonic())
        try:
            return super().wait(gen, interval, left if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if time.monotonic() < self.deadline:
                raise
            self.close()
            message = "the server did not answer in time"
            raise psycopg.errors.ConnectionTimeout(message) from error
