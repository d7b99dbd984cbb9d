"""What is checked before a start: this machine's clock, and whether the addresses are free."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.domain.errors import ClockError, ListenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.settings import Address


EARLIEST_PLAUSIBLE = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
"""No clock that is right says less."""


def refuse_clock(now: float) -> None:
    """Refuse a clock that was never set: every deadline would be wrong, and nobody paged.

    Raises:
        ClockError: with what to do.
    """
    if now < EARLIEST_PLAUSIBLE:
        shown = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        message = f"this machine's clock says {shown}, which cannot be: set it (such as by NTP), then start again"
        raise ClockError(message)


def refuse_used_addresses(addresses: Iterable[Address]) -> None:
    """Refuse addresses on which something else listens, before gunicorn tries for seconds.

    Raises:
        ListenError: with the setting to change.
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
