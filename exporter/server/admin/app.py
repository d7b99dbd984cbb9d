"""The Flask application of the admin listener: credentials, metrics, health and reload.

The pages are in `exporter.server.admin.pages`, the JSON API is in `exporter.server.admin.api`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, request
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from exporter.server.admin import access
from exporter.server.admin.access import Access, http_request
from exporter.server.admin.api import routes as api_routes
from exporter.server.admin.pages import export_page, quarantine_page, sources_page, static_files, status_page
from exporter.server.admin.pages.problem_page import problem_as_page
from exporter.server.http.flask_adapter import flask_problem, flask_response, register_error_handlers
from exporter.server.http.problems import unavailable

if TYPE_CHECKING:
    from werkzeug.datastructures import MIMEAccept

    from exporter.server.service import Service

PLAIN_TEXT = (exposition.generate_latest, exposition.CONTENT_TYPE_PLAIN_0_0_4)
OPENMETRICS = (openmetrics_exposition.generate_latest, openmetrics_exposition.CONTENT_TYPE_LATEST)

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, browsers would not send the origin of our own forms
}
"""Sent with every response: a page shows what senders wrote, and must neither run, frame nor load anything else."""


def create_app(service: Service) -> Flask:
    """Create the WSGI application of the admin listener."""
    app = Flask("exporter.server.admin.app", static_folder=None, template_folder="pages/templates")

    who = Access(service)
    app.before_request(who.refuse)

    app.after_request(problem_as_page)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")  # static files may be kept, nothing that senders wrote
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        openmetrics = _prefers_openmetrics(request.accept_mimetypes)
        encoder, content_type = OPENMETRICS if openmetrics else PLAIN_TEXT
        compressed = request.accept_encodings.quality("gzip") > 0
        body = service.scrape(openmetrics=openmetrics)
        last_part = encoder(service.process_metrics.registry)
        if compressed:
            response = Response(body.gzip(last_part), content_type=content_type)
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = Response(body.plain(last_part), content_type=content_type)
        response.headers["Vary"] = "Accept, Accept-Encoding"
        return response

    @app.get("/-/healthy")
    def healthy() -> Response:
        return Response("healthy\n", mimetype="text/plain")

    @app.get("/-/ready")
    def ready() -> Response:
        reason = service.why_not_ready()
        if reason is not None:
            http_request().outcome = {"reason": reason}  # in the log only: strangers may ask this
            return flask_response(unavailable("not ready; the exporter's log has the reason"))
        return Response("ready\n", mimetype="text/plain")

    @app.post("/-/reload")
    def reload() -> Response:
        problems = service.reload()
        if problems:
            return flask_problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the running configuration is kept: " + "; ".join(problems)
            )
        return jsonify({"reloaded": True})

    app.register_blueprint(static_files.create_blueprint())
    app.register_blueprint(access.create_blueprint(who))
    app.register_blueprint(status_page.create_blueprint(service))
    app.register_blueprint(export_page.create_blueprint(service, who))
    app.register_blueprint(quarantine_page.create_blueprint(service, who))
    app.register_blueprint(sources_page.create_blueprint(service))
    app.register_blueprint(api_routes.create_blueprint(service))
    register_error_handlers(app)
    return app


def _prefers_openmetrics(accepted: MIMEAccept) -> bool:
    """Return whether the client prefers OpenMetrics to the text format.

    The client library's own choice fails if a version is not a number. If the client asks for
    escaped names, it would also rename this process's own metrics but not those of exports.
    """
    qualities: dict[str, float] = {}
    for value, quality in accepted:
        media_type = value.partition(";")[0].strip().lower()
        qualities[media_type] = max(quality, qualities.get(media_type, 0))
    return qualities.get("application/openmetrics-text", 0) > qualities.get("text/plain", 0)
