"""One line a request, with its outcome; no body, no header, no query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from exporter.server.http.messages import HttpRequest, HttpResponse

log = structlog.get_logger()


def log_request(listener: str, http_request: HttpRequest, answer: HttpResponse) -> None:
    """Log a request of a listener that has just been answered."""
    log.info(
        listener,
        method=http_request.method,
        path=http_request.shown_path,
        code=answer.status,
        ms=round((time.perf_counter() - http_request.started_at) * 1000, 2),
        client=http_request.client,
        **http_request.outcome,
    )
