"""The read-only JSON API of the admin listener: exports, events, sources and the quarantine."""

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
    """Create the blueprint of ``/api/v1``."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")

    @api.errorhandler(ParameterError)
    def refuse(error: ParameterError) -> Response:
        return flask_problem(HTTPStatus.BAD_REQUEST, str(error), parameter=error.name)

    @api.get("/exports")
    def exports() -> Response:
        query, now = _parse_query(parameters_by_path(service.config).exports), service.now()
        states, _ = service.list_states(now)
        matching = [
            state
            for state in states
            if query["source"] in {None, state.source} and query["state"] in {None, state.condition(now)}
        ]
        documents = [schemas.export_document(state, now) for state in matching[: query["limit"]]]
        return _json_response({"exports": documents, "total": len(matching)})

    @api.get("/exports/<export_id>")
    def export(export_id: str) -> Response:
        _parse_query(())
        now = service.now()
        state_and_events = service.find_export(export_id, now, EVENTS_PER_EXPORT)
        if state_and_events is None:
            raise NotFound
        state, events = state_and_events
        documents = [schemas.event_document(event) for event in events]
        return _json_response({"export": schemas.export_document(state, now), "events": documents})

    @api.get("/events")
    def events() -> Response:
        query = _parse_query(parameters_by_path(service.config).events)
        return _json_response({"events": [schemas.event_document(event) for event in service.ledger.newest(**query)]})

    @api.get("/sources")
    def sources() -> Response:
        _parse_query(())
        _, states = service.list_states(service.now())
        return _json_response({"sources": [schemas.source_document(state) for state in states]})

    @api.get("/quarantine")
    def quarantine() -> Response:
        query = _parse_query(parameters_by_path(service.config).quarantine)
        bodies = service.ledger.quarantine(**query)
        return _json_response({"quarantine": [schemas.quarantined_document(body) for body in bodies]})

    @api.get("/refused")
    def refused() -> Response:
        query = _parse_query(parameters_by_path(service.config).refused)
        bodies = service.ledger.bodies.refused(**query)
        return _json_response({"refused": [schemas.refused_document(body) for body in bodies]})

    @api.get("/openapi.json")
    def description() -> Response:
        _parse_query(())
        return _json_response(openapi.openapi_document(service.config, parameters_by_path(service.config)))

    return api


def _parse_query(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    return query_parameters.parse_parameters(request.args, parameters)


def _json_response(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document) + "\n", mimetype="application/json")
