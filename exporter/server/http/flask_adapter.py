"""What both Flask applications share: problems as answers, and a log line a request."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.exceptions import HTTPException

from exporter.server.http.problems import _DETAILS, answer_to, document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from exporter.server.http.messages import Answer


def response(answer: Answer) -> Response:
    """An answer as Flask has it."""
    return Response(answer.body, answer.status, list(answer.headers))


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: str) -> Response:
    """A problem document, as Flask has it."""
    return response(document(status, detail, headers, **more))


def answer_with_problems(app: Flask) -> None:
    """Have every error of ``app`` answered with a problem document."""
    app.register_error_handler(Exception, _answer)


def _answer(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = {name: value for name, value in error.get_headers() if name.lower() in {"allow", "retry-after"}}
        return problem(status, _DETAILS.get(status, status.description), headers)
    return response(answer_to(error))
