"""Checks before a start: a plausible clock, free listen addresses and a folder for temporary files."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.errors import ClockError, ListenError, TemporaryFolderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.config.values import Address


TEMPORARY_FOLDERS = ("/dev/shm", "/tmp", "/var/tmp", ".")  # noqa: S108 - only asked whether they are writable
"""Folders for temporary files if ``TMPDIR`` names none. The first is in memory, and writable in most containers."""
EARLIEST_PLAUSIBLE = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
"""A clock that is set shows a later time; in Unix seconds."""


def refuse_clock(now: float) -> None:
    """Refuse a clock that was never set, because every deadline would be wrong.

    Args:
        now: the time of the system, in Unix seconds.

    Raises:
        ClockError: the time is before `EARLIEST_PLAUSIBLE`.
    """
    if now < EARLIEST_PLAUSIBLE:
        text = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        message = f"this machine's clock says {text}, which cannot be: set it (such as by NTP), then start again"
        raise ClockError(message)


def find_temporary_folder(environment: Mapping[str, str], others: Iterable[str]) -> str:
    """Return a folder for temporary files: the one of ``TMPDIR``, or the first of ``others``, that is writable.

    Raises:
        TemporaryFolderError: none is.
    """
    candidates = [*filter(None, [environment.get("TMPDIR")]), *others]
    for folder in candidates:
        if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):  # noqa: PTH112 - gunicorn takes a text
            return folder
    message = (
        f"no folder for temporary files can be written to ({', '.join(candidates)}): mount one, such as an emptyDir "
        "at /tmp, or name one with TMPDIR"
    )
    raise TemporaryFolderError(message)


def refuse_used_addresses(addresses: Iterable[Address]) -> None:
    """Refuse listen addresses that are in use, because gunicorn would retry for seconds.

    Args:
        addresses: the webhook listener's and the admin listener's.

    Raises:
        ListenError: an address cannot be bound; names its setting.
    """
    for setting, address in zip(("webhook_listen", "admin_listen"), addresses, strict=True):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                message = (
                    f"server.{setting}: cannot listen on {address} ({error.strerror}): "
                    "stop what listens there, or give another port"
                )
                raise ListenError(message) from error
