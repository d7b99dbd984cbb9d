"""The query parameters of the JSON API: which there are, and how they are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.domain.decision_rules import MAX_TEXT, parse_text
from exporter.domain.decisions import ACTIVE, DECISION_STATES, PAST
from exporter.domain.spelling import closest
from exporter.domain.states import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from werkzeug.datastructures import MultiDict

    from exporter.config.loader import Config


MAX_INTEGER = 2**63 - 1


class ParameterError(Exception):
    """A query parameter is unknown, repeated or out of bounds.

    Attributes:
        name: the name of the parameter.
    """

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        super().__init__(f"{name}: {detail}")


@dataclass(frozen=True, slots=True)
class ChoiceParameter:
    """A parameter that is one of a few words; without it, all of them match."""

    name: str
    choices: Sequence[str]
    description: str

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema for the API's description."""
        return {"type": "string", "enum": list(self.choices)}

    def parse(self, text: str | None) -> str | None:
        """Return the word, or None if there is no such parameter.

        Raises:
            ParameterError: it is none of the choices.
        """
        if text is None or text in self.choices:
            return text
        raise ParameterError(self.name, f"{text[:64]!r} is not known here; give one of {', '.join(self.choices)}")


@dataclass(frozen=True, slots=True)
class IntegerParameter:
    """A parameter that is a whole number within bounds; without it, ``default`` is used."""

    name: str
    minimum: int
    maximum: int
    default: int | None
    description: str

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema for the API's description."""
        schema: dict[str, Any] = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return schema if self.default is None else schema | {"default": self.default}

    def parse(self, text: str | None) -> int | None:
        """Return the number, or the default if there is no such parameter.

        Raises:
            ParameterError: it is not a whole number within the bounds.
        """
        if text is None:
            return self.default
        is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_INTEGER))
        if is_number and self.minimum <= int(text) <= self.maximum:
            return int(text)
        raise ParameterError(self.name, f"{text[:64]!r}; give a whole number from {self.minimum} to {self.maximum}")


@dataclass(frozen=True, slots=True)
class TextParameter:
    """A parameter that is one line of printable text; without it, everything matches."""

    name: str
    description: str
    is_required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema for the API's description."""
        return {"type": "string", "maxLength": MAX_TEXT} | ({"minLength": 1} if self.is_required else {})

    def parse(self, text: str | None) -> str | None:
        """Return the text without the spaces around it, or None if there is no such parameter.

        Raises:
            ParameterError: it is missing and required, too long, or has characters that cannot be printed.
        """
        if text is None:
            if self.is_required:
                raise ParameterError(self.name, f"missing; it is: {self.description}")
            return None
        try:
            return parse_text(text) if text.strip() or self.is_required else ""
        except ValueError as error:
            raise ParameterError(self.name, str(error)) from None


Parameter = ChoiceParameter | IntegerParameter | TextParameter


def parse_parameters(query: MultiDict[str, str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the value of every parameter by name.

    Raises:
        ParameterError: a parameter is unknown, repeated or out of bounds.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    for name, values in query.lists():
        if name not in by_name:
            close = closest(name[:64], list(by_name))
            hint = f"did you mean {close}?" if close else f"the parameters here are {', '.join(by_name) or 'none'}"
            raise ParameterError(name[:64], f"unknown parameter; {hint}")
        if len(values) > 1:
            raise ParameterError(name, "given more than once; give it once")
    return {name: parameter.parse(query.get(name)) for name, parameter in by_name.items()}


MAX_EXPORTS = 10_000
MAX_EVENTS = 1_000
MAX_BODIES = 100

_AUTHOR = (
    TextParameter("by", "Who decides.", is_required=True),
    TextParameter("why", "The reason.", is_required=True),
)


def parameters_by_endpoint(config: Config) -> dict[str, tuple[Parameter, ...]]:
    """Return the parameters of each endpoint; ``source`` has the configured sources as its choices."""
    source = ChoiceParameter("source", sorted(config.sources), "Only this source.")
    after = IntegerParameter("after", 0, MAX_INTEGER, None, "Only items past this sequence, oldest first.")
    before = IntegerParameter("before", 0, MAX_INTEGER, None, "Only items that came before this one, newest first.")
    offset = IntegerParameter("offset", 0, MAX_INTEGER, 0, "How many items to skip.")

    def limit(most: int, default: int) -> IntegerParameter:
        return IntegerParameter("limit", 1, most, default, "Most items to return.")

    return {
        "exports": (
            source,
            ChoiceParameter("state", CONDITIONS, "Only exports in this state."),
            TextParameter("owner", "Only exports of this owner; empty for those without one."),
            TextParameter("search", "Only exports with all of these words in their labels or owner."),
            limit(MAX_EXPORTS, 1_000),
            offset,
        ),
        "events": (source, limit(MAX_EVENTS, 100), before, after),
        "quarantine": (source, limit(MAX_BODIES, 20), before, after),
        "refused": (source, limit(MAX_BODIES, 20), before),
        "mutes": (
            source,
            ChoiceParameter("state", DECISION_STATES, "Only mutes in this state."),
            limit(MAX_EVENTS, 100),
            offset,
        ),
        "retirements": (
            source,
            ChoiceParameter("state", (ACTIVE, PAST), "Only retirements in this state."),
            limit(MAX_EVENTS, 100),
            offset,
        ),
        "outages": (limit(MAX_EVENTS, 100), offset),
        "unmute": _AUTHOR,
        "unretire": _AUTHOR,
    }
