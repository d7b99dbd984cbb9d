"""Suggests declarations in TOML for exports that are not declared, so that their absence is noticed too."""

from __future__ import annotations

import json
from itertools import chain, count
from typing import TYPE_CHECKING

from exporter.domain.exports import GROUP_LABEL
from exporter.domain.frequency import frequency_of_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.domain.exports import Declaration
    from exporter.domain.states import ExportState

MAX_NAME_STEM = 120
"""Characters; a name has at most 128, and the rest is for a number that makes it unique."""


def suggested_declarations(states: Iterable[ExportState], declared: Iterable[Declaration]) -> Iterator[str]:
    """Yield a declaration in TOML for each recurring export that has none; ``declared`` are those that there are."""
    taken = {(declaration.match.source, declaration.name) for declaration in declared}
    undeclared = [state for state in states if state.recurring and not state.declared]
    # The first declaration that matches an event gets it, so those with a request id come before the groups.
    for state in sorted(undeclared, key=lambda state: state.export == GROUP_LABEL):
        words = f"{state.partner} {state.data_type} {state.frequency}".lower().split()
        match = {"partner": state.partner, "data_type": state.data_type, "frequency": state.frequency}
        if state.export != GROUP_LABEL:
            words.append(state.export)
            match = {"request_id": state.export, **match}
        stem = "-".join(words)[:MAX_NAME_STEM]
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        name = next(name for name in names if (state.source, name) not in taken)
        taken.add((state.source, name))
        yield (
            f"[[exports]]\nname = {_toml(name)}\nsource = {_toml(state.source)}\n"
            f"match = {{ {', '.join(f'{key} = {_toml(value)}' for key, value in match.items())} }}\n"
            f"interval = {_toml(frequency_of_interval(round(state.interval)).label)}\n"
        )


def _toml(text: str) -> str:
    # TOML rejects surrogate pairs, by which JSON escapes the characters beyond U+FFFF: write them unescaped.
    return json.dumps(text, ensure_ascii=False)
