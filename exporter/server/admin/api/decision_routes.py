"""The part of the JSON API that makes decisions: mutes, retirements, and replays of quarantined bodies."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request

from exporter.domain.decision_rules import Author, mute_end
from exporter.domain.decisions import MUTE, RETIRE
from exporter.domain.errors import NoSuchExportError
from exporter.ingest.replay import QuarantineSelection
from exporter.server.admin.access import http_request
from exporter.server.admin.access_to_decisions import refuse_decision
from exporter.server.admin.api import decision_schemas
from exporter.server.admin.api.json_responses import json_response, parse_query
from exporter.server.admin.api.request_bodies import (
    EXPORT_ID,
    MUTE_BODY,
    RETIREMENT_BODY,
    FieldError,
    parse_body,
    replay_body,
)
from exporter.server.http.browsers import SAFE_METHODS
from exporter.server.http.flask_adapter import flask_response

if TYPE_CHECKING:
    from flask import Blueprint

    from exporter.domain.exports import ExportKey
    from exporter.projection.decision_maker import Decided
    from exporter.server.service import Service

REPLAYED_PER_REQUEST = 500
"""The most bodies that one request looks at, so that it takes seconds at most."""


def add_routes(api: Blueprint, service: Service) -> None:
    """Add the endpoints that change something to ``/api/v1``."""

    @api.before_request
    def refuse() -> Response | None:
        refusal = None if request.method in SAFE_METHODS else refuse_decision(service.config)
        return None if refusal is None else flask_response(refusal)

    @api.post("/mutes")
    def mute() -> Response:
        parse_query(service.config, "mute")
        fields = parse_body(request, MUTE_BODY)
        try:
            end = mute_end(fields["for"], fields["until"], service.now())
        except ValueError as error:
            raise FieldError("for" if fields["until"] is None else "until", str(error)) from None
        decided = service.decisions.mute(_key_in_body(service, fields), end, _author(fields))
        return _decided(service, decided, MUTE)

    @api.delete("/mutes/<export_id>")
    def unmute(export_id: str) -> Response:
        author = _author(parse_query(service.config, "unmute"))
        return _decided(service, service.decisions.unmute(service.find_key(export_id), author), MUTE)

    @api.post("/retirements")
    def retire() -> Response:
        parse_query(service.config, "retire")
        fields = parse_body(request, RETIREMENT_BODY)
        return _decided(service, service.decisions.retire(_key_in_body(service, fields), _author(fields)), RETIRE)

    @api.delete("/retirements/<export_id>")
    def unretire(export_id: str) -> Response:
        author = _author(parse_query(service.config, "unretire"))
        return _decided(service, service.decisions.unretire(service.find_key(export_id), author), RETIRE)

    @api.post("/replays")
    def replay() -> Response:
        parse_query(service.config, "replay")
        fields = parse_body(request, replay_body(sorted(service.config.sources), REPLAYED_PER_REQUEST))
        selection = QuarantineSelection(fields["source"], fields["reason"], fields["sequence"])
        page = service.replay_quarantine(selection, fields["after"], fields["limit"], dry_run=fields["preview"])
        return json_response({"replay": decision_schemas.replay_document(page, preview=fields["preview"])})


def _author(given: dict[str, Any]) -> Author:
    return Author(given["by"], given["why"])


def _key_in_body(service: Service, fields: dict[str, Any]) -> ExportKey:
    try:
        return service.find_key(fields["export_id"])
    except NoSuchExportError as error:
        raise FieldError(EXPORT_ID.name, str(error), HTTPStatus.NOT_FOUND) from None


def _decided(service: Service, decided: Decided, kind: str) -> Response:
    """Answer with the mute or retirement that a decision began or ended: 201 if it began just now."""
    decision = decided.decision
    http_request().outcome = {"decided": decision.kind, "export": decision.key.id, "by": decision.by}
    recorded = [each for each in service.list_decisions(service.now()) if each.record.decision.key == decision.key]
    item = decision_schemas.decision_items(recorded, kind)[0]
    document = decision_schemas.decision_document(item, kind)
    is_created = decided.is_new and request.method == "POST"
    name = {MUTE: "mute", RETIRE: "retirement"}[kind]
    return json_response({name: document}, HTTPStatus.CREATED if is_created else HTTPStatus.OK)
