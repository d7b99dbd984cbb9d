"""The JSON API of the admin listener: what is known, for programs; it changes nothing."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from exporter.server.admin import openapi, query_parameters, schemas
from exporter.server.admin.query_parameters import ParameterError, queries
from exporter.server.http.flask_adapter import problem

if TYPE_CHECKING:
    from exporter.server.admin.query_parameters import Parameter
    from exporter.server.service import Service

EVENTS_OF_AN_EXPORT = 20


def create_blueprint(service: Service) -> Blueprint:
    """The paths under ``/api/v1``."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")

    @api.errorhandler(ParameterError)
    def refuse(error: ParameterError) -> Response:
        return problem(HTTPStatus.BAD_REQUEST, str(error), parameter=error.name)

    @api.get("/exports")
    def exports() -> Response:
        asked, now = _asked(queries(service.config).exports), service.now()
        states, _ = service.known(now)
        found = [
            state
            for state in states
            if asked["source"] in {None, state.source} and asked["state"] in {None, state.condition(now)}
        ]
        shown = [schemas.export(state, now) for state in found[: asked["limit"]]]
        return _answer({"exports": shown, "total": len(found)})

    @api.get("/exports/<identity>")
    def export(identity: str) -> Response:
        _asked(())
        now = service.now()
        found = service.export(identity, now, EVENTS_OF_AN_EXPORT)
        if found is None:
            raise NotFound
        state, events = found
        return _answer({"export": schemas.export(state, now), "events": [schemas.event(each) for each in events]})

    @api.get("/events")
    def events() -> Response:
        asked = _asked(queries(service.config).events)
        found = service.ledger.newest(**asked)
        return _answer({"events": [schemas.event(each) for each in found]})

    @api.get("/sources")
    def sources() -> Response:
        _asked(())
        _, states = service.known(service.now())
        return _answer({"sources": [schemas.source(state) for state in states]})

    @api.get("/quarantine")
    def quarantine() -> Response:
        asked = _asked(queries(service.config).quarantine)
        found = service.ledger.quarantine(**asked)
        return _answer({"quarantine": [schemas.quarantined(each) for each in found]})

    @api.get("/openapi.json")
    def description() -> Response:
        _asked(())
        return _answer(openapi.describe(service.config, queries(service.config)))

    return api


def _asked(known: tuple[Parameter, ...]) -> dict[str, Any]:
    return query_parameters.read(request.args, known)


def _answer(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document) + "\n", mimetype="application/json")
