"""Selects, sorts and counts exports as the parameters in the address of the status page ask for. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from exporter.domain.state_filter import StateFilter
from exporter.domain.states import CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.domain.states import ExportState

EXPORTS_PER_PAGE = 100
"""So that a page stays small, however many exports a sender makes up."""
URGENCY = "urgency"
DESCENDING = "descending"

_FINE, _MUTED = CONDITIONS[-2:]
_SORT_KEYS: dict[str, Callable[[ExportState], Any]] = {
    "export": lambda state: state.export.casefold(),
    "source": lambda state: state.source,
    "partner": lambda state: state.partner.casefold(),
    "type": lambda state: state.data_type.casefold(),
    "frequency": lambda state: (state.interval or math.inf, state.frequency),
    "started": lambda state: state.last_initiated,
    "completed": lambda state: state.last_completed,
    "deadline": lambda state: state.deadline or math.inf,
    "duration": lambda state: state.last_duration,
    "owner": lambda state: (not state.owner, state.owner.casefold()),
}
SORT_ORDERS = (URGENCY, *_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """What a link to the status page selects; an empty text selects everything.

    Attributes:
        search, state, source, owner: see `StateFilter`.
        sort: one of `SORT_ORDERS`.
        order: `DESCENDING` or empty.
        page: from 1.
    """

    search: str = ""
    state: str = ""
    source: str = ""
    owner: str = ""
    sort: str = URGENCY
    order: str = ""
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> ExportFilter:
        """Return the filter of a query string; what it does not know is left out, so that an old link still works."""
        texts: dict[str, Any] = {name: parameters[name] for name in _TEXTS if name in parameters}
        page = parameters.get("page", "")[:6]
        selected = cls(**texts, page=int(page) if page.isascii() and page.isdigit() else 1)
        return selected if selected.sort in SORT_ORDERS else replace(selected, sort=URGENCY)

    def link(self, **changes: str | int) -> str:
        """Return a relative link to the page with some parameters changed; to the first page unless that is given."""
        changed = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        parameters = {
            field.name: value for field in fields(self) if (value := getattr(changed, field.name)) != field.default
        }
        return f"?{urlencode(parameters)}" if parameters else "./"

    def sort_link(self, column: str) -> str:
        """Return the link of a column's heading: to sort by it, and the other way round if it is sorted by it."""
        is_reversed = self.sort == column and self.order != DESCENDING
        return self.link(sort=column, order=DESCENDING if is_reversed else "")

    @property
    def is_filtering(self) -> bool:
        """Whether it may leave exports out."""
        return bool(self.search.strip() or self.state or self.source or self.owner)

    def select(self, states: Iterable[ExportState], now: float) -> list[ExportState]:
        """Return the matching states in the order asked for.

        Args:
            states: in the order of urgency.
            now: the time of their conditions.
        """
        wanted = StateFilter(self.state or None, self.source or None, self.owner or None, self.search or None)
        selected = [state for state in states if wanted.matches(state, now)]
        if self.sort != URGENCY:
            selected.sort(key=_SORT_KEYS[self.sort], reverse=self.order == DESCENDING)
        elif self.order == DESCENDING:
            selected.reverse()
        return selected


_TEXTS = tuple(field.name for field in fields(ExportFilter) if field.name != "page")


def count_conditions(states: Sequence[ExportState], now: float) -> dict[str, int]:
    """Return how many exports are in each condition that any is in: fine first, then by urgency, muted last."""
    counts = dict.fromkeys((_FINE, *CONDITIONS[:-2], _MUTED), 0)
    for state in states:
        counts[state.condition(now)] += 1
    return {word: count for word, count in counts.items() if count}
