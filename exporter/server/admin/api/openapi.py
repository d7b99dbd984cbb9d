"""The OpenAPI 3.1 description of both listeners, for clients and fuzzers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import __version__
from exporter.ingest.json_objects import MAX_OBJECTS
from exporter.ingest.vendors.registry import adapter_of, webhook_path
from exporter.server.admin.api.decision_schemas import DECISION_SCHEMAS
from exporter.server.admin.api.openapi_paths import api_paths, path_parameter, responses
from exporter.server.admin.api.schemas import SCHEMAS
from exporter.server.admin.sessions import session_cookie

if TYPE_CHECKING:
    from exporter.config.credentials import Credentials
    from exporter.config.loader import Config
    from exporter.ingest.vendors.adapter import Adapter
    from exporter.server.admin.api.fields import Schema

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
        "field": {"type": "string", "description": "The field of the body that is wrong."},
    },
    "required": ["type", "title", "status", "detail"],
}
_SESSION = "session"
_WEBHOOK_PROBLEMS = {
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


def openapi_document(config: Config) -> Schema:
    """Build the description for the sources, addresses and credentials of a configuration."""
    paths = api_paths(config)
    security = _security(config.admin_credentials)
    if security:
        security.append({_SESSION: []})
    for path_item in paths.values():
        for operation in path_item.values():
            operation["security"] = security
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dataexport-exporter",
            "version": __version__,
            "description": "Monitors scheduled data exports. Each time has two fields: in ISO 8601, and in Unix seconds"
            " under the same name with _seconds. null means never, none or unknown.",
        },
        "servers": [{"url": f"http://{config.admin_listen}", "description": "The admin listener."}],
        "paths": paths | _webhooks(config),
        "components": {
            "schemas": SCHEMAS | DECISION_SCHEMAS | {"Problem": _PROBLEM, "Receipt": _RECEIPT, "Test": _TEST},
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
                path_parameter("source", {"type": "string", "enum": sorted(sources)}, "The slug of a source.")
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
            "responses": responses({200: done}, _WEBHOOK_PROBLEMS),
            "security": security,
        },
    }


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
    cookie = session_cookie(config.admin_listen.port)
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the listener or of the source."},
        "basic": {"type": "http", "scheme": "basic", "description": "A user name and password of the same."},
        _SESSION: {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie,
            "description": "The cookie of a browser that has signed in to the admin listener.",
        },
    } | {name: {"type": "apiKey", "in": "header", "name": name} for name in sorted(headers)}
