"""What all endpoints of the JSON API share: parsed parameters, JSON responses, ETags and errors."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request

from exporter.domain.errors import DecisionRefusedError, NoSuchExportError, NothingToUndoError
from exporter.server.admin.api.query_parameters import ParameterError, parameters_by_endpoint, parse_parameters
from exporter.server.admin.api.request_bodies import JSON_ONLY, FieldError
from exporter.server.http.flask_adapter import flask_problem

if TYPE_CHECKING:
    from flask import Blueprint

    from exporter.config.loader import Config


def parse_query(config: Config, endpoint: str) -> dict[str, Any]:
    """Return the value of every query parameter of an endpoint.

    Raises:
        ParameterError: a parameter is missing, unknown, repeated or out of bounds.
    """
    return parse_parameters(request.args, parameters_by_endpoint(config).get(endpoint, ()))


def json_response(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Build a response with a JSON document."""
    return Response(json.dumps(document) + "\n", status, mimetype="application/json")


def with_etag(response: Response) -> Response:
    """Give the answer to a GET an ETag, and answer 304 without a body if the client has the same already."""
    if request.method in {"GET", "HEAD"} and response.status_code == HTTPStatus.OK:
        response.add_etag()
        response.make_conditional(request)
    return response


def register_api_errors(api: Blueprint) -> None:
    """Answer errors of parameters, fields and decisions with problem documents."""

    @api.errorhandler(ParameterError)
    def wrong_parameter(error: ParameterError) -> Response:
        return flask_problem(HTTPStatus.BAD_REQUEST, str(error), parameter=error.name)

    @api.errorhandler(FieldError)
    def wrong_field(error: FieldError) -> Response:
        return flask_problem(error.status, str(error), field=error.field)

    @api.errorhandler(type(JSON_ONLY))
    def wrong_content_type(_: object) -> Response:
        return flask_problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the Content-Type has to be application/json")

    @api.errorhandler(NoSuchExportError)
    @api.errorhandler(NothingToUndoError)
    def nothing_there(error: NoSuchExportError | NothingToUndoError) -> Response:
        return flask_problem(HTTPStatus.NOT_FOUND, str(error))

    @api.errorhandler(DecisionRefusedError)
    def refused(error: DecisionRefusedError) -> Response:
        return flask_problem(HTTPStatus.CONFLICT, str(error))
