"""The query of an API request: every parameter known, given once, and within its bounds."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.server.admin.schemas import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from werkzeug.datastructures import MultiDict

    from exporter.config.loader import Config


LARGEST = 2**63 - 1


class ParameterError(Exception):
    """A parameter is not what it should be.

    Attributes:
        name: which one.
    """

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        super().__init__(f"{name}: {detail}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that is one of a few words; not given, it stands for all of them."""

    name: str
    words: Sequence[str]
    meaning: str

    @property
    def schema(self) -> dict[str, Any]:
        """For the API's description."""
        return {"type": "string", "enum": list(self.words)}

    def read(self, text: str | None) -> str | None:
        """The word that was given.

        Raises:
            ParameterError: it is another one.
        """
        if text is None or text in self.words:
            return text
        raise ParameterError(self.name, f"{text[:64]!r} is not known here; give one of {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class Number:
    """A parameter that is a whole number within bounds; not given, it is ``default``."""

    name: str
    least: int
    most: int
    default: int | None
    meaning: str

    @property
    def schema(self) -> dict[str, Any]:
        """For the API's description."""
        schema: dict[str, Any] = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return schema if self.default is None else schema | {"default": self.default}

    def read(self, text: str | None) -> int | None:
        """The number that was given, or the default.

        Raises:
            ParameterError: it is none, or out of bounds.
        """
        if text is None:
            return self.default
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST))
        if digits and self.least <= int(text) <= self.most:
            return int(text)
        raise ParameterError(self.name, f"{text[:64]!r}; give a whole number from {self.least} to {self.most}")


Parameter = Choice | Number


def read(given: MultiDict[str, str], parameters: Sequence[Parameter]) -> dict[str, Any]:
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
    return {name: each.read(given.get(name)) for name, each in known.items()}


MOST_EXPORTS = 10_000
MOST_EVENTS = 1_000
MOST_BODIES = 100


@dataclass(frozen=True, slots=True)
class Queries:
    """What may be asked of each path, by the sources that are configured."""

    exports: tuple[Parameter, ...]
    events: tuple[Parameter, ...]
    quarantine: tuple[Parameter, ...]


def queries(config: Config) -> Queries:
    """The parameters of every path."""
    source = Choice("source", sorted(config.sources), "Only of this source.")
    after = Number("after", 0, LARGEST, None, "Only past this sequence, the oldest first; else the newest first.")
    return Queries(
        exports=(
            source,
            Choice("state", CONDITIONS, "Only those in this state."),
            Number("limit", 1, MOST_EXPORTS, 1_000, "How many at the most; the answer has the number of all."),
        ),
        events=(source, Number("limit", 1, MOST_EVENTS, 100, "How many at the most."), after),
        quarantine=(source, Number("limit", 1, MOST_BODIES, 20, "How many at the most."), after),
    )
