"""The admin listener: metrics, health, reload and the status page."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, render_template, request
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from exporter import __version__
from exporter.domain import humanize
from exporter.domain.errors import StoreError
from exporter.ingest.vendors.registry import adapter_of, webhook_path
from exporter.server.admin import api
from exporter.server.http.flask_adapter import flask_problem, register_error_handlers
from exporter.server.http.problems import RETRY_AFTER_SECONDS

if TYPE_CHECKING:
    from werkzeug.datastructures import MIMEAccept

    from exporter.server.service import Service

TEXT_KEY = (exposition.generate_latest, exposition.CONTENT_TYPE_PLAIN_0_0_4)
OPENMETRICS = (openmetrics_exposition.generate_latest, openmetrics_exposition.CONTENT_TYPE_LATEST)


def create_app(service: Service) -> Flask:  # noqa: C901 - one small function an endpoint
    """The WSGI application of the admin listener."""
    app = Flask("exporter.server.admin.app", static_folder=None, template_folder="templates")
    app.jinja_env.filters["ago"] = humanize.format_age
    app.jinja_env.filters["until"] = humanize.format_time_left
    app.jinja_env.filters["moment"] = humanize.format_instant
    app.jinja_env.filters["offset"] = humanize.format_offset

    @app.before_request
    def admit() -> Response | None:
        open_to_all = request.path in {"/-/healthy", "/-/ready"}
        if open_to_all or service.config.admin_credentials.accepts(request.headers):
            return None
        return flask_problem(
            HTTPStatus.UNAUTHORIZED,
            "no valid credential for the admin listener",
            {"WWW-Authenticate": 'Bearer realm="admin", Basic realm="admin"'},
        )

    @app.get("/metrics")
    def metrics() -> Response:
        openmetrics = _prefers_openmetrics(request.accept_mimetypes)
        encoder, content_type = OPENMETRICS if openmetrics else TEXT_KEY
        compressed = request.accept_encodings.quality("gzip") > 0
        body = service.scrape(openmetrics=openmetrics)
        own = encoder(service.process_metrics.registry)
        if compressed:
            response = Response(body.gzip(own), content_type=content_type)
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = Response(body.plain_pieces(own), content_type=content_type)
            response.content_length = body.length + len(own)
        response.headers["Vary"] = "Accept, Accept-Encoding"
        return response

    @app.get("/-/healthy")
    def healthy() -> Response:
        return Response("healthy\n", mimetype="text/plain")

    @app.get("/-/ready")
    def ready() -> Response:
        reason = service.why_not_ready()
        if reason:
            return flask_problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        return Response("ready\n", mimetype="text/plain")

    @app.post("/-/reload")
    def reload() -> Response:
        problems = service.reload()
        if problems:
            return flask_problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the old configuration stays: " + "; ".join(problems)
            )
        return jsonify({"reloaded": True})

    @app.get("/")
    def status() -> str:
        now = service.now()
        try:
            states, sources, trouble = *service.list_states(now), ""
        except StoreError as error:
            states, sources, trouble = [], [], str(error)
        paths = {
            slug: webhook_path(adapter_of(each.source).name, slug) for slug, each in service.config.sources.items()
        }
        return render_template(
            "status.html", states=states, sources=sources, paths=paths, trouble=trouble, now=now, version=__version__
        )

    app.register_blueprint(api.create_blueprint(service))
    register_error_handlers(app)
    return app


def _prefers_openmetrics(accepted: MIMEAccept) -> bool:
    """Whether OpenMetrics is wanted more than text.

    The library's own choice fails at a version that is no number, and where names are to be
    escaped it would rename this process's metrics and not those that are kept as text.
    """
    wanted: dict[str, float] = {}
    for value, quality in accepted:
        kind = value.partition(";")[0].strip().lower()
        wanted[kind] = max(quality, wanted.get(kind, 0))
    return wanted.get("application/openmetrics-text", 0) > wanted.get("text/plain", 0)
