"""The forms by which people mute, unmute and retire an export: what was typed, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from exporter.domain.decision_rules import Author, MuteEnd, mute_end, parse_text
from exporter.domain.mute_choices import parse_local_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from werkzeug.datastructures import MultiDict

FIELDS = ("by", "why", "until", "until_local", "zone")
CUSTOM = "custom"
"""The choice of an end that is typed."""


@dataclass(slots=True)
class DecisionForm:
    """What a person typed.

    Attributes:
        by, why: who decides and why.
        until: one of the choices, in Unix seconds as text, or `CUSTOM`.
        until_local: a date and time, if ``until`` is `CUSTOM`.
        zone: in which that is: ``UTC`` or the source's zone.
        problems: by field, what is wrong.
    """

    by: str = ""
    why: str = ""
    until: str = ""
    until_local: str = ""
    zone: str = "UTC"
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, fields: MultiDict[str, str]) -> DecisionForm:
        """Read the fields of a request."""
        by, why, until, until_local, zone = (fields.get(name, "") for name in FIELDS)
        return cls(by, why, until, until_local, zone)

    def refuse(self, problem: str | None) -> None:
        """Add a problem that belongs to no field, if there is one."""
        if problem is not None:
            self.problems["form"] = problem

    def author(self) -> Author | None:
        """Return who decides and why; None, with a problem for each field, if that is not given."""
        texts = {}
        for name in ("by", "why"):
            try:
                texts[name] = parse_text(getattr(self, name))
            except ValueError as error:
                self.problems[name] = f"{error}"
        return None if self.problems else Author(texts["by"], texts["why"])

    def end(self, now: float, zones: Mapping[str, tzinfo]) -> MuteEnd | None:
        """Return when the mute ends; None, with a problem, if that is not given or is not in the future.

        Args:
            now: Unix seconds.
            zones: those to choose from, by name.
        """
        name = "until_local" if self.until == CUSTOM else "until"
        try:
            if self.until == CUSTOM:
                until = parse_local_time(self.until_local, zones.get(self.zone, UTC))
            elif self.until.isascii() and self.until.isdecimal() and len(self.until) <= len("99999999999"):
                until = float(self.until)
            else:
                message = "choose one from the list"
                raise ValueError(message)  # noqa: TRY301 - each is a problem of the field
            return mute_end(None, until, now)
        except ValueError as error:
            self.problems[name] = str(error)
            return None

    @property
    def focus(self) -> str:
        """The first field with a problem; empty without one."""
        return next((name for name in ("until", "until_local", "by", "why") if name in self.problems), "")
