"""The kinds of errors. HTTP and the command line each map them in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExporterError(Exception):
    """Base of all errors that the exporter raises deliberately; the message is written for people."""


class PayloadError(ExporterError):
    """The body is not JSON, or not an object or a list of objects."""


class PayloadTooLargeError(PayloadError):
    """The body, one of its events, or the number of its events exceeds a limit."""


class UnsupportedEncodingError(PayloadError):
    """The body has an encoding that the exporter does not decode."""


class BudgetExceededError(ExporterError):
    """A source has sent more than it may.

    Attributes:
        retry_after: seconds until it may send again.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class StoreError(ExporterError):
    """The ledger failed; nothing was acknowledged."""


class StoreRefusedError(StoreError):
    """The ledger cannot be used: it cannot be opened, or a newer release wrote it."""


class StoreUnreachableError(StoreRefusedError):
    """The server of the ledger does not accept connections now; it may soon."""


class StoreLostError(StoreError):
    """The open ledger was moved or replaced; the next call opens the one that is there then."""


class NoSuchExportError(ExporterError):
    """No export has this id, or these labels."""


class DecisionRefusedError(ExporterError):
    """A decision about an export is not possible now."""


class NothingToUndoError(DecisionRefusedError):
    """The decision that was to be ended is not in effect."""


class ConfigurationError(ExporterError):
    """The configuration is invalid.

    Attributes:
        problems: one sentence each: the setting, its value, and a valid value.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ClockError(ExporterError):
    """The clock of this machine is obviously wrong."""


class ListenError(ExporterError):
    """The server cannot listen on an address."""


class TemporaryFolderError(ExporterError):
    """There is no folder for temporary files."""
