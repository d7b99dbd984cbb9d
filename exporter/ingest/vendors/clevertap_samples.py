"""Makes up bodies in the form that CleverTap documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

NOON = 12
MOST_DIGITS = 19
"""A sample's request id is a number if it has at most this many digits, and a string otherwise."""

EXAMPLE = {
    "Export Request Id": 1690283492,
    "Partner": "Google Cloud Storage",
    "Type": "Events",
    "Status": "Completed",
    "Frequency": "One Time",
    "Date and Time": "25/07/2023 4:50:52 PM",
}
"""The sample in CleverTap's page "Status Alerts for Exports"."""

TEST_CALL = json.dumps({"is_test": True, "targetId": 1234, "key_values": {"key": "value"}, "profiles": []})
"""The body that CleverTap posts once, when someone creates the webhook."""


def sample_body(  # noqa: PLR0913 - the six keys
    *, status: str, partner: str, data_type: str, frequency: str, request_id: str, local_time: datetime
) -> str:
    """Make the body that CleverTap would post for an event."""
    clock = f"{local_time.hour % 12 or 12}:{local_time:%M:%S} {'AM' if local_time.hour < NOON else 'PM'}"
    return json.dumps(
        {
            "Export Request Id": int(request_id)
            if request_id.isdecimal() and len(request_id) <= MOST_DIGITS
            else request_id,
            "Partner": partner,
            "Type": data_type,
            "Status": status.capitalize(),
            "Frequency": frequency,
            "Date and Time": f"{local_time:%d/%m/%Y} {clock}",
        }
    )
