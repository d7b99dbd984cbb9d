"""Posts webhooks as a vendor would, and asks the exporter for the time zone of their source."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import requests

from exporter.cli.http_client import NoAnswerError, send_request
from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Mapping

VENDOR_TIMEOUT_SECONDS = 3
ADMIN_TIMEOUT_SECONDS = 1
"""An admin listener that does not answer should not delay what is sent."""

_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the token is not one of this source; give the file that tokens_file names",
    HTTPStatus.FORBIDDEN: "the source has no credential and accepts only requests for localhost; set tokens_file",
    HTTPStatus.NOT_FOUND: "there is no such source; correct the path, or the path that the proxy passes on",
    HTTPStatus.METHOD_NOT_ALLOWED: "the path is not that of a webhook; it ends in /webhooks/VENDOR/SOURCE",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests were refused, or a budget of the source is used up; wait a minute",
    HTTPStatus.BAD_GATEWAY: "the proxy does not reach the exporter; check its upstream, and that the exporter runs",
    HTTPStatus.SERVICE_UNAVAILABLE: "the store of the exporter fails, or the proxy has no exporter; see its log",
    HTTPStatus.GATEWAY_TIMEOUT: "the proxy got no answer from the exporter; check that it runs",
}
"""What to do about an answer other than 200."""


def post_webhook(url: str, body: str, headers: Mapping[str, str]) -> str:
    """Post ``body`` and return the status and text of the response.

    Raises:
        ExporterError: no response came within `VENDOR_TIMEOUT_SECONDS`, or its status is not 200.
    """
    try:
        response = request_webhook(url, body, headers)
    except NoAnswerError as error:
        message = f"--url {url}: {error}"
        raise ExporterError(message) from error
    if response.status_code != HTTPStatus.OK:
        message = f"--url {url}: {explain_refusal(response.status_code)}"
        raise ExporterError(message)
    return f"{response.status_code} {response.text.strip()}"


def explain_refusal(status: int) -> str:
    """Explain an answer other than 200, and what to do."""
    advice = _ADVICE.get(status, "an exporter does not answer that; check the URL and the proxy")
    return f"the answer is {status}: {advice}"


def request_webhook(url: str, body: str, headers: Mapping[str, str]) -> requests.Response:
    """Post ``body`` and return the response, whatever its status is.

    Raises:
        NoAnswerError: there is none within `VENDOR_TIMEOUT_SECONDS`.
    """
    headers = {"Content-Type": "application/json", **headers}
    return send_request("POST", url, headers=headers, body=body, timeout=VENDOR_TIMEOUT_SECONDS)


def source_timezone(admin_url: str, slug: str, headers: Mapping[str, str]) -> str | None:
    """Ask a running exporter for the ``timezone`` setting of a source.

    Returns:
        None if the admin listener cannot be asked, or does not know the source.
    """
    url = f"{admin_url.rstrip('/')}/api/v1/sources"
    try:
        response = send_request("GET", url, headers=headers, timeout=ADMIN_TIMEOUT_SECONDS)
        sources = response.json()["sources"] if response.ok else []
        return next((str(source["timezone"]) for source in sources if source["slug"] == slug), None)
    except (NoAnswerError, requests.RequestException, LookupError, TypeError):
        return None
