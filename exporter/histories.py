"""Histories by export, of which those that were stored are made when somebody asks for them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Protocol

from exporter.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.model import ExportKey


class Row(Protocol):
    """All that is stored of a history."""

    def restore(self, history: History) -> None:
        """Let a new history know it.

        Raises:
            UnreadableError: it is not what was written.
        """


class Histories(MutableMapping["ExportKey", History]):
    """Histories by export; to ask for one may raise `exporter.errors.UnreadableError`.

    Most exports are only shown until the next start, by what is kept of their text. To make all of
    10,000 histories is a third of a start.

    Args:
        make: a new history of an export.
    """

    def __init__(self, make: Callable[[ExportKey], History]) -> None:
        self._make = make
        self._found: dict[ExportKey, History | Row] = {}
        self._all_made = True

    def keep(self, key: ExportKey, row: Row) -> None:
        """Take what is stored of a history, in the place of what is known of it."""
        self._found[key] = row
        self._all_made = False

    def make_all(self) -> None:
        """Make all of them, so that to ask for one does not fail any more."""
        if not self._all_made:
            for key in self._found:
                _ = self[key]
            self._all_made = True

    def __contains__(self, key: object) -> bool:
        return key in self._found

    def __getitem__(self, key: ExportKey) -> History:
        found = self._found[key]
        if isinstance(found, History):
            return found
        made = self._make(key)
        found.restore(made)
        self._found[key] = made
        return made

    def __setitem__(self, key: ExportKey, history: History) -> None:
        self._found[key] = history

    def __delitem__(self, key: ExportKey) -> None:
        del self._found[key]

    def __iter__(self) -> Iterator[ExportKey]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
