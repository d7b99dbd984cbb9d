"""The OpenAPI 3.1 description of both listeners, for clients and fuzzers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import __version__
from exporter.ingest.json_objects import MAX_OBJECTS
from exporter.ingest.vendors.registry import adapter_of, webhook_path
from exporter.server.admin.schemas import SCHEMAS, object_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.credentials import Credentials
    from exporter.config.loader import Config
    from exporter.ingest.vendors.adapter import Adapter
    from exporter.server.admin.query_parameters import Parameter, PathParameters
    from exporter.server.admin.schemas import Schema

_RECEIPT = {
    "type": "object",
    "properties": {name: {"type": "integer", "minimum": 0} for name in ("accepted", "duplicates", "quarantined")},
    "required": ["accepted", "duplicates", "quarantined"],
    "additionalProperties": False,
}
_TEST = {
    "type": "object",
    "properties": {"test": {"const": True}},
    "required": ["test"],
    "additionalProperties": False,
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what would be right."},
        "parameter": {"type": "string", "description": "The parameter of the query that is wrong."},
    },
    "required": ["type", "title", "status", "detail"],
}
_PROBLEMS = {
    400: "The request is not valid.",
    401: "No valid credential.",
    403: "A web page of another site made the request, or Host is not a name of loopback and no credential is set.",
    404: "No such path.",
    405: "This path does not accept this method.",
    413: "The body, or one object of it, is too large.",
    414: "The path and the query are too long.",
    415: "The Content-Encoding is not gzip, deflate or identity.",
    429: "Too many requests without a valid credential, or the source has used up one of its budgets.",
    503: "The store cannot be used; try again after Retry-After seconds.",
}


def openapi_document(config: Config, parameters: PathParameters) -> Schema:
    """Build the description for the sources, addresses and credentials of a configuration."""
    names = ("Export", "Event", "Source", "Quarantined", "Refused")
    exports, event, source, body, refused = map(_array_of, names)
    export_schema = object_schema(export={"$ref": "#/components/schemas/Export"}, events=event)
    total = {"type": "integer", "minimum": 0, "description": "Number of all that match, also beyond the limit."}
    paths = {
        "/api/v1/exports": _get(
            "All exports, the most urgent first", object_schema(exports=exports, total=total), parameters.exports
        ),
        "/api/v1/exports/{id}": _get(
            "One export with its newest events",
            export_schema,
            path=[_path_parameter("id", {"type": "string"}, "The id of an export.")],
        ),
        "/api/v1/events": _get(
            "The newest events, or those past a sequence", object_schema(events=event), parameters.events
        ),
        "/api/v1/sources": _get("All sources", object_schema(sources=source)),
        "/api/v1/quarantine": _get("Quarantined bodies", object_schema(quarantine=body), parameters.quarantine),
        "/api/v1/refused": _get("The newest refused bodies", object_schema(refused=refused), parameters.refused),
        "/api/v1/openapi.json": _get("This description", {"type": "object"}),
    }
    paths["/api/v1/exports/{id}"]["get"]["operationId"] = "export"
    paths["/api/v1/exports"]["get"]["responses"]["200"]["links"] = {
        "first": {"operationId": "export", "parameters": {"id": "$response.body#/exports/0/id"}}
    }
    security = _security(config.admin_credentials)
    for path in paths.values():
        path["get"]["security"] = security
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dataexport-exporter",
            "version": __version__,
            "description": "Monitors scheduled data exports. Times are Unix seconds.",
        },
        "servers": [{"url": f"http://{config.admin_listen}", "description": "The admin listener."}],
        "paths": paths | _webhooks(config),
        "components": {
            "schemas": SCHEMAS | {"Problem": _PROBLEM, "Receipt": _RECEIPT, "Test": _TEST},
            "securitySchemes": _schemes(config),
        },
    }


def _webhooks(config: Config) -> Schema:
    """A path for each vendor of which a source is configured."""
    adapters = [adapter_of(each.source) for each in config.sources.values()]
    return {webhook_path(each.name, "{source}"): _webhook(config, each) for each in adapters}


def _webhook(config: Config, adapter: Adapter) -> Schema:
    one = dict(adapter.schema)
    sources = {slug: each for slug, each in config.sources.items() if adapter_of(each.source) == adapter}
    done = {"anyOf": [{"$ref": "#/components/schemas/Receipt"}, {"$ref": "#/components/schemas/Test"}]}
    credentials = [each.credentials for each in sources.values()]
    security: list[Schema] = []
    for each in credentials:
        security += [way for way in _security(each) or [{}] if way not in security]
    return {
        "servers": [
            {
                "url": f"{'https' if config.tls else 'http'}://{config.webhook_listen}",
                "description": "The public listener.",
            }
        ],
        "post": {
            "summary": "Receive events; 200 when they are on disk",
            "operationId": f"receive-{adapter.name}",
            "parameters": [
                _path_parameter("source", {"type": "string", "enum": sorted(sources)}, "The slug of a source.")
            ],
            "requestBody": {
                "required": True,
                "description": f"At most {config.limits.request_bytes} bytes, {config.limits.event_bytes} an object;"
                " compressed by gzip or deflate if Content-Encoding says so.",
                "content": {
                    "application/json": {
                        "schema": {"anyOf": [one, {"type": "array", "maxItems": MAX_OBJECTS, "items": one}]}
                    }
                },
            },
            "responses": _responses(done, _PROBLEMS),
            "security": security,
        },
    }


def _get(
    summary: str, schema: Schema, query: Iterable[Parameter] = (), path: Iterable[Schema] = ()
) -> dict[str, Schema]:
    query_parameters = [
        {"name": parameter.name, "in": "query", "description": parameter.description, "schema": parameter.schema}
        for parameter in query
    ]
    responses = _responses(schema, (400, 401, 403, 404, 405, 414, 503))
    return {"get": {"summary": summary, "parameters": [*path, *query_parameters], "responses": responses}}


def _responses(schema: Schema, problems: Iterable[int]) -> Schema:
    success = {"description": "Success.", "content": {"application/json": {"schema": schema}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"200": success} | {str(code): {"description": _PROBLEMS[code], "content": problem} for code in problems}


def _path_parameter(name: str, schema: Schema, meaning: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}


def _array_of(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _security(credentials: Credentials) -> list[Schema]:
    """Return the accepted schemes, as alternatives; empty if no credential is needed."""
    alternatives: list[Schema] = []
    if credentials.tokens:
        alternatives.append({credentials.header or "bearer": []})
    if credentials.basic:
        alternatives.append({"basic": []})
    return alternatives


def _schemes(config: Config) -> Schema:
    headers = {source.credentials.header for source in config.sources.values()} - {""}
    return {
        "bearer": {"type": "http", "scheme": "bearer"},
        "basic": {"type": "http", "scheme": "basic"},
    } | {name: {"type": "apiKey", "in": "header", "name": name} for name in sorted(headers)}
