"""Checks before a start: a plausible clock and free listen addresses."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.errors import ClockError, ListenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.values import Address


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
