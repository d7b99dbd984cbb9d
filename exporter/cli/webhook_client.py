"""Posts simulated webhooks as a vendor would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from pathlib import Path

VENDOR_TIMEOUT_SECONDS = 3


def post_webhook(url: str, body: str, token_file: Path | None = None) -> str:
    """Post ``body`` and return the status and text of the response.

    Raises:
        ExporterError: the token file cannot be read, no response came within
            `VENDOR_TIMEOUT_SECONDS`, or its status is not 200.
    """
    headers = {"Content-Type": "application/json"}
    try:
        if token_file is not None:
            headers["Authorization"] = f"Bearer {token_file.read_text('utf-8').strip()}"
        response = requests.post(url, body.encode(), headers=headers, timeout=VENDOR_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        message = f"--url {url}: no answer: {error}"
        raise ExporterError(message) from error
    except (OSError, UnicodeError) as error:  # unreadable, not UTF-8, or not valid in a header
        message = f"--token-file {token_file}: {error}"
        raise ExporterError(message) from error
    text = f"{response.status_code} {response.text.strip()}"
    if response.status_code != requests.codes.ok:
        raise ExporterError(text)
    return text
