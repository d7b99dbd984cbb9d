"""The JSON API of the admin listener for reading: exports, events, sources, bodies, decisions and outages.

`exporter.server.admin.api.decision_routes` has what changes something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request

from exporter.domain.decisions import MUTE, RETIRE
from exporter.domain.state_filter import StateFilter
from exporter.projection.unconfigured_sources import unconfigured_states
from exporter.server.admin.api import decision_routes, decision_schemas, openapi, schemas
from exporter.server.admin.api.json_responses import json_response, parse_query, register_api_errors, with_etag
from exporter.server.admin.api.paging import next_by_sequence, page_by_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.server.service import Service


def create_blueprint(service: Service) -> Blueprint:
    """Create the blueprint of ``/api/v1``."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")
    register_api_errors(api)
    api.after_request(with_etag)

    @api.get("/exports")
    def exports() -> Response:
        query, now = parse_query(service.config, "exports"), service.now()
        states, _ = service.list_states(now)
        chosen = StateFilter(query["state"], query["source"], query["owner"], query["search"])
        matching = [state for state in states if chosen.matches(state, now)]
        page, links = page_by_offset(matching, query, request.args)
        return json_response({"exports": [schemas.export_document(state, now) for state in page]} | links)

    @api.get("/exports/<export_id>")
    def export(export_id: str) -> Response:
        parse_query(service.config, "export")
        now = service.now()
        return json_response(schemas.export_detail_document(service.export_detail(export_id, now), now, service.config))

    @api.get("/events")
    def events() -> Response:
        return _sequence_page(service, "events", service.ledger.newest, schemas.event_document)

    @api.get("/sources")
    def sources() -> Response:
        parse_query(service.config, "sources")
        _, states = service.list_states(service.now())
        states += unconfigured_states(service.ledger, service.config.sources)
        return json_response({"sources": [schemas.source_document(state, service.config) for state in states]})

    @api.get("/outages")
    def outages() -> Response:
        query = parse_query(service.config, "outages")
        page, links = page_by_offset(service.ledger.outages()[::-1], query, request.args)
        return json_response({"outages": [schemas.outage_document(outage) for outage in page]} | links)

    @api.get("/openapi.json")
    def description() -> Response:
        parse_query(service.config, "openapi.json")
        return json_response(openapi.openapi_document(service.config))

    _add_bodies(api, service)
    _add_decisions(api, service)
    decision_routes.add_routes(api, service)
    return api


def _add_bodies(api: Blueprint, service: Service) -> None:
    @api.get("/quarantine")
    def quarantine() -> Response:
        return _sequence_page(service, "quarantine", service.ledger.quarantine, schemas.quarantined_document)

    @api.get("/refused")
    def refused() -> Response:
        return _sequence_page(service, "refused", service.ledger.bodies.refused, schemas.refused_document)


def _sequence_page(
    service: Service, endpoint: str, read: Callable[..., Sequence[Any]], document: Callable[[Any], dict[str, object]]
) -> Response:
    """Respond with the items that the query of a request asks the ledger for, and the link to the next ones."""
    query = parse_query(service.config, endpoint)
    items = read(**query)
    links = next_by_sequence([item.sequence for item in items], query, request.args)
    return json_response({endpoint: [document(item) for item in items]} | links)


def _add_decisions(api: Blueprint, service: Service) -> None:
    @api.get("/mutes")
    def mutes() -> Response:
        now = service.now()
        items = decision_schemas.configured_mutes(service.config, now)
        items += decision_schemas.decision_items(service.list_decisions(now), MUTE)
        return _decisions_page(service, "mutes", items, MUTE)

    @api.get("/retirements")
    def retirements() -> Response:
        items = decision_schemas.decision_items(service.list_decisions(service.now()), RETIRE)
        return _decisions_page(service, "retirements", items, RETIRE)


def _decisions_page(service: Service, endpoint: str, items: list[decision_schemas.DecisionItem], kind: str) -> Response:
    query = parse_query(service.config, endpoint)
    matching = [
        item for item in items if query["source"] in {None, item.source} and query["state"] in {None, item.state}
    ]
    page, links = page_by_offset(matching, query, request.args)
    return json_response({endpoint: [decision_schemas.decision_document(item, kind) for item in page]} | links)
