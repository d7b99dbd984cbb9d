"""One line a request, with its outcome; no body, no header, no query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from flask import g, request

if TYPE_CHECKING:
    from flask import Flask, Response

log = structlog.get_logger()


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
