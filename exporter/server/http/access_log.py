"""One line a request, with its outcome; no body, no header, no query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from exporter.server.http.messages import Answer, Exchange

log = structlog.get_logger()


def log_request(listener: str, exchange: Exchange, answer: Answer) -> None:
    """Log a request of a listener that has just been answered."""
    log.info(
        listener,
        method=exchange.method,
        path=exchange.shown_path,
        code=answer.status,
        ms=round((time.perf_counter() - exchange.began) * 1000, 2),
        client=exchange.client,
        **exchange.outcome,
    )
