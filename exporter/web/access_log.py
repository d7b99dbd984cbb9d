"""One line a request, with its outcome; no body, no header, no query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from flask import g, request

from exporter.logs import JsonLines, is_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

    from exporter.settings import Log
    from exporter.web.exchange import Answer, Exchange

log = structlog.get_logger()


class RequestLog:
    """The lines of one listener, written with as little ado as a line needs.

    Args:
        listener: the name of its events.
        settings: where logs are JSON, a line is not made by way of structlog, which took a tenth
            of the time of a request.
        soon: calls a function in the event loop, where all answers come from there.
    """

    def __init__(
        self, listener: str, settings: Log, soon: Callable[[Callable[[], None]], object] | None = None
    ) -> None:
        self._listener = listener
        self._lines = JsonLines(listener, soon) if is_json(settings) else None
        self._wanted = settings.level in {"debug", "info"}

    def note(self, exchange: Exchange, answer: Answer) -> None:
        """Write the line of one request, if such lines are wanted."""
        if not self._wanted:
            return
        fields = {
            "method": exchange.method,
            "path": exchange.shown_path,
            "code": answer.status,
            "ms": round((time.perf_counter() - exchange.began) * 1000, 2),
            "client": exchange.client,
            **exchange.outcome,
        }
        if self._lines is None:
            log.info(self._listener, **fields)
        else:
            self._lines.write(fields, time.time())


def log_requests(app: Flask, listener: str) -> None:
    """Have every request of ``app`` logged."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def told(response: Response) -> Response:
        log.info(
            listener,
            method=request.method,
            path=request.path,
            code=response.status_code,
            ms=round((time.perf_counter() - g.began) * 1000, 2),
            client=request.remote_addr,
            **g.get("outcome", {}),
        )
        return response
