"""How errors meet HTTP: one table, and one form (RFC 9457 problem documents)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import PayloadError, PayloadTooLargeError, StoreError
from exporter.server.http.messages import Answer
from exporter.server.http.request_parser import TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Mapping


RETRY_AFTER_SECONDS = 5

STATUS_OF = (
    (PayloadTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (PayloadError, HTTPStatus.BAD_REQUEST),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)

_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path does not take this method",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TOO_LARGE,
}

log = structlog.get_logger()


def document(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: str) -> Answer:
    """A problem document; ``more`` are members beside the usual ones."""
    told = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    fields = {"Content-Type": "application/problem+json"} | dict(headers or {})
    return Answer(status.value, f"{json.dumps(told | more)}\n".encode(), tuple(fields.items()))


def usual(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Answer:
    """The document of an error that says the same wherever it occurs."""
    return document(status, _DETAILS[status], headers)


def answer_to(error: Exception) -> Answer:
    """What an error is answered with."""
    for kind, status in STATUS_OF:
        if isinstance(error, kind):
            if status is HTTPStatus.SERVICE_UNAVAILABLE:
                log.error("store", error=str(error))
                headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
                return document(status, f"the store cannot be used just now, please try again: {error}", headers)
            return document(status, str(error))
    log.error("unexpected", error=repr(error), exc_info=error)
    return document(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected error; it is in the log")
