"""Writes docs/reference/http-api.md: the API from its OpenAPI description, the rest from notes beside the code."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from exporter.config.loader import load
from exporter.domain.slot_outcomes import MAX_SLOTS
from exporter.ingest.json_objects import MAX_OBJECTS
from exporter.ingest.vendors.registry import webhook_path
from exporter.server import listeners
from exporter.server.admin.api.openapi import openapi_document
from exporter.server.admin.api.schemas import EVENTS_PER_EXPORT, RUNS_PER_EXPORT
from exporter.server.admin.pages.export_filter import EXPORTS_PER_PAGE
from exporter.server.http import acceptor, auth_throttle, connection, request_parser
from exporter.server.http.problems import RETRY_AFTER_SECONDS
from exporter.server.webhook import endpoint
from reference_pages.markdown import code, document, table

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_ENDPOINTS = (
    (
        "/metrics",
        "GET",
        "All metrics, as Prometheus text or OpenMetrics, with gzip. 503 if the store cannot be read.",
        (200, 401, 403, 503),
    ),
    ("/-/healthy", "GET", "The process is running. No credential.", (200, 403)),
    (
        "/-/ready",
        "GET",
        "Startup is complete and the store can be read and written. No credential. The reason for a 503 is in the log.",
        (200, 403, 503),
    ),
    (
        "/-/reload",
        "POST",
        "Reload the configuration. If it is invalid, the running one is kept, and the answer is 500 with the problems.",
        (200, 401, 403, 500),
    ),
    (
        "/",
        "GET",
        (
            f"The status page: {EXPORTS_PER_PAGE} exports per page, the most urgent first. `?search=`, `?state=`, "
            "`?source=` and `?owner=` select, `?sort=` and `?order=descending` sort, `?page=` selects the page."
        ),
        (200, 401, 403),
    ),
    ("/badge.svg", "GET", "How many exports are in a state that needs attention, as an image.", (200, 401, 403, 503)),
    ("/exports/{id}/badge.svg", "GET", "The state of an export, as an image.", (200, 401, 403, 404, 503)),
    (
        "/exports/{id}",
        "GET",
        "The page of an export: its deadline explained, slots, runs, events, alerts and series.",
        (200, 401, 403, 404),
    ),
    (
        "/exports/{id}",
        "POST",
        "The forms of that page: mute, unmute, retire, restore. 400 shows what is wrong.",
        (303, 400, 401, 403, 404),
    ),
    ("/events/{id}", "GET", "The body of an event as it arrived.", (200, 401, 403, 404)),
    (
        "/quarantine",
        "GET",
        "Bodies in quarantine and refused bodies; with `?preview=1`, what a replay would change.",
        (200, 401, 403),
    ),
    ("/quarantine", "POST", "The form of that page: replay all, one reason or one body.", (303, 400, 401, 403)),
    ("/quarantine/{id}", "GET", "A body in quarantine, and how it would be parsed now.", (200, 401, 403, 404)),
    ("/refused/{id}", "GET", "The beginning of a refused body.", (200, 401, 403, 404)),
    (
        "/sources",
        "GET",
        "The sources: address for CleverTap, credential, test call, time zone, exports to declare.",
        (200, 401, 403),
    ),
    (
        "/sign-in",
        "GET",
        "Leads to the status page, which shows the form to sign in if that is needed.",
        (303, 401, 403),
    ),
    (
        "/sign-in",
        "POST",
        "The form to sign in. It begins a session and leads to the page asked for.",
        (303, 401, 403, 429),
    ),
    ("/sign-out", "POST", "Ends the session.", (303, 403)),
    ("/static/{id}", "GET", "Style sheet, script and icons of the pages. No credential.", (200, 403, 404)),
)
"""The endpoints of the admin listener that the OpenAPI description leaves out: path, method, meaning, codes."""

WEBHOOK_CODES = {
    200: '`{"accepted": n, "duplicates": n, "quarantined": n}`: every event is on disk. CleverTap\'s test call gets '
    '`{"test": true}`. A body that could not be parsed as an event is quarantined and also gets 200, because sending '
    "it again would not help.",
    400: "Not JSON, in a form that [cannot be read](webhook.md), or not valid HTTP/1.1.",
    401: "No valid credential for this source.",
    403: "A web page of another site made the request, or the source has no credential and `Host` is not a name of "
    "loopback.",
    404: "No such path or source.",
    405: "The method is not POST.",
    408: f"The headers did not arrive within {connection.HEAD_SECONDS:g} s of their first byte, or the body not within "
    f"{connection.BODY_SECONDS:g} s of the headers.",
    413: "The body is larger than `limits.request_bytes`, or an event larger than `limits.event_bytes`.",
    414: f"The request line is longer than {request_parser.REQUEST_LINE_BYTES:,} bytes.",
    415: "`Content-Encoding` is not gzip, deflate or identity.",
    417: "`Expect` is not `100-continue`.",
    429: f"{auth_throttle.MAX_FAILURES_PER_MINUTE} requests of this address without a valid credential in a minute, or "
    "the source has used up one of its [budgets](configuration.md#limits). With `Retry-After`.",
    431: f"More than {request_parser.HEADERS} headers, or one longer than {request_parser.HEADER_BYTES:,} bytes.",
    500: "A bug. The traceback is in the log.",
    501: "`Transfer-Encoding` is not chunked.",
    503: "Not stored: the store cannot be used, or too many large bodies arrive at the same time. With `Retry-After: "
    f"{RETRY_AFTER_SECONDS}`. Sending it again is safe: an event already stored is a duplicate.",
}
"""The status codes of the webhook. Those of the transport (400, 408, 414, 417, 431, 501) the admin listener has too."""

INTRODUCTION = """\
Two listeners: the public **webhook listener** (`server.webhook_listen`) and the private **admin listener** \
(`server.admin_listen`). Errors are problem documents (RFC 9457, `application/problem+json`): `detail` says what is \
wrong and what would be right.

## Webhook listener"""

WEBHOOK = f"""\
`POST {webhook_path("clevertap", "SOURCE")}` takes one JSON object or a list of up to {MAX_OBJECTS:,}, of any \
`Content-Type`, compressed with gzip or deflate if `Content-Encoding` says so. It answers 200 only when every event is \
on disk. [What the webhook accepts](webhook.md) has every form of a body."""

HEALTH = f"""\
`GET {endpoint.HEALTH_PATH}` and `HEAD` answer 200 with an empty body, for load balancers. No credential is needed. \
The request is neither counted nor logged."""

ADMIN = f"""\
## Admin listener

Every endpoint needs the credential of the admin listener if one is configured, except `/-/healthy` and `/-/ready`. \
Without a credential on loopback, `Host` must be a name of loopback (403). A browser (`Accept: text/html`) gets a form \
to sign in, with a token or the user name and password, and then sends the session as a cookie. After \
{auth_throttle.MAX_FAILURES_PER_MINUTE} wrong credentials of an address in a minute, further ones get 429; a valid one \
is always accepted."""

API = """\
### JSON API

Each time has two fields: `deadline` in ISO 8601 and UTC, and `deadline_seconds` in Unix seconds. Every other field \
that ends in `_seconds` is a duration. null means never, none or unknown. A wrong query parameter or field of a body \
gets 400, and the problem document names it in `parameter` or `field`. `/api/v1/openapi.json` describes the API and \
the webhook as OpenAPI 3.1."""

PAGING = f"""\
**Paging.** Each list has `next`: a link to the next page, relative to the URL of this one, or null on the last page. \
`/api/v1/events` and `/api/v1/quarantine` return the newest items first. To follow them, begin with `after=0`, and \
continue with the link in `next`, which is never null then: a page without items means that you have seen all. \
`/api/v1/exports/{{id}}` includes up to {MAX_SLOTS} slots, {RUNS_PER_EXPORT} runs and {EVENTS_PER_EXPORT} events, also \
of a retired export.

**ETag.** Every answer to a GET has an ETag. With `If-None-Match`, an answer that has not changed is 304 without a body.

**Decisions.** POST takes one JSON object (`Content-Type: application/json`) of at most \
{listeners.MAX_ADMIN_BODY_BYTES:,} bytes; DELETE takes `by` and `why` as query parameters. A mute or retirement that \
is in effect already, decided by the same person for the same reason, is not recorded again: the answer is 200 with \
that one instead of 201. So a request without an answer can be sent again. They need the credential of the admin \
listener; without one, they are accepted on loopback only. [Use the API](../how-to/use-the-api.md) has examples."""


def page() -> str:
    """Return the text of the page."""
    codes = table(["code", "meaning"], ([str(number), meaning] for number, meaning in WEBHOOK_CODES.items()))
    other = table(
        ["endpoint", "meaning", "codes"],
        ([code(f"{method} {path}"), meaning, _join(numbers)] for path, method, meaning, numbers in OTHER_ENDPOINTS),
    )
    api = table(["endpoint", "meaning", "query parameters or fields of the body", "codes"], _api_rows())
    limits = table(["", "limit", "when exceeded"], LIMITS)
    return document(
        "HTTP API",
        INTRODUCTION,
        WEBHOOK,
        codes,
        HEALTH,
        ADMIN,
        other,
        API,
        api,
        PAGING,
        "### Fields",
        *_schema_blocks(),
        "## Limits of a connection",
        limits,
    )


def _description() -> dict[str, Any]:
    return openapi_document(load(None, {}))


def _api_rows() -> Iterator[list[str]]:
    for path, item in _description()["paths"].items():
        for method in item if path.startswith("/api/") else ():
            operation = item[method]
            parameters = [_parameter(each) for each in operation["parameters"] if each["in"] == "query"]
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                for name, details in schema["properties"].items():
                    required = "; required" if name in schema["required"] else ""
                    parameters.append(f"`{name}`: {details['description'].removesuffix('.')}{required}")
            yield [
                code(f"{method.upper()} {path}"),
                f"{operation['summary']}.",
                "<br>".join(parameters),
                _join(operation["responses"]),
            ]


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    if parameter["name"] == "source":
        values = "a slug"
    elif "enum" in schema:
        values = ", ".join(schema["enum"])
    elif schema["type"] == "string":
        values = "required" if parameter.get("required") else "text"
    elif parameter["name"] in {"after", "before"}:
        values = "a sequence"
    elif parameter["name"] == "offset":
        values = "default 0"
    else:
        values = f"{schema['minimum']} to {schema['maximum']:,}, default {schema['default']:,}"
    return f"`{parameter['name']}`: {parameter['description'].removesuffix('.')} ({values})"


def _schema_blocks() -> Iterator[str]:
    for name, schema in _description()["components"]["schemas"].items():
        if name in {"Problem", "Receipt", "Test"}:
            continue
        yield f"#### {name}"
        properties = schema["properties"]
        rows = (
            [_names(field, properties), _type_text(details), details["description"]]
            for field, details in properties.items()
            if field.removesuffix("_seconds") not in properties or not field.endswith("_seconds")
        )
        yield table(["field", "type", "meaning"], rows)


def _names(field: str, properties: dict[str, Any]) -> str:
    """Return the name of a field, and that of the same time in Unix seconds."""
    return ", ".join(code(name) for name in (field, f"{field}_seconds") if name in properties)


def _type_text(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(code(word) for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type_text(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    kind = schema["type"]
    text = kind if isinstance(kind, str) else " or ".join(kind)
    return text.replace("string", "time") if schema.get("format") == "date-time" else text


def _join(numbers: object) -> str:
    return ", ".join(str(number) for number in sorted(map(int, numbers)))  # type: ignore[call-overload] # codes


LIMITS = (
    ("request line", f"{request_parser.REQUEST_LINE_BYTES:,} bytes", "414"),
    ("headers", f"{request_parser.HEADERS}, of {request_parser.HEADER_BYTES:,} bytes each", "431"),
    ("body", "`limits.request_bytes`", "413, and the rest is not read"),
    (
        "chunks of a body",
        f"{request_parser.FRAMING_BYTES:,} bytes of framing, and one per {request_parser.FRAMING_SHARE} of content",
        "400",
    ),
    (
        "bodies of all requests at a time",
        "`limits.total_request_bytes`",
        f"503 with `Retry-After`; a body of up to {connection.SMALL_BODY_BYTES:,} bytes is always accepted",
    ),
    (
        "first byte of a new connection",
        (
            f"{connection.FIRST_BYTE_SECONDS:g} s; "
            f"{connection.FIRST_BYTE_WHILE_STOPPING_SECONDS:g} s while the exporter stops"
        ),
        "closed",
    ),
    ("headers (time)", f"{connection.HEAD_SECONDS:g} s after their first byte", "408"),
    ("body (time)", f"{connection.BODY_SECONDS:g} s after the headers", "408"),
    (
        "next request on a connection",
        f"`server.keep_alive`; {listeners.ADMIN_IDLE_SECONDS:g} s on the admin listener",
        "closed",
    ),
    ("reading an answer", f"{connection.WRITE_SECONDS:g} s without progress", "closed"),
    ("TLS handshake", f"{acceptor.HANDSHAKE_SECONDS:g} s", "closed"),
    (
        "connections at a time",
        f"{listeners.MAX_CONNECTIONS:,}; {listeners.MAX_ADMIN_CONNECTIONS} on the admin listener",
        "the connection that has waited longest for its client is closed",
    ),
    (
        "a commit",
        f"{endpoint.COMMIT_TIMEOUT_SECONDS:g} s",
        "503 with `Retry-After`; if the event was stored after all, the next delivery is a duplicate",
    ),
)


def status_codes() -> set[int]:
    """Return every status code of the page."""
    others = {number for *_, numbers in OTHER_ENDPOINTS for number in numbers}
    operations = (operation for item in _description()["paths"].values() for operation in item.values())
    api = {int(number) for operation in operations if "responses" in operation for number in operation["responses"]}
    return {*WEBHOOK_CODES, *others, *api} & {status.value for status in HTTPStatus}
