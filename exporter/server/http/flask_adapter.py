"""Responses and errors of the Flask applications in the form of `exporter.server.http`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.exceptions import HTTPException

from exporter.server.http.problems import STANDARD_DETAILS, problem_document, response_to_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from exporter.server.http.messages import HttpResponse


def flask_response(response: HttpResponse) -> Response:
    """Convert a response for Flask."""
    return Response(response.body, response.status, list(response.headers))


def flask_problem(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **members: str
) -> Response:
    """Build a problem document for Flask; see `exporter.server.http.problems.problem_document`."""
    return flask_response(problem_document(status, detail, headers, **members))


def register_error_handlers(app: Flask) -> None:
    """Make ``app`` respond to every error with a problem document."""
    app.register_error_handler(Exception, _handle_error)


def _handle_error(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = {name: value for name, value in error.get_headers() if name.lower() in {"allow", "retry-after"}}
        return flask_problem(status, STANDARD_DETAILS.get(status, status.description), headers)
    return flask_response(response_to_error(error))
