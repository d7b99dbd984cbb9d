"""Posts webhooks as a vendor would, and asks the exporter for the time zone of their source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from exporter.cli.http_client import NoAnswerError, send_request
from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Mapping

VENDOR_TIMEOUT_SECONDS = 3
ADMIN_TIMEOUT_SECONDS = 1
"""An admin listener that does not answer should not delay what is sent."""


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
    text = f"{response.status_code} {response.text.strip()}"
    if response.status_code != requests.codes.ok:
        raise ExporterError(text)
    return text


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
