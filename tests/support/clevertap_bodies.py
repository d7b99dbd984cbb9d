"""Bodies as CleverTap sends them, and what the adapter makes of them."""

from __future__ import annotations

import json
from datetime import datetime

from builders import fields
from exporter.domain.events import ParsedEvent
from exporter.ingest import json_objects
from exporter.ingest.vendors import adapter, clevertap
from exporter.ingest.vendors.adapter import Unrecognised
from exporter.ingest.vendors.clevertap import REASONS

LATEST = datetime(2026, 6, 2)  # noqa: DTZ001 - local times have no zone
"""The latest local time that an event may have."""
DATE = "Date and Time"


def parse(raw: bytes) -> ParsedEvent | adapter.TestCall | Unrecognised:
    """Parse a body of one event or test call."""
    (only,) = json_objects.decode(raw, 1_000_000)
    return clevertap.parse(only, LATEST)


def parse_event(raw: bytes) -> ParsedEvent:
    """Parse a body that has to be an event."""
    parsed = parse(raw)
    assert isinstance(parsed, ParsedEvent), parsed
    return parsed


def reason(raw: bytes) -> str:
    """Return why a body is not recognised."""
    parsed = parse(raw)
    assert isinstance(parsed, Unrecognised), parsed
    assert parsed.reason in REASONS
    assert parsed.detail
    return parsed.reason


def with_value(key: str, value: object) -> bytes:
    """Return the body of an event with another value of one key."""
    return json.dumps(fields() | {key: value}).encode()
