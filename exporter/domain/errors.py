"""What can go wrong, by kind; HTTP and the command line each map these in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExporterError(Exception):
    """Base of every error that this package raises on purpose; its text is meant for people."""


class PayloadError(ExporterError):
    """The body is not JSON, or not an object or a list of objects."""


class PayloadTooLargeError(PayloadError):
    """The body, one event of it, or the number of its events is over a limit."""


class StoreError(ExporterError):
    """The ledger did not do what it was asked to; nothing was acknowledged."""


class StoreRefusedError(StoreError):
    """The ledger cannot be used as it is: it cannot be opened, or a newer release wrote it."""


class StoreLostError(StoreError):
    """What was open is not there any more; whatever is asked next opens what lies there then."""


class ConfigurationError(ExporterError):
    """The configuration is wrong.

    Attributes:
        problems: one sentence each: place, what was given, what would be right.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ClockError(ExporterError):
    """This machine's clock cannot be right."""


class ListenError(ExporterError):
    """An address cannot be listened on."""
