"""The interface of a vendor's adapter: everything that the exporter needs to know about one vendor.

To add a vendor, write a module beside this one with an `Adapter` in it, and add that to
`exporter.ingest.vendors.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from exporter.domain.events import ParsedEvent
    from exporter.ingest.json_objects import JsonObject


@dataclass(frozen=True, slots=True)
class TestCall:
    """A call without an event, such as a vendor makes when someone creates the webhook."""


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A body that could not be parsed.

    Attributes:
        reason: a key of `Adapter.reasons`.
        detail: the problem of this body, in words.
    """

    reason: str
    detail: str


class Parse(Protocol):
    """The type of `Adapter.parse`."""

    def __call__(self, body: JsonObject, latest: datetime) -> ParsedEvent | TestCall | Unrecognised:
        """Parse ``body``; an event whose local time is after ``latest`` is unrecognised."""


class SampleBody(Protocol):
    """The type of `Adapter.sample_body`."""

    def __call__(  # noqa: PLR0913 - the fields of an event
        self,
        *,
        status: str,
        partner: str,
        data_type: str,
        frequency: str,
        request_id: str,
        local_time: datetime,
    ) -> str:
        """Make the body that the vendor would post; ``status`` is one of those in `exporter.domain.events`."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One vendor.

    Attributes:
        name: the value of the setting ``vendor``, and the vendor's segment of a webhook's path.
        parse: parses one JSON object. An event without a request id has an empty one.
        reasons: why a body may be unrecognised: the label of each reason, and a sentence that explains it.
        canonical_partner: returns the one spelling of a known partner, and any other text as events have it.
        sample_body: makes up a body.
        test_call: the body of the vendor's test call; None if it makes none.
        schema: a JSON Schema of a body, with examples.
    """

    name: str
    parse: Parse
    reasons: Mapping[str, str]
    canonical_partner: Callable[[str], str]
    sample_body: SampleBody
    test_call: str | None
    schema: Mapping[str, Any]
