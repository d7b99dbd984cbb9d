"""What both Flask applications share: problems as answers, and a log line a request."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.exceptions import HTTPException

from exporter.server.http.problems import _STANDARD_DETAILS, problem_document, response_to_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from exporter.server.http.messages import HttpResponse


def flask_response(answer: HttpResponse) -> Response:
    """An answer as Flask has it."""
    return Response(answer.body, answer.status, list(answer.headers))


def flask_problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: str) -> Response:
    """A problem document, as Flask has it."""
    return flask_response(problem_document(status, detail, headers, **more))


def register_error_handlers(app: Flask) -> None:
    """Have every error of ``app`` answered with a problem document."""
    app.register_error_handler(Exception, _handle_error)


def _handle_error(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = {name: value for name, value in error.get_headers() if name.lower() in {"allow", "retry-after"}}
        return flask_problem(status, _STANDARD_DETAILS.get(status, status.description), headers)
    return flask_response(response_to_error(error))
