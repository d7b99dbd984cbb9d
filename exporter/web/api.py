"""The JSON API of the admin listener: what is known, for programs; it changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from exporter.web import documents, openapi, parameters
from exporter.web.documents import CONDITIONS
from exporter.web.parameters import LARGEST, Choice, Number, ParameterError
from exporter.web.problems import problem

if TYPE_CHECKING:
    from exporter.config.loader import Config
    from exporter.service import Service
    from exporter.web.parameters import Parameter

MOST_EXPORTS = 10_000
MOST_EVENTS = 1_000
MOST_BODIES = 100
EVENTS_OF_AN_EXPORT = 20


@dataclass(frozen=True, slots=True)
class Queries:
    """What may be asked of each path, by the sources that are configured."""

    exports: tuple[Parameter, ...]
    events: tuple[Parameter, ...]
    quarantine: tuple[Parameter, ...]


def queries(config: Config) -> Queries:
    """The parameters of every path."""
    source = Choice("source", sorted(config.sources), "Only of this source.")
    after = Number("after", 0, LARGEST, None, "Only past this sequence, the oldest first; else the newest first.")
    return Queries(
        exports=(
            source,
            Choice("state", CONDITIONS, "Only those in this state."),
            Number("limit", 1, MOST_EXPORTS, 1_000, "How many at the most; the answer has the number of all."),
        ),
        events=(source, Number("limit", 1, MOST_EVENTS, 100, "How many at the most."), after),
        quarantine=(source, Number("limit", 1, MOST_BODIES, 20, "How many at the most."), after),
    )


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
        shown = [documents.export(state, now) for state in found[: asked["limit"]]]
        return _answer({"exports": shown, "total": len(found)})

    @api.get("/exports/<identity>")
    def export(identity: str) -> Response:
        _asked(())
        now = service.now()
        found = service.export(identity, now, EVENTS_OF_AN_EXPORT)
        if found is None:
            raise NotFound
        state, events = found
        return _answer({"export": documents.export(state, now), "events": [documents.event(each) for each in events]})

    @api.get("/events")
    def events() -> Response:
        asked = _asked(queries(service.config).events)
        found = service.ledger.newest(**asked)
        return _answer({"events": [documents.event(each) for each in found]})

    @api.get("/sources")
    def sources() -> Response:
        _asked(())
        _, states = service.known(service.now())
        return _answer({"sources": [documents.source(state) for state in states]})

    @api.get("/quarantine")
    def quarantine() -> Response:
        asked = _asked(queries(service.config).quarantine)
        found = service.ledger.quarantine(**asked)
        return _answer({"quarantine": [documents.quarantined(each) for each in found]})

    @api.get("/openapi.json")
    def description() -> Response:
        _asked(())
        return _answer(openapi.describe(service.config, queries(service.config)))

    return api


def _asked(known: tuple[Parameter, ...]) -> dict[str, Any]:
    return parameters.read(request.args, known)


def _answer(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document) + "\n", mimetype="application/json")
