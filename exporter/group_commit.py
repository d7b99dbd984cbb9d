"""Group commit: requests that wait for a commit share the next one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Ticket(Generic[Item, Answer]):
    """One caller's items, and what became of them."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.answers: list[Answer] | None = None
        self.error: Exception | None = None


class GroupCommit(Generic[Item, Answer]):
    """Gathers what several threads submit into one call of ``commit`` at a time.

    Args:
        commit: keeps all items it is given, or raises; answers item by item.
    """

    def __init__(self, commit: Callable[[list[Item]], list[Answer]]) -> None:
        self._commit = commit
        self._waiting: list[_Ticket[Item, Answer]] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def submit(self, items: list[Item]) -> list[Answer]:
        """Commit ``items`` with those of whoever else is waiting; what ``commit`` raised is raised."""
        ticket: _Ticket[Item, Answer] = _Ticket(items)
        with self._lock:
            self._waiting.append(ticket)
        with self._turn:
            # Whoever had the turn before may have committed this ticket with its own.
            if ticket.answers is None and ticket.error is None:
                self._lead()
        if ticket.error is not None:
            raise ticket.error
        return ticket.answers or []

    def _lead(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            answers = self._commit([item for ticket in batch for item in ticket.items])
        except Exception as error:  # noqa: BLE001 - it is raised again in every caller
            for ticket in batch:
                ticket.error = error
            return
        except BaseException:
            # Whatever ends this thread, nobody else may take the silence for an answer.
            for ticket in batch:
                ticket.error = StoreError("the commit was interrupted")
            raise
        at = 0
        for ticket in batch:
            ticket.answers = answers[at : at + len(ticket.items)]
            at += len(ticket.items)
