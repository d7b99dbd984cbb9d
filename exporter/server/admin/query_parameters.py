"""The query of an API request: every parameter known, given once, and within its bounds."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.domain.states import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from werkzeug.datastructures import MultiDict

    from exporter.config.loader import Config


MAX_INTEGER = 2**63 - 1


class ParameterError(Exception):
    """A parameter is not what it should be.

    Attributes:
        name: which one.
    """

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        super().__init__(f"{name}: {detail}")


@dataclass(frozen=True, slots=True)
class ChoiceParameter:
    """A parameter that is one of a few words; not given, it stands for all of them."""

    name: str
    choices: Sequence[str]
    description: str

    @property
    def schema(self) -> dict[str, Any]:
        """For the API's description."""
        return {"type": "string", "enum": list(self.choices)}

    def parse(self, text: str | None) -> str | None:
        """The word that was given.

        Raises:
            ParameterError: it is another one.
        """
        if text is None or text in self.choices:
            return text
        raise ParameterError(self.name, f"{text[:64]!r} is not known here; give one of {', '.join(self.choices)}")


@dataclass(frozen=True, slots=True)
class IntegerParameter:
    """A parameter that is a whole number within bounds; not given, it is ``default``."""

    name: str
    minimum: int
    maximum: int
    default: int | None
    description: str

    @property
    def schema(self) -> dict[str, Any]:
        """For the API's description."""
        schema: dict[str, Any] = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return schema if self.default is None else schema | {"default": self.default}

    def parse(self, text: str | None) -> int | None:
        """The number that was given, or the default.

        Raises:
            ParameterError: it is none, or out of bounds.
        """
        if text is None:
            return self.default
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_INTEGER))
        if digits and self.minimum <= int(text) <= self.maximum:
            return int(text)
        raise ParameterError(self.name, f"{text[:64]!r}; give a whole number from {self.minimum} to {self.maximum}")


Parameter = ChoiceParameter | IntegerParameter


def parse_parameters(given: MultiDict[str, str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The value of every parameter by its name.

    Raises:
        ParameterError: one is not known, given twice, or not what it should be.
    """
    known = {each.name: each for each in parameters}
    for name, values in given.lists():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {close[0]}?" if close else f"the parameters here are {', '.join(known) or 'none'}"
            raise ParameterError(name[:64], f"unknown parameter; {meant}")
        if len(values) > 1:
            raise ParameterError(name, "given more than once; give it once")
    return {name: each.parse(given.get(name)) for name, each in known.items()}


MAX_EXPORTS = 10_000
MAX_EVENTS = 1_000
MAX_BODIES = 100


@dataclass(frozen=True, slots=True)
class PathParameters:
    """What may be asked of each path, by the sources that are configured."""

    exports: tuple[Parameter, ...]
    events: tuple[Parameter, ...]
    quarantine: tuple[Parameter, ...]


def parameters_by_path(config: Config) -> PathParameters:
    """The parameters of every path."""
    source = ChoiceParameter("source", sorted(config.sources), "Only of this source.")
    after = IntegerParameter(
        "after", 0, MAX_INTEGER, None, "Only past this sequence, the oldest first; else the newest first."
    )
    return PathParameters(
        exports=(
            source,
            ChoiceParameter("state", CONDITIONS, "Only those in this state."),
            IntegerParameter("limit", 1, MAX_EXPORTS, 1_000, "How many at the most; the answer has the number of all."),
        ),
        events=(source, IntegerParameter("limit", 1, MAX_EVENTS, 100, "How many at the most."), after),
        quarantine=(source, IntegerParameter("limit", 1, MAX_BODIES, 20, "How many at the most."), after),
    )
