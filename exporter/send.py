"""A made-up event, posted as CleverTap would."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import requests

from exporter.domain.errors import ExporterError

if TYPE_CHECKING:
    from pathlib import Path

SENDER_WAITS_SECONDS = 3
NOON = 12


def sample_body(  # noqa: PLR0913 - the vendor's six keys
    *,
    status: str | None,
    partner: str | None,
    data_type: str | None,
    frequency: str | None,
    request_id: str | None,
    at: str | None,
    now: float,
    test_call: bool = False,
) -> str:
    """The body that CleverTap would post, of its six keys.

    ``at`` is the local date and time in ISO form, or None for ``now`` (Unix seconds) on a UTC
    clock; ``test_call`` asks for what is posted when someone creates the webhook instead.

    Raises:
        ExporterError: ``at`` is no date and time, or has a zone.
    """
    if test_call:
        return json.dumps({"is_test": True, "targetId": 1234, "key_values": {"key": "value"}, "profiles": []})
    try:
        local = datetime.fromisoformat(at) if at else datetime.fromtimestamp(now, UTC)
    except ValueError as error:
        message = f"--at: {at!r} is no date and time; give one such as 2026-12-31T16:50:52"
        raise ExporterError(message) from error
    if at and local.tzinfo:
        message = f"--at: {at!r} has a zone, which CleverTap does not tell; give the local time without one"
        raise ExporterError(message)
    given = request_id or ""
    clock = f"{local.hour % 12 or 12}:{local:%M:%S} {'AM' if local.hour < NOON else 'PM'}"
    return json.dumps(
        {
            "Export Request Id": int(given) if given.isdecimal() and len(given) < 20 else given,  # noqa: PLR2004
            "Partner": partner,
            "Type": data_type,
            "Status": status,
            "Frequency": frequency,
            "Date and Time": f"{local:%d/%m/%Y} {clock}",
        }
    )


def send_to(url: str, body: str, token_file: Path | None = None) -> str:
    """Post ``body``, and say what was answered.

    Raises:
        ExporterError: nobody answered in the vendor's three seconds, or not with 200.
    """
    headers = {"Content-Type": "application/json"}
    try:
        if token_file is not None:
            headers["Authorization"] = f"Bearer {token_file.read_text('utf-8').strip()}"
        answer = requests.post(url, body.encode(), headers=headers, timeout=SENDER_WAITS_SECONDS)
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
