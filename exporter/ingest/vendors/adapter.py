"""What an adapter has to offer: everything that the exporter needs to know of one vendor.

A new vendor is a module beside this one with an `Adapter` in it, and a line in
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
    """A call that announces nothing, such as a vendor makes when someone creates the webhook."""


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Why a body is not an announcement: a key of `Adapter.reasons`, and a sentence for people."""

    reason: str
    detail: str


class Parse(Protocol):
    """What one body says."""

    def __call__(self, body: JsonObject, latest: datetime) -> ParsedEvent | TestCall | Unrecognised:
        """What ``body`` says; its local time cannot lie after ``latest``."""


class SampleBody(Protocol):
    """Makes up a body."""

    def __call__(  # noqa: PLR0913 - what an announcement says
        self,
        *,
        status: str,
        partner: str,
        data_type: str,
        frequency: str,
        request_id: str,
        local_time: datetime,
    ) -> str:
        """The body that the vendor would post; ``status`` is one of `exporter.domain.events`."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One vendor.

    Attributes:
        name: the setting ``vendor``, and the segment of the webhook's path.
        parse: reads a body. An announcement without a request id has an empty one.
        reasons: why a body may not be understood, each with a sentence.
        canonical_partner: the one spelling of a known partner; any other text as it is.
        sample_body: makes up a body.
        test_call: the body of its test call; None where it makes none.
        schema: a JSON Schema of a body, with examples.
    """

    name: str
    parse: Parse
    reasons: Mapping[str, str]
    canonical_partner: Callable[[str], str]
    sample_body: SampleBody
    test_call: str | None
    schema: Mapping[str, Any]
