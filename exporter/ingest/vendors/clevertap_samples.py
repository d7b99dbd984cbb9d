"""Made-up bodies in the form that CleverTap documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from exporter.domain.errors import ExporterError

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
