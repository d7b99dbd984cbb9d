"""Posts simulated webhooks as a vendor would, and asks the exporter for the time zone of their source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from exporter.config import secret_files
from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from pathlib import Path

VENDOR_TIMEOUT_SECONDS = 3
ADMIN_TIMEOUT_SECONDS = 1
"""An admin listener that does not answer should not delay what is sent."""


def post_webhook(url: str, body: str, token_file: Path | None = None) -> str:
    """Post ``body`` and return the status and text of the response.

    Raises:
        ExporterError: the token file cannot be read, no response came within
            `VENDOR_TIMEOUT_SECONDS`, or its status is not 200.
    """
    headers = {"Content-Type": "application/json", **_authorization("--token-file", token_file)}
    try:
        response = requests.post(url, body.encode(), headers=headers, timeout=VENDOR_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        message = f"--url {url}: no answer: {error}"
        raise ExporterError(message) from error
    text = f"{response.status_code} {response.text.strip()}"
    if response.status_code != requests.codes.ok:
        raise ExporterError(text)
    return text


def source_timezone(admin_url: str, slug: str, token_file: Path | None) -> str | None:
    """Ask a running exporter for the ``timezone`` setting of a source.

    Returns:
        None if the admin listener cannot be asked, or does not know the source.

    Raises:
        ExporterError: the token file cannot be read.
    """
    headers = _authorization("--admin-token-file", token_file)
    try:
        response = requests.get(
            f"{admin_url.rstrip('/')}/api/v1/sources", headers=headers, timeout=ADMIN_TIMEOUT_SECONDS
        )
        sources = response.json()["sources"] if response.ok else []
        return next((str(source["timezone"]) for source in sources if source["slug"] == slug), None)
    except (requests.RequestException, LookupError, TypeError):
        return None


def _authorization(option: str, token_file: Path | None) -> dict[str, str]:
    """Return the header with the first token of a file; no header without a file.

    Raises:
        ExporterError: the file cannot be read, or its token cannot be in a header.
    """
    if token_file is None:
        return {}
    try:
        token = secret_files.read_tokens(token_file)[0]
        token.encode("latin-1")
    except UnicodeEncodeError as error:
        message = f"{option} {token_file}: its token has a character that no header can have"
        raise ExporterError(message) from error
    except ValueError as error:
        message = f"{option}: {error}"
        raise ExporterError(message) from error
    return {"Authorization": f"Bearer {token}"}
