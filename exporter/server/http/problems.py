"""Error responses: which error gets which HTTP status, as RFC 9457 problem documents."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from exporter.domain.errors import (
    BudgetExceededError,
    PayloadError,
    PayloadTooLargeError,
    StoreError,
    UnsupportedEncodingError,
)
from exporter.server.http.access_log import MAX_CHARACTERS
from exporter.server.http.auth_throttle import MINUTE
from exporter.server.http.messages import HttpResponse
from exporter.server.http.request_parser import TOO_LARGE, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping


RETRY_AFTER_SECONDS = 5

STATUS_BY_ERROR = (
    (PayloadTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedEncodingError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (PayloadError, HTTPStatus.BAD_REQUEST),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The status of each error of the domain; the first match counts. A `RequestError` has its own, any other is 500."""

STANDARD_DETAILS = {
    HTTPStatus.NOT_FOUND: "no such path",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path does not accept this method",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests without a valid credential",
}
"""The detail of a status that always means the same."""

log = structlog.get_logger()


def problem_document(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **members: str
) -> HttpResponse:
    """Build a problem document; ``members`` are added to the standard ones."""
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail} | members
    fields = {"Content-Type": "application/problem+json"} | dict(headers or {})
    return HttpResponse(status.value, f"{json.dumps(document)}\n".encode(), tuple(fields.items()))


def standard_problem(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Build the problem document of a status in `STANDARD_DETAILS`."""
    return problem_document(status, STANDARD_DETAILS[status], headers)


TOO_MANY_ATTEMPTS = standard_problem(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(int(MINUTE))})
"""The response to a client with too many requests without a valid credential."""


def unauthorized(realm: str, protected: str) -> HttpResponse:
    """Build the 401 of a request without a valid credential for what is ``protected``."""
    schemes = {"WWW-Authenticate": f'Bearer realm="{realm}", Basic realm="{realm}"'}
    return problem_document(HTTPStatus.UNAUTHORIZED, f"no valid credential for {protected}", schemes)


def unavailable(detail: str) -> HttpResponse:
    """Build a 503 that asks the client to try again in `RETRY_AFTER_SECONDS`."""
    return problem_document(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def response_to_error(error: Exception) -> HttpResponse:
    """Build the response to an error, and log it unless the client caused it."""
    if isinstance(error, RequestError):
        return problem_document(error.status, error.detail)
    if isinstance(error, BudgetExceededError):
        headers = {"Retry-After": str(error.retry_after)}
        return problem_document(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers)
    status = next((status for error_type, status in STATUS_BY_ERROR if isinstance(error, error_type)), None)
    if status is None:
        log.error("internal_error", error=repr(error)[:MAX_CHARACTERS], exc_info=error)
        return problem_document(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected error; it is in the log")
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        log.error("store_failed", error=str(error))
        return unavailable("the store cannot be used, please try again; the exporter's log has the reason")
    return problem_document(status, str(error))
