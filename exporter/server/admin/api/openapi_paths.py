"""The paths of the JSON API in its OpenAPI description: parameters, bodies and responses of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.server.admin.api.decision_routes import REPLAYED_PER_REQUEST
from exporter.server.admin.api.fields import object_schema
from exporter.server.admin.api.paging import NEXT_SCHEMA, TOTAL_SCHEMA
from exporter.server.admin.api.query_parameters import parameters_by_endpoint
from exporter.server.admin.api.request_bodies import MUTE_BODY, RETIREMENT_BODY, body_schema, replay_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.loader import Config
    from exporter.server.admin.api.fields import Schema

PROBLEMS = {
    400: "A parameter or a field of the body is not valid; the problem document names it.",
    401: "No valid credential.",
    403: "Another site's page made the request; or no credential is set, and Host is not a name of loopback.",
    404: "No such path or export.",
    405: "This path does not accept this method.",
    414: "The path and the query are too long.",
    429: "Too many requests with a wrong credential.",
    503: "The store cannot be used; try again after Retry-After seconds.",
}
DECISION_PROBLEMS = PROBLEMS | {
    403: "Another site's page made the request; or no credential is set, and Host is not a name of loopback, or the "
    "admin listener is on an address other than loopback.",
    404: "No such export, or there is nothing to end.",
    409: "Not possible: to retire a declared export, to mute a retired one, or to end a mute of the configuration.",
}
BODY_PROBLEMS = {413: "The body is larger than 65,536 bytes.", 415: "The Content-Type is not application/json."}
NOT_MODIFIED = {"304": {"description": "The same as the response whose ETag is in If-None-Match."}}


def api_paths(config: Config) -> dict[str, Schema]:
    """Build the descriptions of all paths of the API, by path."""
    parameters = {
        name: [
            {
                "name": parameter.name,
                "in": "query",
                "description": parameter.description,
                "schema": parameter.schema,
                **({"required": True} if getattr(parameter, "is_required", False) else {}),
            }
            for parameter in of_endpoint
        ]
        for name, of_endpoint in parameters_by_endpoint(config).items()
    }
    paths = _read_paths(parameters)
    for path, operations in _decision_paths(config, parameters).items():
        paths.setdefault(path, {}).update(operations)
    return paths


def _read_paths(parameters: Mapping[str, list[Schema]]) -> dict[str, Schema]:
    def by_offset(name: str, schema: str, summary: str) -> Schema:
        document = object_schema(**{name: _array_of(schema)}, total=TOTAL_SCHEMA, next=NEXT_SCHEMA)
        return {"get": _get(name, summary, document, parameters[name])}

    def by_sequence(name: str, schema: str, summary: str) -> Schema:
        document = object_schema(**{name: _array_of(schema)}, next=NEXT_SCHEMA)
        return {"get": _get(name, summary, document, parameters[name])}

    exports = by_offset("exports", "Export", "All exports, the most urgent first")
    exports["get"]["responses"]["200"]["links"] = {
        "first": {"operationId": "export", "parameters": {"id": "$response.body#/exports/0/id"}}
    }
    export = object_schema(
        export=_reference("Export"),
        retired={"type": "boolean", "description": "Whether it is retired, and so in no list of exports."},
        deadline_explanation={
            "type": "array",
            "items": {"type": "string"},
            "description": "Why its deadline is what it is, in sentences; times are in the zone of the source.",
        },
        slots=_array_of("Slot"),
        runs=_array_of("Run"),
        events=_array_of("Event"),
    )
    export_id = [path_parameter("id", {"type": "string"}, "The id of an export.")]
    sources = object_schema(sources=_array_of("Source"))
    return {
        "/api/v1/exports": exports,
        "/api/v1/exports/{id}": {
            "get": _get("export", "One export with its last slots, runs and events", export, export_id)
        },
        "/api/v1/events": by_sequence("events", "Event", "Events: the newest, or those before or past a sequence"),
        "/api/v1/sources": {"get": _get("sources", "All sources", sources)},
        "/api/v1/quarantine": by_sequence("quarantine", "Quarantined", "Quarantined bodies"),
        "/api/v1/refused": by_sequence("refused", "Refused", "The newest refused bodies"),
        "/api/v1/mutes": by_offset("mutes", "Mute", "Mutes in effect and past ones, the newest first"),
        "/api/v1/retirements": by_offset("retirements", "Retirement", "Retirements, the newest first"),
        "/api/v1/outages": by_offset("outages", "Outage", "Periods without a running exporter, the newest first"),
        "/api/v1/openapi.json": {
            "get": _get("description", "The OpenAPI description of the API and the webhook", {"type": "object"})
        },
    }


def _decision_paths(config: Config, parameters: Mapping[str, list[Schema]]) -> dict[str, Schema]:
    mute, retirement = object_schema(mute=_reference("Mute")), object_schema(retirement=_reference("Retirement"))
    export_id = [path_parameter("id", {"type": "string"}, "The id of an export.")]
    mute_body = body_schema(
        MUTE_BODY, oneOf=[{"required": ["for"]}, {"required": ["until"]}], description="Give either for or until."
    )
    replay = body_schema(replay_body(sorted(config.sources), REPLAYED_PER_REQUEST))
    return {
        "/api/v1/mutes": {
            "post": _post(
                "mute", "Mute an export; the same mute again is recorded once", mute_body, {200: mute, 201: mute}
            )
        },
        "/api/v1/mutes/{id}": {
            "delete": _delete("unmute", "End the mute of an export", mute, export_id + parameters["unmute"])
        },
        "/api/v1/retirements": {
            "post": _post(
                "retire",
                "Remove an export from metrics and alerts until an event of it arrives",
                body_schema(RETIREMENT_BODY),
                {200: retirement, 201: retirement},
            )
        },
        "/api/v1/retirements/{id}": {
            "delete": _delete(
                "unretire", "Undo the retirement of an export", retirement, export_id + parameters["unretire"]
            )
        },
        "/api/v1/replays": {
            "post": _post(
                "replay",
                "Parse quarantined bodies again, with preview only to see what would change",
                replay,
                {200: object_schema(replay=_reference("Replay"))},
            )
        },
    }


def _get(name: str, summary: str, schema: Schema, parameters: list[Schema] | None = None) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "responses": responses({200: schema}, PROBLEMS) | NOT_MODIFIED,
    }


def _post(name: str, summary: str, body: Schema, done: Mapping[int, Schema]) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses(done, DECISION_PROBLEMS | BODY_PROBLEMS),
    }


def _delete(name: str, summary: str, schema: Schema, parameters: list[Schema]) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": responses({200: schema}, DECISION_PROBLEMS),
    }


def responses(done: Mapping[int, Schema], problems: Mapping[int, str]) -> Schema:
    """Build the descriptions of all responses by status.

    Args:
        done: the schemas of the documents of successes.
        problems: what each problem means.
    """
    texts = {200: "Success.", 201: "Recorded."}
    problem = {"application/problem+json": {"schema": _reference("Problem")}}
    return {
        str(code): {"description": texts[code], "content": {"application/json": {"schema": schema}}}
        for code, schema in done.items()
    } | {str(code): {"description": text, "content": problem} for code, text in sorted(problems.items())}


def path_parameter(name: str, schema: Schema, meaning: str) -> Schema:
    """Build the description of a parameter in a path."""
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _array_of(name: str) -> Schema:
    return {"type": "array", "items": _reference(name)}
