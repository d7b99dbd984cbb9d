"""The access log: one line for each request, with its outcome but no body, header or query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from exporter.server.http.messages import HttpRequest, HttpResponse

log = structlog.get_logger()


def log_request(listener: str, request: HttpRequest, response: HttpResponse) -> None:
    """Log a request and the status of its response; ``listener`` becomes the log event."""
    log.info(
        listener,
        method=request.method,
        path=request.display_path,
        code=response.status,
        ms=round((time.perf_counter() - request.started_at) * 1000, 2),
        client=request.client,
        **request.outcome,
    )
