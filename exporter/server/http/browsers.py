"""Refuses what a web page makes a browser send, because a browser on this machine reaches loopback listeners.

A page can post to any address without asking (cross-site request forgery), and can read responses if its own name
leads to this machine (DNS rebinding).
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.server.http.problems import problem_document

if TYPE_CHECKING:
    from exporter.config.credentials import Headers
    from exporter.server.http.messages import HttpResponse

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of ``Sec-Fetch-Site``: a page of the same origin, and no page, such as an address that was typed."""

_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_FOREIGN_HOST = problem_document(
    HTTPStatus.FORBIDDEN,
    "the Host header has to be localhost, 127.0.0.1 or [::1], because no credential is configured here; "
    "for any other name, configure one",
)
_FOREIGN_PAGE = problem_document(HTTPStatus.FORBIDDEN, "a web page of another site made this request")


def refuse_foreign_host(headers: Headers) -> HttpResponse | None:
    """Refuse a request to a listener without credentials whose ``Host`` is not a name of loopback."""
    host = headers.get("Host", "")
    return None if not host or _names_loopback(host) else _FOREIGN_HOST


def refuse_foreign_page(method: str, headers: Headers) -> HttpResponse | None:
    """Refuse a request with an effect that a page of another origin made.

    Browsers send ``Sec-Fetch-Site`` to trustworthy addresses, such as loopback and HTTPS; no page can change it, and
    it is right even if a proxy changes ``Host``. To others they send ``Origin``; its scheme is not compared, because a
    proxy may end TLS.
    """
    if method in SAFE_METHODS:
        return None
    if site := headers.get("Sec-Fetch-Site", ""):
        return None if site in _OWN_SITES else _FOREIGN_PAGE
    origin = headers.get("Origin", "")
    is_foreign = bool(origin) and origin.partition("://")[2].lower() != headers.get("Host", "").lower()
    return _FOREIGN_PAGE if is_foreign else None


@lru_cache(maxsize=64)
def _names_loopback(host: str) -> bool:
    return _LOOPBACK.fullmatch(host) is not None
