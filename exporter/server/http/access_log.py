"""The access log: one line for each request, with its outcome but no body, header or query.

What strangers can make it write is limited: of requests without a valid credential, few lines a second are written,
and of what a client chose, 128 characters.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import asyncio

    from exporter.server.http.messages import HttpRequest, HttpResponse

LINES_PER_SECOND = 5
"""The most lines about requests without a valid credential."""
MAX_CHARACTERS = 128
ROUTINE_PATHS = frozenset({"/-/healthy", "/-/ready", "/metrics"})
"""What monitoring requests all the time."""

log = structlog.get_logger()


class AccessLog:
    """The access log of all listeners. Used in the event loop only.

    Args:
        loop: the event loop of the connections.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unauthenticated = 0  # requests since the current second began

    def log_request(self, event: str, request: HttpRequest, response: HttpResponse) -> None:
        """Log a request and the status of its response as ``event``; a successful probe or scrape at level debug."""
        path = request.raw_path
        is_routine = path in ROUTINE_PATHS and response.status == HTTPStatus.OK
        level = logging.DEBUG if is_routine else logging.INFO
        if not log.is_enabled_for(level):
            return
        if not request.authenticated:
            if not self._unauthenticated:
                self._loop.call_later(1.0, self.end_second)
            self._unauthenticated += 1
            if self._unauthenticated > LINES_PER_SECOND:
                return
        log.log(
            level,
            event,
            method=request.method,
            path=path[:MAX_CHARACTERS],
            code=response.status,
            ms=round((time.perf_counter() - request.started_at) * 1000, 2),
            client=request.client[:MAX_CHARACTERS],
            **request.outcome,
        )

    def end_second(self) -> None:
        """Log how many requests were not logged in the last second."""
        omitted = self._unauthenticated - LINES_PER_SECOND
        self._unauthenticated = 0
        if omitted > 0:
            log.info("requests_not_logged", requests=omitted)
