"""Controls access to the admin listener: credentials, sessions of browsers, and refusal of pages of other sites."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from flask import Blueprint, Response, make_response, redirect, render_template, request

from exporter.server.admin.access_to_decisions import refuse_decision
from exporter.server.admin.sessions import SESSION_SECONDS, Sessions, session_cookie
from exporter.server.http.auth_throttle import AuthThrottle
from exporter.server.http.browsers import refuse_foreign_host, refuse_foreign_page
from exporter.server.http.flask_adapter import flask_response
from exporter.server.http.problems import TOO_MANY_ATTEMPTS, unauthorized
from exporter.server.http.wsgi import HTTP_REQUEST

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from exporter.server.http.messages import HttpRequest
    from exporter.server.service import Service

OPEN_PATHS = re.compile(r"/-/healthy|/-/ready|/sign-in|/static/[^/]*")
"""What needs no credential: health, the form to sign in, and the files that it uses."""
BROWSER_CHALLENGE = 'Bearer realm="admin"'
"""Without Basic, for which a browser would ask in a window of its own instead of showing the form."""

_PAGE = re.compile(r"[\w/-]*(\?[!-\[\]-~]*)?", re.ASCII)
"""A path and query that a browser may be sent to; a path of another host has a colon, or a backslash."""
_OWN_PATHS = frozenset({"/sign-in", "/sign-out"})


class Access:
    """Decides about each request of the admin listener.

    Args:
        service: has the configuration and the clock.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._throttle = AuthThrottle()
        self._sessions = Sessions()

    @property
    def may_decide(self) -> bool:
        """Whether a request that is not refused may change something: mute, retire, replay; see `refuse_decision`."""
        return refuse_decision(self._service.config) is None

    @property
    def _cookie(self) -> str:
        return session_cookie(self._service.config.admin_listen.port)

    @property
    def session(self) -> str:
        """The valid session of this request; empty without one."""
        session = request.cookies.get(self._cookie, "")
        credentials, now = self._service.config.admin_credentials, self._service.now()
        return session if self._sessions.is_valid(session, credentials, now) else ""

    @property
    def form_token(self) -> str:
        """The token that a form on the page of this response needs."""
        return self._sessions.form_token(self.session)

    @property
    def has_form_token(self) -> bool:
        """Whether this request has the token of a form that was made for its session."""
        return self._sessions.is_form_token(request.form.get("form_token", ""), self.session)

    def refuse(self) -> AnyResponse | None:
        """Refuse a request of another site's page, or one without a credential that needs one."""
        credentials = self._service.config.admin_credentials
        refusal = refuse_foreign_page(request.method, request.headers)
        if self._service.config.admin_listen.is_loopback and not credentials.are_required:
            refusal = refusal or refuse_foreign_host(request.headers)
        if refusal is not None:
            return flask_response(refusal)
        http_request().authenticated = credentials.accepts(request.headers) or bool(self.session)
        if http_request().authenticated or OPEN_PATHS.fullmatch(request.path):
            return None
        if "Authorization" in request.headers and self._is_throttled():
            return flask_response(TOO_MANY_ATTEMPTS)
        if "text/html" in request.headers.get("Accept", ""):
            page = "" if request.path in _OWN_PATHS else request.full_path.rstrip("?")
            return self._sign_in_form(page.lstrip("/"))
        return flask_response(unauthorized("admin", "the admin listener"))

    def sign_in(self) -> AnyResponse:
        """Answer a form to sign in: with a session and the page that was asked for, or with the form again."""
        page, user, secret = (request.form.get(name, "") for name in ("page", "user", "secret"))
        if not self.has_form_token:
            return self._sign_in_form(page, "This form was out of date. Please send it again.")
        credentials = self._service.config.admin_credentials
        if not credentials.accepts_typed(user, secret):
            if self._is_throttled():
                return self._sign_in_form(
                    page, "Too many failures. Please wait a minute.", HTTPStatus.TOO_MANY_REQUESTS
                )
            return self._sign_in_form(page, "This is not a valid credential of the admin listener.")
        response = redirect(f"./{page if _PAGE.fullmatch(page) else ''}", HTTPStatus.SEE_OTHER)
        # No path: the browser uses the folder of this address, which a proxy may have put below a prefix.
        response.set_cookie(
            self._cookie,
            self._sessions.begin(credentials, self._service.now()),
            max_age=SESSION_SECONDS,
            path=None,
            secure=_is_encrypted(),
            httponly=True,
            samesite="Strict",
        )
        return response

    def sign_out(self) -> AnyResponse:
        """End the session of this request."""
        if self.session and self.has_form_token:
            self._sessions.end(self.session, self._service.now())
        response = redirect("./", HTTPStatus.SEE_OTHER)
        response.delete_cookie(
            self._cookie,
            path=None,
            secure=_is_encrypted(),
            httponly=True,
            samesite="Strict",
        )
        return response

    def _is_throttled(self) -> bool:
        """Count a wrong credential; return whether there were too many."""
        return self._throttle.record_failure(http_request().client, time.monotonic())

    def _sign_in_form(self, page: str, problem: str = "", status: HTTPStatus = HTTPStatus.UNAUTHORIZED) -> AnyResponse:
        credentials = self._service.config.admin_credentials
        response = make_response(
            render_template(
                "sign_in.html",
                page=page,
                problem=problem,
                user=request.form.get("user", ""),
                has_tokens=bool(credentials.tokens),
                has_basic=bool(credentials.basic),
            ),
            status,
        )
        if status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = BROWSER_CHALLENGE
        return response


def http_request() -> HttpRequest:
    """Return the request of the listener behind this one of Flask."""
    return cast("HttpRequest", request.environ[HTTP_REQUEST])


def create_blueprint(access: Access) -> Blueprint:
    """Create the blueprint of ``/sign-in`` and ``/sign-out``, and the template variables of forms."""
    blueprint = Blueprint("access", __name__)

    @blueprint.app_context_processor
    def variables() -> dict[str, object]:
        return {"form_token": access.form_token, "is_signed_in": bool(access.session)}

    @blueprint.get("/sign-in")
    def form() -> Response:
        return redirect("./", HTTPStatus.SEE_OTHER)  # type: ignore[return-value]

    blueprint.post("/sign-in")(access.sign_in)
    blueprint.post("/sign-out")(access.sign_out)
    return blueprint


def _is_encrypted() -> bool:
    """Return whether the browser uses HTTPS, which a proxy in front ends; it sends the scheme with every form."""
    return request.headers.get("Origin", "").startswith("https://")
