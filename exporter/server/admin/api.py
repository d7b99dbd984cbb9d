"""The JSON API of the admin listener: what is known, for programs; it changes nothing."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from exporter.server.admin import openapi, query_parameters, schemas
from exporter.server.admin.query_parameters import ParameterError, parameters_by_path
from exporter.server.http.flask_adapter import flask_problem

if TYPE_CHECKING:
    from exporter.server.admin.query_parameters import Parameter
    from exporter.server.service import Service

EVENTS_PER_EXPORT = 20


def create_blueprint(service: Service) -> Blueprint:
    """The paths under ``/api/v1``."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")

    @api.errorhandler(ParameterError)
    def refuse(error: ParameterError) -> Response:
        return flask_problem(HTTPStatus.BAD_REQUEST, str(error), parameter=error.name)

    @api.get("/exports")
    def exports() -> Response:
        asked, now = _parse_query(parameters_by_path(service.config).exports), service.now()
        states, _ = service.list_states(now)
        found = [
            state
            for state in states
            if asked["source"] in {None, state.source} and asked["state"] in {None, state.condition(now)}
        ]
        shown = [schemas.export_document(state, now) for state in found[: asked["limit"]]]
        return _json_response({"exports": shown, "total": len(found)})

    @api.get("/exports/<identity>")
    def export(identity: str) -> Response:
        _parse_query(())
        now = service.now()
        found = service.find_export(identity, now, EVENTS_PER_EXPORT)
        if found is None:
            raise NotFound
        state, events = found
        return _json_response(
            {"export": schemas.export_document(state, now), "events": [schemas.event_document(each) for each in events]}
        )

    @api.get("/events")
    def events() -> Response:
        asked = _parse_query(parameters_by_path(service.config).events)
        found = service.ledger.newest(**asked)
        return _json_response({"events": [schemas.event_document(each) for each in found]})

    @api.get("/sources")
    def sources() -> Response:
        _parse_query(())
        _, states = service.list_states(service.now())
        return _json_response({"sources": [schemas.source_document(state) for state in states]})

    @api.get("/quarantine")
    def quarantine() -> Response:
        asked = _parse_query(parameters_by_path(service.config).quarantine)
        found = service.ledger.quarantine(**asked)
        return _json_response({"quarantine": [schemas.quarantined_document(each) for each in found]})

    @api.get("/openapi.json")
    def description() -> Response:
        _parse_query(())
        return _json_response(openapi.openapi_document(service.config, parameters_by_path(service.config)))

    return api


def _parse_query(known: tuple[Parameter, ...]) -> dict[str, Any]:
    return query_parameters.parse_parameters(request.args, known)


def _json_response(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document) + "\n", mimetype="application/json")
