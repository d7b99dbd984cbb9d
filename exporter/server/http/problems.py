"""How errors meet HTTP: one table, and one form (RFC 9457 problem documents)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import PayloadError, PayloadTooLargeError, StoreError
from exporter.server.http.messages import HttpResponse
from exporter.server.http.request_parser import TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Mapping


RETRY_AFTER_SECONDS = 5

STATUS_BY_ERROR = (
    (PayloadTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (PayloadError, HTTPStatus.BAD_REQUEST),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)

_STANDARD_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path does not take this method",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TOO_LARGE,
}

log = structlog.get_logger()


def problem_document(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: str
) -> HttpResponse:
    """A problem document; ``more`` are members beside the usual ones."""
    members = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    fields = {"Content-Type": "application/problem+json"} | dict(headers or {})
    return HttpResponse(status.value, f"{json.dumps(members | more)}\n".encode(), tuple(fields.items()))


def standard_problem(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """The document of an error that says the same wherever it occurs."""
    return problem_document(status, _STANDARD_DETAILS[status], headers)


def response_to_error(error: Exception) -> HttpResponse:
    """What an error is answered with."""
    for error_type, status in STATUS_BY_ERROR:
        if isinstance(error, error_type):
            if status is HTTPStatus.SERVICE_UNAVAILABLE:
                log.error("store", error=str(error))
                headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
                return problem_document(
                    status, f"the store cannot be used just now, please try again: {error}", headers
                )
            return problem_document(status, str(error))
    log.error("unexpected", error=repr(error), exc_info=error)
    return problem_document(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected error; it is in the log")
