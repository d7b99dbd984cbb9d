"""The page of an error, for people who asked for a page; programs get a problem document."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import render_template, request

if TYPE_CHECKING:
    from flask import Response

REFRESH_SECONDS = 15
SHOWN_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE})
"""What a person may get by a link, a bookmark or a click."""
FOR_PROGRAMS = ("/api/", "/metrics", "/-/")
"""How the paths begin whose errors are problem documents, even if a browser asks."""


def problem_as_page(response: Response) -> Response:
    """Return a page instead of a problem document if a browser asked for a page."""
    if (
        response.status_code not in SHOWN_STATUSES
        or response.mimetype != "application/problem+json"
        or "text/html" not in request.headers.get("Accept", "")
        or request.path.startswith(FOR_PROGRAMS)
    ):
        return response
    problem = json.loads(response.get_data())
    is_away = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    response.set_data(
        render_template(
            "problem.html",
            icon="warn" if response.status_code == HTTPStatus.NOT_FOUND else "bad",
            refresh=REFRESH_SECONDS if is_away else 0,
            title=problem["title"],
            detail=problem["detail"],
            is_away=is_away,
        )
    )
    response.content_type = "text/html; charset=utf-8"
    return response
