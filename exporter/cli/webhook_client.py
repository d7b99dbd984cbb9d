"""A made-up event, posted as a vendor would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from pathlib import Path

VENDOR_TIMEOUT_SECONDS = 3


def post_webhook(url: str, body: str, token_file: Path | None = None) -> str:
    """Post ``body``, and say what was answered.

    Raises:
        ExporterError: nobody answered in the vendor's three seconds, or not with 200.
    """
    headers = {"Content-Type": "application/json"}
    try:
        if token_file is not None:
            headers["Authorization"] = f"Bearer {token_file.read_text('utf-8').strip()}"
        answer = requests.post(url, body.encode(), headers=headers, timeout=VENDOR_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        message = f"--url {url}: no answer: {error}"
        raise ExporterError(message) from error
    except (OSError, UnicodeError) as error:  # not read, not text, or nothing that a header may hold
        message = f"--token-file {token_file}: {error}"
        raise ExporterError(message) from error
    text = f"{answer.status_code} {answer.text.strip()}"
    if answer.status_code != requests.codes.ok:
        raise ExporterError(text)
    return text
